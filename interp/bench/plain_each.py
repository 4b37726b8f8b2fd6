"""Every solver as one would write it down, one problem at a time.

A *problem* is one prefix of one prompt, as in `plain_solvers`. Each function here yields the iterates w_0, w_1, ... of
its solver on the examples X [point dim] and y [point], with that solver's hyperparameters; a one-shot solver yields its
only answer for ever.
"""

import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice, repeat

import sklearn.linear_model
import torch
from sklearn.exceptions import ConvergenceWarning
from torch import Tensor

from interp.bench.plain_solvers import Predictor
from interp.solvers import (
    BFGS,
    LBFGS,
    AbstractSolver,
    Averaging,
    Chebyshev,
    ConjugateGradient,
    GradientDescent,
    GradientDescentPlus,
    GradientFlow,
    HeavyBall,
    Lasso,
    NearestNeighbours,
    Nesterov,
    Newton,
    OnlineGradientDescent,
    OrdinaryLeastSquares,
    Ridge,
)

Iterates = Iterator[Tensor]


@dataclass(frozen=True)
class Rival:
    """A solver of ours, with the hyperparameters that the plain loop beside it has too."""

    solver: AbstractSolver
    steps: tuple[int, ...]
    predict: Predictor


def rivals() -> list[Rival]:
    """Every solver that knows something, with its default steps, those of cg up to `LAST_CG_STEP`."""
    return [Rival(solver, steps, _predictor(solver, steps)) for solver in SETTINGS for steps in [_steps(solver)]]


SETTINGS: tuple[AbstractSolver, ...] = (
    GradientDescent(),
    GradientDescentPlus(lr=0.004, gamma=0.001),
    GradientFlow(),
    HeavyBall(lr=0.1, momentum=0.5),
    Nesterov(lr=0.1, momentum=0.5),
    Chebyshev(),
    ConjugateGradient(),
    BFGS(),
    LBFGS(),
    Newton(),
    OnlineGradientDescent(),
    OrdinaryLeastSquares(),
    Ridge(),
    Lasso(),
    Averaging(),
    NearestNeighbours(),
)
"""Where the defaults are not kept: stable for standard normal inputs, with more than one distinct term."""

LAST_CG_STEP = 16
"""Just before it ends, at step 20 in 20 dimensions, conjugate gradient magnifies rounding: two ways to write it down
then differed by 3e-4, at step 16 by 1e-9."""


def _steps(solver: AbstractSolver) -> tuple[int, ...]:
    last = LAST_CG_STEP if isinstance(solver, ConjugateGradient) else max(solver.default_steps)
    return tuple(step for step in solver.default_steps if step <= last)


def _predictor(solver: AbstractSolver, steps: Sequence[int]) -> Predictor:
    if isinstance(solver, NearestNeighbours):
        return lambda X, y, query: [_nearest(X, y, query, solver.neighbours)] * len(steps)
    iterates = ITERATES[type(solver)]

    def predict(X: Tensor, y: Tensor, query: Tensor) -> list[Tensor]:
        wanted, kept = set(steps), {}
        for k, w in enumerate(islice(iterates(solver, X, y), max(steps) + 1)):
            if k in wanted:
                kept[k] = query @ w
        return [kept[k] for k in steps]

    return predict


def _gradient_descent(solver: GradientDescent, X: Tensor, y: Tensor) -> Iterates:
    assert isinstance(solver.lr, float)
    S, b = X.T @ X / len(X), X.T @ y / len(X)
    w = torch.zeros_like(b)
    while True:
        yield w
        w = w - solver.lr * (S @ w - b)


def _gradient_descent_plus(solver: GradientDescentPlus, X: Tensor, y: Tensor) -> Iterates:
    assert isinstance(solver.lr, float) and isinstance(solver.gamma, float)
    w, on_query = X.new_zeros(X.shape[1]), torch.eye(X.shape[1]).to(X)
    while True:
        yield w
        S, b = X.T @ X, X.T @ y
        w = w + solver.lr * on_query @ b
        y = y - solver.lr * X @ b
        X, on_query = X - solver.gamma * X @ S, on_query - solver.gamma * on_query @ S


def _gradient_flow(solver: GradientFlow, X: Tensor, y: Tensor) -> Iterates:
    """By the exponential of one step: the constant term is one more coordinate, which stays 1."""
    dim = X.shape[1]
    generator = X.new_zeros(dim + 1, dim + 1)
    generator[:dim, :dim], generator[:dim, dim] = -X.T @ X / len(X), X.T @ y / len(X)
    step = torch.linalg.matrix_exp(solver.lr * generator)
    state = X.new_zeros(dim + 1)
    state[dim] = 1.0
    while True:
        yield state[:dim]
        state = step @ state


def _heavy_ball(solver: HeavyBall, X: Tensor, y: Tensor) -> Iterates:
    S, b = X.T @ X / len(X), X.T @ y / len(X)
    w = before = torch.zeros_like(b)
    while True:
        yield w
        w, before = w - solver.lr * (S @ w - b) + solver.momentum * (w - before), w


def _nesterov(solver: Nesterov, X: Tensor, y: Tensor) -> Iterates:
    S, b = X.T @ X / len(X), X.T @ y / len(X)
    w = before = torch.zeros_like(b)
    while True:
        yield w
        ahead = w + solver.momentum * (w - before)
        w, before = ahead - solver.lr * (S @ ahead - b), w


