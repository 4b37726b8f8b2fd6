"""What a solver returns: predictions and weights at the steps asked for, and how each problem stands."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp.solvers.regressions import Spectrum


class Status(Enum):
    """How a solver stands at a step. The value says it in words."""

    CONVERGED = "converged: the iterate solves its problem"
    RUNNING = "not converged yet: more steps bring it closer"
    STALLED = "stalled: the leading direction makes no progress; the step is at the edge of stability"
    DIVERGED = "diverged: the step is too large for at least one prefix; use a smaller one"


STATUS_CODES = tuple(Status)
"""``statuses`` holds indices into this tuple; a larger index is worse."""


@dataclass(frozen=True)
class SolverTrace:
    """Iterates of one solver, in float64. A diverging step size is data here, not an exception."""

    steps: tuple[int, ...]
    """Step counts, in the order asked for."""
    predictions: Float[Tensor, "step prompt column"]
    """One per column. Of a run over every prefix those are the points: the one at point t uses the t before it."""
    weights: Float[Tensor, "step prompt prefix dim"]
    """One weight vector per step and prefix; of a run over every prefix, ``[..., t, :]`` has seen t examples."""
    statuses: Int[Tensor, "step prompt prefix"]
    """Index into `STATUS_CODES` for every problem at every step."""

    @property
    def status(self) -> Status:
        """The worst status of any problem at the last of the steps asked for."""
        last = max(range(len(self.steps)), key=lambda i: self.steps[i])
        return STATUS_CODES[int(self.statuses[last].max())]


NOTHING_LEFT = 1e-6
"""A solver that lacks less than this share of its solution has converged; one that lacks this more than all of it at
the start has diverged."""


def classify(
    residual: Float[Tensor, "step prompt prefix dim"],
    eigenvalues: Float[Tensor, "prompt prefix dim"],
    steps: Sequence[int],
) -> Int[Tensor, "step prompt prefix"]:
    """Status codes from the share of the solution that each eigendirection still lacks, ``1 - lambda g(lambda)``.

    Before the first step nothing has stalled, however little has been learnt.
    """
    inside = eigenvalues > 0
    missing = torch.where(inside, residual.abs(), 0.0)
    worst = missing.amax(-1)
    leading = missing[..., -1]  # eigenvalues ascend
    code = torch.full(worst.shape, STATUS_CODES.index(Status.RUNNING), device=worst.device)
    code[worst < NOTHING_LEFT] = STATUS_CODES.index(Status.CONVERGED)
    begun = torch.tensor(steps, device=worst.device)[:, None, None] > 0
    code[begun & ((leading - 1).abs() < 1e-9)] = STATUS_CODES.index(Status.STALLED)
    code[~(worst <= 1 + NOTHING_LEFT)] = STATUS_CODES.index(Status.DIVERGED)
    return code


def classify_fit(
    weights: Float[Tensor, "step prompt prefix dim"], spectrum: Spectrum
) -> Int[Tensor, "step prompt prefix"]:
    """Status codes from the fit to the examples, for weights that are no scalar function of S times X^T y.

    ``|X (w - w*)| / |X w*|`` with the least-squares solution w* is the share of the fit still missing: 1 at w = 0, as
    in `classify`. Weights that fit worse than 0 does have diverged.
    """
    eigenvalues = spectrum.eigenvalues
    roots = eigenvalues.sqrt()
    # Along an eigenvector X w* is the moment over the root of the eigenvalue.
    goal = torch.where(eigenvalues > 0, spectrum.moment / roots, 0.0)
    along = torch.einsum("sptd,ptde->spte", weights, spectrum.vectors)
    missing, whole = (roots * along - goal).norm(dim=-1), goal.norm(dim=-1)
    share = torch.where(missing > 0, missing / whole, missing)
    code = torch.full(share.shape, STATUS_CODES.index(Status.RUNNING), device=share.device)
    code[share < NOTHING_LEFT] = STATUS_CODES.index(Status.CONVERGED)
    code[~(share <= 1 + NOTHING_LEFT)] = STATUS_CODES.index(Status.DIVERGED)
    return code
