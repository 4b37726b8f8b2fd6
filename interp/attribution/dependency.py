"""Which token's input moves which position's state."""

from collections.abc import Iterator
from copy import deepcopy

import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint

from interp._kernels import plain_kernels
from interp._progress import track
from interp._seeds import make_generator
from interp.matching.readouts import hook_names, run_options
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts, PromptSource

DIRECTIONS_AT_ONCE = 64
"""Input directions that one batched forward-mode pass follows."""
NUMBERS_AT_ONCE = 2**26
"""Derivatives that such a pass may hold: a quarter of a gigabyte in single precision."""


def token_dependency(
    model: HookedRegressor, prompts: PromptSource, layer: int, *, batch_size: int | None = None
) -> Float[Tensor, "pos pos"]:
    """How strongly each position's state after ``layer`` blocks depends on each input token.

    Entry [i, j] is the Frobenius norm of the Jacobian of position i's residual stream with respect to token j, averaged
    over prompts: of norms, never of Jacobians, whose signs would cancel. Layer 0 is the embedding. Units: stream per
    token coordinate. Memory holds one batch of ``batch_size`` prompts (by default as many as `default_prompts` says) at
    a time, however many there are. Raises ValueError for a layer the model lacks, and for a batch size below 1.
    """
    if not 0 <= layer <= model.cfg.n_layers:
        raise ValueError(f"`layer` must lie in 0..{model.cfg.n_layers} (0 is the embedding), got {layer}.")
    batches = _norms_by_batch(model, prompts, [layer], batch_size, n_directions=0, seed=0)
    return torch.stack([norms[0].sum(0) for norms in batches]).sum(0) / len(prompts)


def token_dependencies(
    model: HookedRegressor,
    prompts: PromptSource,
    layers: list[int] | None = None,
    *,
    n_directions: int = 0,
    seed: int = 0,
    batch_size: int | None = None,
) -> Float[Tensor, "layer prompt pos pos"]:
    """Jacobian norms of every prompt at the given layers (all, the embedding included, by default), in float64.

    Forward mode: one pass follows a direction of one token's input through all layers and positions at once, and
    prompts share directions because they do not see each other. The cost grows with the number of token coordinates,
    not with the width of the stream. Beside the answer, memory holds what one batch of ``batch_size`` prompts needs (by
    default as many as `default_prompts` says).

    With ``n_directions`` below the width of a token, so many random directions of each token's input stand for all of
    its coordinates: the squares are then estimates without bias, of relative deviation sqrt(2 / n_directions) at most.
    Raises ValueError for a batch size below 1.
    """
    chosen = list(range(model.cfg.n_layers + 1)) if layers is None else layers
    return torch.cat(list(_norms_by_batch(model, prompts, chosen, batch_size, n_directions, seed)), dim=1)


def default_prompts(
    model: HookedRegressor, tokens: Float[Tensor, "prompt pos d_token"], n_layers: int, n_directions: int
) -> int:
    """Prompts that are followed at once: as many as have `NUMBERS_AT_ONCE` derivatives, one at least.

    Counted, for each direction that is followed at once, are the kept streams of ``n_layers`` layers and those of the
    layer at work: in a transformer with MLPs of four times its width, sixteen vectors at every position and four
    attention patterns.
    """
    n_pos, cfg = tokens.shape[1], model.cfg
    streams, patterns = n_pos * cfg.d_model * (n_layers + 16), 4 * cfg.n_heads * n_pos**2
    return max(1, NUMBERS_AT_ONCE // (min(n_directions, DIRECTIONS_AT_ONCE) * (streams + patterns)))


def _norms_by_batch(
    model: HookedRegressor,
    prompts: PromptSource,
    layers: list[int],
    batch_size: int | None,
    n_directions: int,
    seed: int,
) -> Iterator[Float[Tensor, "layer prompt pos pos"]]:
    """The answer of `token_dependencies` batch by batch, on the model's device."""
    names = [hook_names(model)[layer] for layer in layers]
    device, model = model.tokens(prompts[:1]).device, _followable(model)
    example = model.tokens(prompts[:1]).detach()
    directions, sources = _directions(example, n_directions, seed)
    size = default_prompts(model, example, len(layers), len(directions)) if batch_size is None else batch_size
    if size < 1:
        raise ValueError(f"`batch_size` must be at least 1 prompt, got {size}; leave it out for the default.")
    with track("token dependency", len(prompts) * len(directions)) as tracker:
        for batch in prompts.batches(size):
            tokens = model.tokens(batch).detach()
            n_pos = tokens.shape[1]
            squares = torch.zeros(len(names), len(batch), n_pos, n_pos, dtype=torch.float64, device=tokens.device)
            with torch.no_grad(), plain_kernels():
                for start in range(0, len(directions), DIRECTIONS_AT_ONCE):
                    chunk = directions[start : start + DIRECTIONS_AT_ONCE]
                    moved = _squared_responses(model, batch, tokens, chunk, names)
                    squares.index_add_(3, sources[start : start + len(chunk)], moved.movedim(0, -1))
                    tracker.advance(by=len(chunk) * len(batch))
            yield squares.sqrt().to(device)


def _squared_responses(
    model: HookedRegressor,
    prompts: Prompts,
    tokens: Float[Tensor, "prompt pos d_token"],
    directions: Float[Tensor, "direction flat"],
    names: list[str],
) -> Float[Tensor, "direction layer prompt pos"]:
    """Squared length of what each direction moves in every position's stream at the hooks named, in float64."""

    def states(inputs: Tensor) -> tuple[Tensor, ...]:
        kept: dict[str, Tensor] = {}

        def keep(activation: Tensor, hook: HookPoint) -> None:
            kept[hook.name] = activation

        model.run_with_hooks(inputs, fwd_hooks=[(name, keep) for name in names], **run_options(prompts))
        return tuple(kept[name] for name in names)  # each [prompt pos d_model]

    def squared_response(direction: Tensor) -> Float[Tensor, "layer prompt pos"]:
        tangent = direction.reshape(1, *tokens.shape[1:]).expand(len(tokens), -1, -1)
        responses = torch.func.jvp(states, (tokens,), (tangent,))[1]
        return torch.stack([response.square().sum(-1) for response in responses])

    return torch.func.vmap(squared_response)(directions).double()


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
