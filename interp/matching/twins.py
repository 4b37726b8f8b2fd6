"""The control of random weights."""

from collections.abc import Sequence

from interp.matching.memory import current_memory
from interp.models.protocol import HookedRegressor

N_TWINS = 3
FIRST_SEED = 1_000_003
"""Far from any seed a user would take, so that an untrained subject is never its own control."""


def make_twins(
    model: HookedRegressor, twins: Sequence[HookedRegressor] | None = None, count: int = N_TWINS
) -> Sequence[HookedRegressor]:
    """The twins given, or ``count`` untrained models of the same architecture.

    Raises ValueError for a model that cannot make them (no method ``untrained_twin``).
    """
    if twins is not None:
        return twins
    memory = current_memory()
    remembered = None if memory is None or count != N_TWINS else memory.twins_of(model)
    if remembered is not None:
        return remembered
    make_twin = getattr(model, "untrained_twin", None)
    if make_twin is None:
        raise ValueError(
            f"{type(model).__name__} has no method untrained_twin(seed), which the random_init control needs; "
            "add one, pass untrained models as `twins`, or leave the control out (no claim can be supported without "
            "it)."
        )
    made = [make_twin(FIRST_SEED + i) for i in range(count)]
    if memory is not None and count == N_TWINS:
        memory.twins.append((model, made))
    return made
