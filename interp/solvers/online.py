"""Online gradient descent."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, final

import torch
from jaxtyping import Float
from torch import Tensor

from interp.solvers.regressions import Regressions, Spectrum
from interp.solvers.search import Range
from interp.solvers.spectral import unroll
from interp.solvers.weight_solver import Weights, WeightSolver


@final
@dataclass(frozen=True, kw_only=True)
class OnlineGradientDescent(WeightSolver):
    """One example after the other: ``w <- w - lr (w . x_t - y_t) x_t``, from 0.

    This is the least mean squares rule (Widrow and Hoff 1960). ``step_size="normalised"`` divides lr by |x_t|^2; with
    lr 1 each update then solves its own example exactly (Kaczmarz 1937). An input of 0 changes nothing. Step k is k
    passes over the prefix in order, so that the order matters. For a ``normalised`` lr between 0 and 2 the passes
    converge, to a solution of the prefix if there is one.
    """

    name: ClassVar[str] = "online-gd"
    default_steps: ClassVar[tuple[int, ...]] = (1, 2, 3, 4, 6, 8, 12, 16)

    lr: float = 0.01
    step_size: Literal["fixed", "normalised"] = "fixed"

    def weights(self, problems: Regressions, steps: Sequence[int]) -> Weights:
        """One sweep over the examples for every prefix and any number of passes.

        A pass is the affine map ``w <- A w + w_1``, where A is the product of ``I - lr x_t x_t^T`` and w_1 what the
        first pass finds. The sweep leaves w_1 behind at each prefix, and A if there is a second pass.
        """
        first = self._at_prefixes(problems, problems.xs.new_zeros(*problems.xs.shape[::2], 1), problems.ys[..., None])
        once = first[..., 0]
        if max(steps) > 1:
            start = torch.eye(problems.xs.shape[2]).to(problems.xs).expand(len(problems.xs), -1, -1)
            kept = self._at_prefixes(problems, start, torch.zeros_like(problems.xs))

        def update(k: int, w: Tensor) -> Tensor:
            return once if k == 0 else (kept @ w[..., None])[..., 0] + once

        return unroll(torch.zeros_like(once), update, steps, read=lambda w: w)

    def search_space(self, spectrum: Spectrum) -> Mapping[str, Range]:
        """Step sizes up to beyond 2 over the squared norm of an input, where a single example is no longer learnt."""
        if self.step_size == "normalised":
            return {"lr": Range(1e-3, 3.0, log=True)}
        longest = int(spectrum.n_examples.flatten().argmax())
        square_norm = spectrum.eigenvalues[:, longest].sum(-1).mean().item() / spectrum.longest
        return {"lr": Range(1e-3 / square_norm, 3 / square_norm, log=True)}

    def _at_prefixes(
        self,
        problems: Regressions,
        start: Float[Tensor, "prompt dim column"],
        targets: Float[Tensor, "prompt point column"],
    ) -> Float[Tensor, "prompt prefix dim column"]:
        """What a sweep has made of the columns of ``start``, each with targets of its own, after every prefix."""
        xs = problems.xs
        rates = torch.full_like(targets[..., 0], self.lr)
        if self.step_size == "normalised":
            square_norms = xs.square().sum(-1)
            rates = torch.where(square_norms > 0, self.lr / square_norms, 0.0)
        scaled = rates[..., None] * xs

        def update(t: int, now: Tensor) -> Tensor:
            error = xs[:, t, None, :] @ now - targets[:, t, None, :]
            return now - scaled[:, t, :, None] * error

        return unroll(start, update, problems.prefixes, read=lambda now: now).movedim(0, 1)
