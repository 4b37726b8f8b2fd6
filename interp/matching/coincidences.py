"""Best iterates of several families that are one answer under several names."""

from collections.abc import Sequence

from interp.matching.observed import Observed
from interp.matching.pipeline import Choice


def coincidences(choices: Sequence[Choice], observed: Observed) -> dict[tuple[int, int], list[str]]:
    """For each (index of a family, layer), the other families whose best iterates there give the same answers."""
    return {
        (i, layer): [
            b.family.name
            for j, b in enumerate(choices)
            if i != j
            and observed.same_answers(
                (a.solver, a.family.steps[a.best[layer]]), (b.solver, b.family.steps[b.best[layer]])
            )
        ]
        for i, a in enumerate(choices)
        for layer in range(len(a.best))
    }
