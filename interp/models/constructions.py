"""Transformers whose weights are written down, not trained: what a matching tool must name rightly."""

import math
from collections.abc import Callable, Sequence
from inspect import signature

import torch
from torch import Tensor

from interp._names import unknown_name
from interp._specs import Value
from interp.models.config import TransformerConfig
from interp.models.copying import N_CHANNELS, write_copying
from interp.models.descent import write_descent
from interp.models.folders import ModelInfo, current_versions, weights_checksum
from interp.models.transformer import RegressionTransformer
from interp.tasks import LinearRegression, TokenLayout


def gd(
    *, steps: int = 1, dim: int = 5, lr: float = 0.0, points: int = 0, noise_std: float = 0.0, clamp: float = 0.0
) -> RegressionTransformer:
    """``steps`` layers of linear attention, each one step of gradient descent (von Oswald et al., Proposition 1).

    ``lr`` is eta of the loss (1/2n)|y - Xw|^2; 0 stands for the reciprocal of the expected leading eigenvalue of S/n.
    ``points`` counts the query; 0 stands for 2 dim examples and the query. Tokens are (x, y), the query (x, 0). Where
    ``clamp`` is not 0 it bounds the activations, as in the published models of more than three layers.
    """
    task = _task(dim, points, noise_std)
    n = task.n_points - 1
    lr = lr or n / _leading_eigenvalue(task)
    return _descent(task, [lr / n] * steps, [0.0] * steps, clamp)


def gd_plus(
    *,
    steps: int = 1,
    dim: int = 5,
    lr: float = 0.0,
    gamma: float = 0.0,
    points: int = 0,
    noise_std: float = 0.0,
    clamp: float = 0.0,
) -> RegressionTransformer:
    """``steps`` layers of GD++: the step on y, and x <- (I - gamma X^T X) x with the same keys and queries.

    ``lr`` (sum-normalised) and ``gamma`` at 0 stand for 1 and 1/4 over the expected leading eigenvalue of S.
    """
    task = _task(dim, points, noise_std)
    top = _leading_eigenvalue(task)
    return _descent(task, [lr or 1 / top] * steps, [gamma or 0.25 / top] * steps, clamp)


def descent_twin(
    model: RegressionTransformer, eta_over_n: Sequence[float], gamma: Sequence[float]
) -> RegressionTransformer:
    """GD++ (GD where all gamma are 0) as weights in a model's own shape: its task, its clamp, one layer per step.

    It is on the model's device and in its precision. What bounds or rescales the model's activations out of
    distribution then bounds the algorithm's just as much. Raises ValueError where the two lists differ in length, and
    for tasks that are not linear.
    """
    if not isinstance(model.task, LinearRegression):
        raise ValueError(f"GD on x solves linear regression; the model's task is {type(model.task).__name__}.")
    if len(eta_over_n) != len(gamma):
        raise ValueError(
            f"Every step has one eta/n and one gamma, got {len(eta_over_n)} and {len(gamma)}; give as many of each."
        )
    parameter = next(model.parameters())
    twin = _descent(model.task, eta_over_n, gamma, model.cfg.clamp or 0.0)
    return twin.to(parameter.device, parameter.dtype)


def newton(
    *, steps: int = 1, dim: int = 5, alpha: float = 0.0, points: int = 0, noise_std: float = 0.0
) -> RegressionTransformer:
    """Iterative Newton from M_0 = alpha S in ``steps + 2`` layers of width 2 dim + 3.

    The stream holds (x, y, m, a, b). Layer 1 writes m = alpha S x. In each later layer one head adds
    -(1/2) M S M x to m and another writes y^T X M x into b; the linear MLP doubles m and moves b into a. Layer
    l >= 2 thus predicts, in a, with Newton step l - 2. ``alpha`` at 0 stands for half the reciprocal of the squared
    expected leading eigenvalue of S, which leaves room for prompts that exceed it.
    """
    task = _task(dim, points, noise_std)
    alpha = alpha or 0.5 / _leading_eigenvalue(task) ** 2
    width = 2 * dim + 3
    cfg = TransformerConfig(
        dim=dim,
        n_layers=steps + 2,
        n_heads=2,
        width=width,
        head_width=dim,
        mlp="linear",
        mlp_width=width,
        read_in="linear",
        readout="linear",
    )
    x, m = slice(0, dim), slice(dim + 1, 2 * dim + 1)
    y, a, b = dim, 2 * dim + 1, 2 * dim + 2
    eye = torch.eye(dim)
    weights = {name: torch.zeros_like(values) for name, values in RegressionTransformer(cfg, task).named_parameters()}
    weights["W_E"][:, : dim + 1] = torch.eye(dim + 1)
    weights["W_U"][a] = 1
    for layer in range(steps + 2):
        part = {name: weights[f"blocks.{layer}.attn.{name}"] for name in ("W_Q", "W_K", "W_V", "W_O")}
        if layer == 0:
            part["W_Q"][0, x], part["W_K"][0, x], part["W_V"][0, x] = eye, eye, eye
            part["W_O"][0, :, m] = alpha * eye
            continue
        # head 0: m += -1/2 sum_j m_j (x_j . m)
        part["W_Q"][0, m], part["W_K"][0, x], part["W_V"][0, m] = eye, eye, eye
        part["W_O"][0, :, m] = -0.5 * eye
        # head 1: b += sum_j y_j (m_j . x)
        part["W_Q"][1, x], part["W_K"][1, m] = eye, eye
        part["W_V"][1, y, 0] = 1
        part["W_O"][1, 0, b] = 1
        # MLP: m += m, a += b - a, b -= b
        weights[f"blocks.{layer}.mlp.W_in"].copy_(torch.eye(width))
        out = weights[f"blocks.{layer}.mlp.W_out"]
        out[m, m] = eye
        out[b, a], out[a, a], out[b, b] = 1, -1, -1
    return _with_weights(cfg, task, weights)


