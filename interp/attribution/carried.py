"""What a head's output holds of the neighbour's content."""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp.attribution.neighbours import WAYS, Case, wrong_neighbours
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts
from probes import Interval, LayerwiseRidge, bootstrap_ratio

PROMPTS_AT_ONCE = 256
"""Prompts whose head outputs are held at a time."""
HELD_OUT = 4
"""One in so many prompts of the selection half chooses the penalty."""


@dataclass(frozen=True)
class Carried:
    """Held-out R2 of linear readouts of one head's output, at the tokens that read."""

    right: Interval
    """Of what the neighbour holds."""
    wrong: Interval
    """Of what another reader's neighbour in the same prompt holds."""


@torch.no_grad()
def carried_contents(model: HookedRegressor, prompts: Prompts) -> dict[Case, Carried]:
    """How well the neighbour's content is read linearly from what each head writes.

    A ridge readout of the head's output before its output weights (``hook_z``, of which what it writes is a linear
    function) is fitted on the first half of the prompts, all readers sharing one readout; a quarter of that half
    chooses its penalty; R2 is that on the second half.
    """
    selection, estimation = prompts.halves()
    fitters = {(name, right): LayerwiseRidge() for name in WAYS for right in (True, False)}
    for batch, outputs in _head_outputs(model, selection, PROMPTS_AT_ONCE):
        held_out = torch.arange(len(batch)) % HELD_OUT == HELD_OUT - 1
        for (name, right), fitter in fitters.items():
            features, targets = _samples(name, right, outputs, batch)
            for part, is_held_out in ((~held_out, False), (held_out, True)):
                fitter.update(features[:, part].flatten(1, 2), targets[part].flatten(0, 1), held_out=is_held_out)
    probes = {key: fitter.probes() for key, fitter in fitters.items()}
    errors: dict[tuple[str, bool], list[Tensor]] = {key: [] for key in fitters}
    for batch, outputs in _head_outputs(model, estimation, PROMPTS_AT_ONCE):
        for (name, right), probe in probes.items():
            features, targets = _samples(name, right, outputs, batch)
            errors[name, right].append((probe(features) - targets).square().flatten(2).sum(-1).cpu())
    scores = {}
    for name, way in WAYS.items():
        contents = way.contents(estimation)
        spread = (contents - contents.flatten(0, 1).mean(0)).square().flatten(1).sum(1).cpu()  # the same for both
        of_heads = {right: torch.cat(errors[name, right], dim=1) for right in (True, False)}  # [head prompt]
        for i in range(model.cfg.n_layers * model.cfg.n_heads):
            scores[name, *divmod(i, model.cfg.n_heads)] = Carried(
                right=_r2(of_heads[True][i], spread), wrong=_r2(of_heads[False][i], spread)
            )
    return scores


def _head_outputs(
    model: HookedRegressor, prompts: Prompts, at_once: int
) -> Iterator[tuple[Prompts, Float[Tensor, "head prompt pos d_head"]]]:
    """Outputs of all heads of all blocks, one after another, some prompts at a time."""
    names = [f"blocks.{layer}.attn.hook_z" for layer in range(model.cfg.n_layers)]
    for start in range(0, len(prompts), at_once):
        batch = prompts[start : start + at_once]
        _, cache = model.run_with_cache(model.tokens(batch), names_filter=lambda name: name in names)
        yield batch, torch.cat([cache[name].movedim(2, 0) for name in names])


def _samples(
    name: str, right: bool, outputs: Float[Tensor, "head prompt pos d_head"], prompts: Prompts
) -> tuple[Float[Tensor, "head prompt reader d_head"], Float[Tensor, "prompt reader target"]]:
    """Head outputs at the readers, and what their right or wrong neighbours hold."""
    way = WAYS[name]
    contents = way.contents(prompts).to(outputs.device)
    features = outputs[:, :, way.readers(prompts.n_examples)]
    return features, contents if right else wrong_neighbours(contents)


def _r2(errors: Float[Tensor, " prompt"], spread: Float[Tensor, " prompt"]) -> Interval:
    unexplained = bootstrap_ratio(errors, spread)
    return Interval(1 - unexplained.estimate, 1 - unexplained.high, 1 - unexplained.low)
