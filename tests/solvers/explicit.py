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


def gradient_flow(X: Tensor, y: Tensor, *, time: float, normalize: str) -> Tensor:
    """The differential equation ``w' = -(S w - b)`` from 0, by the exponential of its matrix with the constant term."""
    n = max(len(X), 1) if normalize == "mean" else 1
    dim = X.shape[1]
    generator = X.new_zeros(dim + 1, dim + 1)
    generator[:dim, :dim] = -X.T @ X / n
    generator[:dim, dim] = X.T @ y / n
    return torch.linalg.matrix_exp(time * generator)[:dim, dim]


def heavy_ball(X: Tensor, y: Tensor, *, lr: float, momentum: float, steps: int) -> Tensor:
    """Sum-normalised, written with the velocity."""
    w = velocity = X.new_zeros(X.shape[1])
    for _ in range(steps):
        velocity = momentum * velocity - lr * X.T @ (X @ w - y)
        w = w + velocity
    return w


def nesterov(X: Tensor, y: Tensor, *, lr: float, momentum: float, steps: int) -> Tensor:
    """Sum-normalised, written with the velocity: the gradient is taken where the velocity leads."""
    w = velocity = X.new_zeros(X.shape[1])
    for _ in range(steps):
        velocity = momentum * velocity - lr * X.T @ (X @ (w + momentum * velocity) - y)
        w = w + velocity
    return w


def chebyshev(X: Tensor, y: Tensor, *, low: float, high: float, steps: int) -> Tensor:
    """The quotient of Chebyshev polynomials of a matrix, applied to the error of w = 0. X of full column rank."""
    S = X.T @ X
    identity = torch.eye(len(S), dtype=S.dtype)

    def polynomial(argument: Tensor) -> Tensor:
        before, now = torch.eye(len(argument), dtype=S.dtype), argument
        if steps == 0:
            return before
        for _ in range(steps - 1):
            before, now = now, 2 * argument @ now - before
        return now

    left = polynomial(((high + low) * identity - 2 * S) / (high - low))
    left = left / polynomial(S.new_full((1, 1), (high + low) / (high - low)))
    solution = torch.linalg.solve(S, X.T @ y)
    return solution - left @ solution


def conjugate_gradient(X: Tensor, y: Tensor, *, steps: int) -> Tensor:
    """Each step minimises ``|y - X w|`` over one more power of S times X^T y: least squares in an orthonormal basis."""
    S, b = X.T @ X, X.T @ y
    basis = [b / b.norm()]
    for _ in range(steps - 1):
        vector = S @ basis[-1]
        for _ in range(2):  # once is not enough in floating point
            for other in basis:
                vector = vector - (other @ vector) * other
        if vector.norm() < 1e-10 * S.norm():
            break
        basis.append(vector / vector.norm())
    K = torch.stack(basis, dim=1)
    return K @ least_squares(X @ K, y)


def quasi_newton(X: Tensor, y: Tensor, *, steps: int, memory: int | None, first_step: float = 1.0) -> Tensor:
    """BFGS (memory None) or L-BFGS with H written out, halving each step until Armijo's condition holds."""
    identity = torch.eye(X.shape[1], dtype=X.dtype)
    w = X.new_zeros(X.shape[1])
    pairs: list[tuple[Tensor, Tensor]] = []

    def objective(w: Tensor) -> Tensor:
        return 0.5 * (X @ w - y).square().sum()

    for _ in range(steps):
        gradient = X.T @ (X @ w - y)
        if not gradient.norm() > 1e-9 * (X.T @ y).norm():
            break
        if pairs:
            kept = pairs if memory is None else pairs[-memory:]
            s, change = pairs[0] if memory is None else pairs[-1]
            H = s @ change / (change @ change) * identity
            for s, change in kept:
                V = identity - torch.outer(change, s) / (s @ change)
                H = V.T @ H @ V + torch.outer(s, s) / (s @ change)
        else:
            H = first_step / gradient.norm() * identity
        direction, length = -H @ gradient, 1.0
        while objective(w + length * direction) > objective(w) + 1e-4 * length * gradient @ direction:
            length /= 2
        after = w + length * direction
        pairs.append((after - w, X.T @ (X @ after - y) - gradient))
        w = after
    return w


def online_gradient_descent(X: Tensor, y: Tensor, *, lr: float, passes: int, normalised: bool) -> Tensor:
    w = X.new_zeros(X.shape[1])
    for _ in range(passes):
        for x, target in zip(X, y, strict=True):
            w = w - lr / (x @ x if normalised else 1) * (w @ x - target) * x
    return w