def copying(*, dim: int = 5, points: int = 0, lr: float = 0.0, noise_std: float = 0.0) -> RegressionTransformer:
    """Copying and then one step of gradient descent, on x and y in tokens of their own.

    (von Oswald et al. 2022: the proposition on copying in section 4, and Proposition 1.)

    The softmax layer turns the tokens (x, 0), (0, y) into (x, y), (0, y), exactly; the linear layer then is that of
    `gd`, for which a token without x is none. Queries are keys, so that the last one has itself to attend to. ``lr``
    and ``points`` are as in `gd`.
    """
    task = _task(dim, points, noise_std)
    eta = lr or (task.n_points - 1) / _leading_eigenvalue(task)
    cfg = TransformerConfig(
        dim=dim,
        layout=TokenLayout(kind="interleaved"),
        n_layers=2,
        attention=("softmax", "linear"),
        query_in_context=True,
        positions="sinusoidal",
        position_mode="concatenate",
        d_pos=N_CHANNELS,
    )
    model = RegressionTransformer(cfg, task)
    copying_layer, descent_layer = (block.attn for block in model.blocks)
    write_copying(copying_layer, cfg, cfg.layout.n_tokens(task.n_points))
    write_descent(descent_layer, cfg, eta / (task.n_points - 1))
    return model


CONSTRUCTIONS: dict[str, Callable[..., RegressionTransformer]] = {
    "gd": gd,
    "gd++": gd_plus,
    "newton": newton,
    "copy": copying,
}
"""Constructions by the name that `interp.load` takes, as in ``gd:steps=3,dim=5``."""


def build_construction(name: str, parameters: dict[str, Value]) -> RegressionTransformer:
    """Build a construction from its name and parameters.

    Raises ValueError for unknown names and parameters, and for values of the wrong type or out of range.
    """
    if name not in CONSTRUCTIONS:
        raise unknown_name("construction", name, CONSTRUCTIONS)
    builder = CONSTRUCTIONS[name]
    known = signature(builder).parameters
    for key, value in parameters.items():
        if key not in known:
            raise unknown_name(f"parameter of {name!r}", key, known)
        counts = known[key].annotation is int
        least = 1 if counts else 0
        if isinstance(value, str) or (counts and not isinstance(value, int)) or not least <= value < math.inf:
            expected = "a whole number from 1 up" if counts else "a number from 0 up"
            raise ValueError(f"{key!r} of {name!r} must be {expected}, got {value!r}.")
    model = builder(**parameters)
    spec = ",".join(f"{key}={value}" for key, value in parameters.items())
    model.info = ModelInfo(
        name=f"{name}:{spec}" if spec else name,
        source="construction",
        versions=current_versions(),
        checksum=weights_checksum(model),
    )
    return model


def _descent(
    task: LinearRegression, eta: Sequence[float], gamma: Sequence[float], clamp: float
) -> RegressionTransformer:
    """One layer for each step, of size eta and gamma."""
    cfg = TransformerConfig(dim=task.dim, n_layers=len(eta), clamp=clamp or None)
    model = RegressionTransformer(cfg, task)
    for block, step, straightening in zip(model.blocks, eta, gamma, strict=True):
        write_descent(block.attn, cfg, step, straightening)
    return model


def _with_weights(cfg: TransformerConfig, task: LinearRegression, weights: dict[str, Tensor]) -> RegressionTransformer:
    model = RegressionTransformer(cfg, task)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights[name])
    return model


def _task(dim: int, points: int, noise_std: float) -> LinearRegression:
    if points == 1:
        raise ValueError("A construction needs at least one example before the query, got points=1.")
    return LinearRegression(dim=dim, n_points=points or 2 * dim + 1, noise_std=noise_std)


def _leading_eigenvalue(task: LinearRegression) -> float:
    """The leading eigenvalue of S that random-matrix theory expects (the Marchenko-Pastur edge)."""
    n = task.n_points - 1
    return n * task.input_variance * (1 + (task.dim / n) ** 0.5) ** 2
