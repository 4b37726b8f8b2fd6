"""Newton and gradient descent as one would write them down, one problem at a time.

A *problem* is one prefix of one prompt: its examples X [point dim], y [point] and the query [dim] after it.
"""

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from interp.tasks import Prompts

Predictor = Callable[[Tensor, Tensor, Tensor], list[Tensor]]
"""From X, y and the query to the prediction at each step count."""


def from_scratch(newton_steps: Sequence[int], gd_steps: Sequence[int], lr: float) -> Predictor:
    """As Fu et al. (2023)'s code does it: for every step count, iterate anew from the start.

    Like theirs, a gradient step forms X^T X and X^T y again.
    """

    def predict(X: Tensor, y: Tensor, query: Tensor) -> list[Tensor]:
        predictions = []
        for n_steps in newton_steps:
            S = X.T @ X
            M, twice = _newton_start(S)
            for _ in range(n_steps):
                M = M @ (twice - S @ M)
            predictions.append(query @ (M @ (X.T @ y)))
        for n_steps in gd_steps:
            w = X.new_zeros(X.shape[1])
            for _ in range(n_steps):
                gradient = (X.T @ X) @ w - X.T @ y
                w = w - lr * gradient
            predictions.append(query @ w)
        return predictions

    return predict


def keeping_the_trajectory(newton_steps: Sequence[int], gd_steps: Sequence[int], lr: float) -> Predictor:
    """Iterate once to the largest step count, and predict on the way at those that are asked for.

    X^T X and X^T y are formed once per problem.
    """

    def predict(X: Tensor, y: Tensor, query: Tensor) -> list[Tensor]:
        S, b = X.T @ X, X.T @ y
        wanted, kept = set(newton_steps), {}
        M, twice = _newton_start(S)
        for k in range(1, max(newton_steps) + 1):
            M = M @ (twice - S @ M)
            if k in wanted:
                kept[k] = query @ (M @ b)
        predictions = [kept[k] for k in newton_steps]
        wanted, kept = set(gd_steps), {}
        w = torch.zeros_like(b)
        for k in range(1, max(gd_steps) + 1):
            w = w - lr * (S @ w - b)
            if k in wanted:
                kept[k] = query @ w
        return predictions + [kept[k] for k in gd_steps]

    return predict


def predict_one_by_one(
    predict: Predictor, prompts: Prompts, prefixes: Sequence[int]
) -> Float[Tensor, "step prompt prefix"]:
    """Predictions at the given prefixes (each of at least one example), problem by problem."""
    rows = [
        torch.stack(
            [torch.stack(predict(prompts.xs[p, :t], prompts.ys[p, :t], prompts.xs[p, t])) for t in prefixes],
            dim=-1,
        )
        for p in range(len(prompts))
    ]
    return torch.stack(rows, dim=1)


def cosines_one_by_one(
    layers: Float[Tensor, "layer prompt point"],
    predictions: Float[Tensor, "step prompt point"],
    targets: Float[Tensor, "prompt point"],
) -> Float[Tensor, "layer step prompt"]:
    """Similarity of errors, one pair of error vectors at a time."""
    cosines = layers.new_empty(len(layers), len(predictions), len(targets))
    for p, target in enumerate(targets):
        for i, layer in enumerate(layers):
            for j, prediction in enumerate(predictions):
                a, b = layer[p] - target, prediction[p] - target
                cosines[i, j, p] = (a @ b) / (a.norm() * b.norm())
    return cosines


def _newton_start(S: Tensor) -> tuple[Tensor, Tensor]:
    """``M_0 = S / |S S^T|_F``, and twice the identity."""
    return S.T / torch.linalg.norm(S @ S.T), 2 * torch.eye(len(S), dtype=S.dtype)
