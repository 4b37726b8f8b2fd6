"""Every algorithm once more, as its paper writes it: plain loops over matrices, one prefix at a time."""

import math
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


def every_prefix(xs: Tensor, ys: Tensor, weights_of: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """Weights [prompt point dim] that ``weights_of(X, y)`` finds on the t examples before each point t."""
    return torch.stack(
        [torch.stack([weights_of(x[:t], y[:t]) for t in range(len(x))]) for x, y in zip(xs, ys, strict=True)]
    )


def predictions_of(weights: Tensor, xs: Tensor) -> Tensor:
    return torch.einsum("ptd,ptd->pt", weights, xs)


def gradient_descent(X: Tensor, y: Tensor, *, lr: Sequence[float], normalize: str) -> Tensor:
    """One step for each of the step sizes in ``lr``."""
    w = X.new_zeros(X.shape[1])
    n = max(len(X), 1) if normalize == "mean" else 1
    for eta in lr:
        w = w - eta / n * X.T @ (X @ w - y)
    return w


def gradient_descent_plus(X: Tensor, y: Tensor, *, lr: Sequence[float], gamma: Sequence[float]) -> Tensor:
    """One step for each of the pairs in ``lr`` and ``gamma``, on inputs, targets and the query's own map."""
    dim = X.shape[1]
    w = X.new_zeros(dim)
    on_query = torch.eye(dim, dtype=X.dtype)  # what the steps so far have made of the query
    for eta, g in zip(lr, gamma, strict=True):
        w = w + eta * on_query.T @ X.T @ y
        y = y - eta * X @ X.T @ y
        X, on_query = straightened(X, g), on_query - g * X.T @ X @ on_query
    return w


def straightened(X: Tensor, gamma: float) -> Tensor:
    """X after one step of GD++: every input x becomes ``(I - gamma X^T X) x``."""
    return X - gamma * X @ X.T @ X


def newton(X: Tensor, y: Tensor, *, steps: int, scale: str, alpha: float = math.nan, start: str = "gram") -> Tensor:
    S = X.T @ X
    if start == "identity":
        M = alpha * torch.eye(len(S), dtype=S.dtype)
    elif len(X) == 0:
        M = S
    else:
        norm = torch.linalg.matrix_norm(S @ S.T, ord="fro" if scale == "frobenius" else 2)
        factors = {"frobenius": 1 / norm, "spectral": 1 / norm, "paper": 2 / norm, "constant": S.new_tensor(alpha)}
        M = factors[scale] * S
    for _ in range(steps):
        M = 2 * M - M @ S @ M
    return M @ X.T @ y


def least_squares(X: Tensor, y: Tensor) -> Tensor:
    return torch.linalg.lstsq(X, y[:, None], driver="gelsd").solution[:, 0] if len(X) else X.new_zeros(X.shape[1])
