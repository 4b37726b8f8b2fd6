"""Which token's input moves which position's state."""

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from transformer_lens.hook_points import HookPoint

from interp._progress import track
from interp._seeds import make_generator
from interp.matching.readouts import hook_names, run_options
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts

DIRECTIONS_AT_ONCE = 64
"""Input directions that one batched forward-mode pass follows."""


def token_dependency(model: HookedRegressor, prompts: Prompts, layer: int) -> Float[Tensor, "pos pos"]:
    """How strongly each position's state after ``layer`` blocks depends on each input token.

    Entry [i, j] is the Frobenius norm of the Jacobian of position i's residual stream with respect to token j, averaged
    over prompts: of norms, never of Jacobians, whose signs would cancel. Layer 0 is the embedding. Units: stream per
    token coordinate. Raises ValueError for a layer the model lacks.
    """
    if not 0 <= layer <= model.cfg.n_layers:
        raise ValueError(f"`layer` must lie in 0..{model.cfg.n_layers} (0 is the embedding), got {layer}.")
    return token_dependencies(model, prompts, layers=[layer])[0].mean(0)


def token_dependencies(
    model: HookedRegressor, prompts: Prompts, layers: list[int] | None = None, *, n_directions: int = 0, seed: int = 0
) -> Float[Tensor, "layer prompt pos pos"]:
    """Jacobian norms of every prompt at the given layers (all, the embedding included, by default), in float64.

    Forward mode: one pass follows a direction of one token's input through all layers and positions at once, and
    prompts share directions because they do not see each other. The cost grows with the number of token coordinates,
    not with the width of the stream.

    With ``n_directions`` below the width of a token, so many random directions of each token's input stand for all of
    its coordinates: the squares are then estimates without bias, of relative deviation sqrt(2 / n_directions) at most.
    """
    chosen = list(range(model.cfg.n_layers + 1)) if layers is None else layers
    names = [hook_names(model)[layer] for layer in chosen]
    device, model = model.tokens(prompts[:1]).device, _followable(model)
    tokens = model.tokens(prompts).detach()
    n_prompts, n_pos, d_token = tokens.shape

    def states(inputs: Tensor) -> Tensor:
        kept: dict[str, Tensor] = {}

        def keep(activation: Tensor, hook: HookPoint) -> None:
            kept[hook.name] = activation

        model.run_with_hooks(inputs, fwd_hooks=[(name, keep) for name in names], **run_options(prompts))
        return torch.stack([kept[name] for name in names])  # [layer prompt pos d_model]

    def squared_response(direction: Tensor) -> Float[Tensor, "layer prompt pos"]:
        tangent = direction.reshape(1, n_pos, d_token).expand(n_prompts, -1, -1)
        response = torch.func.jvp(states, (tokens,), (tangent,))[1]
        return response.square().sum(-1)

    directions, sources = _directions(tokens, n_directions, seed)
    squares = torch.zeros(len(names), n_prompts, n_pos, n_pos, dtype=torch.float64, device=tokens.device)
    with torch.no_grad(), _plain_kernels(), track("token dependency", len(directions)) as tracker:
        for start in range(0, len(directions), DIRECTIONS_AT_ONCE):
            chunk = directions[start : start + DIRECTIONS_AT_ONCE]
            moved = torch.func.vmap(squared_response)(chunk).double()  # [direction layer prompt pos]
            squares.index_add_(3, sources[start : start + len(chunk)], moved.movedim(0, -1))
            tracker.advance(by=len(chunk))
    return squares.sqrt().to(device)


@contextmanager
def _plain_kernels() -> Iterator[None]:
    """Fused kernels of attention and of recurrences have no forward-mode derivative; the plain ones have."""
    fused = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # annotated as the property that guards it
    try:
        with sdpa_kernel([SDPBackend.MATH]):
            yield
    finally:
        torch.backends.mkldnn.enabled = fused


def _followable(model: HookedRegressor) -> HookedRegressor:
    """The model, or a copy of it on the CPU if it holds recurrences: none of CUDA's has a forward-mode derivative."""
    if isinstance(model, nn.Module) and any(isinstance(part, nn.RNNBase) for part in model.modules()):
        return deepcopy(model).cpu()
    return model


def _directions(
    tokens: Float[Tensor, "prompt pos d_token"], count: int, seed: int
) -> tuple[Float[Tensor, "direction flat"], Int[Tensor, " direction"]]:
    """Directions in which all tokens' inputs are moved, one token at a time, and which token each of them moves."""
    n_pos, d_token = tokens.shape[1:]
    if not 0 < count < d_token:
        count, own = d_token, torch.eye(d_token)
        each = own.expand(n_pos, -1, -1)
    else:
        each = torch.randn(n_pos, count, d_token, generator=make_generator(seed, "directions")) / count**0.5
    sources = torch.arange(n_pos).repeat_interleave(count)
    placed = torch.zeros(n_pos * count, n_pos, d_token)
    placed[torch.arange(n_pos * count), sources] = each.flatten(0, 1)
    return placed.flatten(1).to(tokens), sources.to(tokens.device)


def dependency_profile(dependency: Float[Tensor, "pos pos"]) -> pd.DataFrame:
    """Mean dependency by offset (output position minus input position), one row per offset.

    Columns: offset (0 is the token itself, 1 the token before), dependency, n_pairs.
    """
    n_pos = dependency.shape[0]
    rows = []
    for offset in range(-(n_pos - 1), n_pos):
        diagonal = dependency.diagonal(-offset)
        rows.append({"offset": offset, "dependency": float(diagonal.mean()), "n_pairs": len(diagonal)})
    return pd.DataFrame(rows)
