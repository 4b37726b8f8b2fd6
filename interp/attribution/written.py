"""What attending to a token writes, by the weights alone: the OV circuit on y and on x."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from interp.attribution.heads import require_heads
from interp.attribution.neighbours import Kind, require_neighbours
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts


@torch.no_grad()
def written_by_heads(
    model: HookedRegressor, prompts: Prompts, heads: Sequence[tuple[int, int]] | None = None
) -> pd.DataFrame:
    """What the OV circuit ``W_V W_O`` of each head does to the directions in which the embedding holds y, and x.

    One row per (layer, head, content, then): ``then`` names a head of a later layer through whose OV circuit it passes
    next ("" for none). Columns: layer (of blocks, from 1), head, content (y, x), then, size (length of what is written
    for a unit of content), gain (its component along the content's own direction: 1 is a copy into the same place, -1 a
    copy with its sign turned), cosine (gain over size). For x, all is averaged over its coordinates: size is a root
    mean square, gain a mean. What a head writes elsewhere than where it read it (large size, small gain) later heads
    may still read: their rows tell. Layer norms, which rescale the stream in between, are left out. ``heads`` are
    (layer, head) as in the table; all if none are given. Raises ValueError for models without heads or without
    neighbours.
    """
    require_heads(model)
    require_neighbours(model, prompts)
    spaces = _content_spaces(model, prompts)
    circuits = {
        (layer + 1, head): attn.W_V[head].double() @ attn.W_O[head].double()
        for layer, attn in enumerate(block.attn for block in model.blocks)  # type: ignore[attr-defined]
        for head in range(model.cfg.n_heads)
    }
    rows = []
    for layer, head in circuits if heads is None else heads:
        own = circuits[layer, head]
        paths = {"": own}
        paths |= {
            f"layer {later} head {other}": own @ circuits[later, other] for later, other in circuits if later > layer
        }
        for then, path in paths.items():
            for content, space in spaces.items():
                row: dict[str, Any] = {"layer": layer, "head": head, "content": content, "then": then}
                rows.append(row | _effect(space, path))
    return pd.DataFrame(rows)


def _effect(space: Float[Tensor, "direction d_model"], path: Float[Tensor, "d_model d_model"]) -> dict[str, float]:
    """Size, gain and cosine of a linear map on orthonormal directions."""
    written = space @ path
    size, gain = float(written.square().sum(-1).mean().sqrt()), float((written * space).sum(-1).mean())
    return {"size": size, "gain": gain, "cosine": gain / size if size > 0 else 0.0}


def _content_spaces(model: HookedRegressor, prompts: Prompts) -> dict[Kind, Float[Tensor, "direction d_model"]]:
    """Orthonormal directions in which the stream before the first block holds the contents of y and of x tokens.

    Taken from how the embedding answers to each coordinate of a token, of which it is an affine function.
    """
    tokens = model.tokens(prompts)
    in_x, in_y = ((tokens[:, position] != 0).any(0) for position in (0, 1))
    d_token = tokens.shape[-1]
    moved = torch.zeros_like(tokens[:1]).repeat(1 + d_token, 1, 1)
    moved[1:, 0] = torch.eye(d_token)  # one coordinate at a time, in the first token
    kept: list[Tensor] = []

    def keep(resid: Tensor, hook: HookPoint) -> None:
        kept.append(resid[:, 0].double())

    model.run_with_hooks(moved, fwd_hooks=[("blocks.0.hook_resid_pre", keep)])
    directions = kept[0][1:] - kept[0][0]  # [d_token d_model]
    return {"y": _orthonormal(directions[in_y]), "x": _orthonormal(directions[in_x])}


def _orthonormal(directions: Float[Tensor, "given d_model"]) -> Float[Tensor, "direction d_model"]:
    """A basis of the space that the directions span."""
    _, values, basis = torch.linalg.svd(directions, full_matrices=False)
    return basis[values > 1e-9 * values[0]]
