"""Give a head the outputs it had on other prompts."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from jaxtyping import Float, Int
from torch import Tensor
from transformer_lens.hook_points import HookPoint

from interp.models.protocol import HookedRegressor


def head_outputs(
    model: HookedRegressor, tokens: Float[Tensor, "prompt pos d_token"], layers: Iterable[int]
) -> dict[int, Float[Tensor, "prompt pos head d_head"]]:
    """``hook_z`` of some blocks: what their heads put out, before their output weights."""
    names = {f"blocks.{layer}.attn.hook_z": layer for layer in layers}
    with torch.no_grad():
        _, cache = model.run_with_cache(tokens, names_filter=lambda name: name in names)
    return {layer: cache[name] for name, layer in names.items()}


@contextmanager
def head_patched(
    model: HookedRegressor,
    layer: int,
    head: int,
    outputs: Float[Tensor, "prompt pos head d_head"],
    positions: Int[Tensor, "prompt place"],
) -> Iterator[None]:
    """For as long as the context lasts, one head of block ``layer`` puts out ``outputs`` at some places of each prompt.

    ``outputs`` are those of all heads of the block, of which one is taken.
    """
    rows = torch.arange(len(positions))[:, None]

    def replace(z: Float[Tensor, "prompt pos head d_head"], hook: HookPoint) -> Tensor:
        patched = z.clone()
        patched[rows, positions, head] = outputs[rows, positions, head]
        return patched

    with model.hooks(fwd_hooks=[(f"blocks.{layer}.attn.hook_z", replace)]):
        yield


def of_next_prompt(values: Float[Tensor, "prompt ..."]) -> Float[Tensor, "prompt ..."]:
    """Every prompt's values replaced by those of the next one: an independent draw of the same law."""
    return values.roll(-1, dims=0)