def _chebyshev(solver: Chebyshev, X: Tensor, y: Tensor) -> Iterates:
    S, b = X.T @ X, X.T @ y
    eigenvalues = torch.linalg.eigvalsh(S)
    high = eigenvalues[-1]
    low = eigenvalues[eigenvalues > 1e-12 * high].min()
    middle, half = (high + low) / 2, (high - low) / 2
    ratio = half / middle
    w, change = torch.zeros_like(b), b / middle
    while True:
        yield w
        w = w + change
        following = half / (2 * middle - half * ratio)
        change = following * ratio * change + 2 / (2 * middle - half * ratio) * (b - S @ w)
        ratio = following


def _conjugate_gradient(solver: ConjugateGradient, X: Tensor, y: Tensor) -> Iterates:
    S, b = X.T @ X, X.T @ y
    w = torch.zeros_like(b)
    left = direction = b
    while True:
        yield w
        square = left @ left
        if square > 1e-26 * (b @ b):
            image = S @ direction
            length = square / (direction @ image)
            w, left = w + length * direction, left - length * image
            direction = left + (left @ left) / square * direction


def _bfgs(solver: BFGS, X: Tensor, y: Tensor) -> Iterates:
    S, b = X.T @ X, X.T @ y
    w, gradient = torch.zeros_like(b), -b
    identity = torch.eye(len(b)).to(X)
    inverse = None
    while True:
        yield w
        if gradient.norm() <= 1e-13 * b.norm():
            continue
        direction = -(solver.first_step / gradient.norm() * gradient if inverse is None else inverse @ gradient)
        s = _backtracked(S, gradient, direction) * direction
        change = S @ s
        if inverse is None:
            inverse = (s @ change) / (change @ change) * identity
        turn = identity - torch.outer(s, change) / (s @ change)
        inverse = turn @ inverse @ turn.T + torch.outer(s, s) / (s @ change)
        w, gradient = w + s, gradient + change


def _lbfgs(solver: LBFGS, X: Tensor, y: Tensor) -> Iterates:
    S, b = X.T @ X, X.T @ y
    w, gradient = torch.zeros_like(b), -b
    pairs: list[tuple[Tensor, Tensor]] = []
    while True:
        yield w
        if gradient.norm() <= 1e-13 * b.norm():
            continue
        if pairs:
            direction, shares = -gradient, []
            for s, change in reversed(pairs):
                shares.append((s @ direction) / (s @ change))
                direction = direction - shares[-1] * change
            s, change = pairs[-1]
            direction = (s @ change) / (change @ change) * direction
            for (s, change), share in zip(pairs, reversed(shares), strict=True):
                direction = direction + (share - (change @ direction) / (s @ change)) * s
        else:
            direction = -solver.first_step / gradient.norm() * gradient
        s = _backtracked(S, gradient, direction) * direction
        change = S @ s
        pairs = [*pairs, (s, change)][-solver.memory :]
        w, gradient = w + s, gradient + change


def _backtracked(S: Tensor, gradient: Tensor, direction: Tensor) -> float:
    """1, halved until the objective falls by a ten-thousandth of what the slope promises."""
    slope, curvature, length = gradient @ direction, direction @ S @ direction, 1.0
    while length * slope + 0.5 * length**2 * curvature > 1e-4 * length * slope:
        length /= 2
    return length


def _newton(solver: Newton, X: Tensor, y: Tensor) -> Iterates:
    S, b = X.T @ X, X.T @ y
    M = S / torch.linalg.norm(S @ S)
    while True:
        yield M @ b
        M = 2 * M - M @ S @ M


def _online_gradient_descent(solver: OnlineGradientDescent, X: Tensor, y: Tensor) -> Iterates:
    w = X.new_zeros(X.shape[1])
    while True:
        yield w
        for x, target in zip(X, y, strict=True):
            w = w - solver.lr * (w @ x - target) * x


def _ordinary_least_squares(solver: OrdinaryLeastSquares, X: Tensor, y: Tensor) -> Iterates:
    return repeat(torch.linalg.lstsq(X, y[:, None], driver="gelsd").solution[:, 0])


def _ridge(solver: Ridge, X: Tensor, y: Tensor) -> Iterates:
    return repeat(torch.linalg.solve(X.T @ X + solver.alpha * torch.eye(X.shape[1]).to(X), X.T @ y))


def _lasso(solver: Lasso, X: Tensor, y: Tensor) -> Iterates:
    model = sklearn.linear_model.Lasso(alpha=solver.alpha, fit_intercept=False, tol=1e-10, max_iter=10_000)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return repeat(torch.from_numpy(model.fit(X.numpy(), y.numpy()).coef_))


def _averaging(solver: Averaging, X: Tensor, y: Tensor) -> Iterates:
    return repeat(solver.scale * (y[:, None] * X).mean(0))


def _nearest(X: Tensor, y: Tensor, query: Tensor, neighbours: int) -> Tensor:
    return y[(X - query).norm(dim=1).argsort()[:neighbours]].mean()


ITERATES: Mapping[type[AbstractSolver], Callable[..., Iterates]] = {
    GradientDescent: _gradient_descent,
    GradientDescentPlus: _gradient_descent_plus,
    GradientFlow: _gradient_flow,
    HeavyBall: _heavy_ball,
    Nesterov: _nesterov,
    Chebyshev: _chebyshev,
    ConjugateGradient: _conjugate_gradient,
    BFGS: _bfgs,
    LBFGS: _lbfgs,
    Newton: _newton,
    OnlineGradientDescent: _online_gradient_descent,
    OrdinaryLeastSquares: _ordinary_least_squares,
    Ridge: _ridge,
    Lasso: _lasso,
    Averaging: _averaging,
}
