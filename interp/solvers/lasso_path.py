"""The lasso's solutions for every penalty at once."""

import warnings
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from jaxtyping import Float
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import lars_path_gram
from torch import Tensor


@dataclass(frozen=True)
class LassoPath:
    """Weights that are linear in the penalty between knots, for ``|y - X w|^2 / 2 + penalty |w|_1``."""

    penalties: Float[Tensor, "knot prompt prefix"]
    """Falling from the least penalty at which all weights are 0; a path that ends early repeats its last knot."""
    weights: Float[Tensor, "knot prompt prefix dim"]

    @classmethod
    def of(cls, gram: Float[Tensor, "prompt prefix dim dim"], moment: Float[Tensor, "prompt prefix dim"]) -> Self:
        """Every problem's path by least-angle regression (Efron et al. 2004, section 3.1), as scikit-learn has it.

        Where two coordinates join or leave at once, as for equal columns of X, a path may go wrong: check the solution.
        """
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)  # of paths that go wrong
            paths = [
                lars_path_gram(Xy=b, Gram=S, n_samples=1, method="lasso")
                for S, b in zip(_rows(gram), _rows(moment), strict=True)
            ]
        n_knots, dim = max(len(penalties) for penalties, _, _ in paths), moment.shape[-1]
        penalties, weights = np.zeros((len(paths), n_knots)), np.zeros((len(paths), n_knots, dim))
        for row, (at, _, coefficients) in enumerate(paths):
            penalties[row] = np.pad(at, (0, n_knots - len(at)), mode="edge")
            weights[row] = np.pad(coefficients.T, ((0, n_knots - len(at)), (0, 0)), mode="edge")
        shape = moment.shape[:2]
        return cls(
            penalties=torch.from_numpy(penalties).to(moment).T.unflatten(1, shape),
            weights=torch.from_numpy(weights).to(moment).movedim(1, 0).unflatten(1, shape),
        )

    def at(self, penalty: Float[Tensor, " prefix"]) -> Float[Tensor, "prompt prefix dim"]:
        """The weights at one penalty for each prefix; below the last knot, those of the last knot."""
        after = (self.penalties > penalty).sum(0).clamp(max=len(self.penalties) - 1)
        before = (after - 1).clamp(min=0)
        (high, start), (low, end) = (self._knot(index) for index in (before, after))
        share = torch.where(high > low, (high - penalty) / (high - low), 0.0).clamp(0, 1)
        return start + share[..., None] * (end - start)

    def _knot(self, index: Tensor) -> tuple[Tensor, Tensor]:
        weights = self.weights.gather(0, index[None, ..., None].expand(1, *self.weights.shape[1:]))
        return self.penalties.gather(0, index[None])[0], weights[0]


def _rows(values: Tensor) -> list[np.ndarray]:
    """One array for each problem."""
    return list(values.flatten(0, 1).cpu().numpy())
