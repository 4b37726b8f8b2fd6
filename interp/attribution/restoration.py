"""Corrupt what a neighbour holds, give one head its clean output back, and see how much of the damage is undone."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from interp._progress import track
from interp._seeds import make_generator
from interp.attribution.neighbours import WAYS, Case, Way
from interp.attribution.patching import head_outputs, head_patched, of_next_prompt
from interp.attribution.resumed import Resumed
from interp.matching.readouts import columns_of
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts
from probes import Interval, bootstrap_ratio

UNHARMED = Interval(0.0, 0.0, 0.0)
"""Where nothing was broken, nothing is restored."""


@dataclass(frozen=True)
class Restored:
    """Share of the damage to the prediction, in squared error, that a head's clean output undoes."""

    at_reader: Interval
    """Put back at the token beside the corrupted one."""
    elsewhere: Interval
    """Put back at another token of the reader's kind in the same prompt."""


@torch.no_grad()
def restore_neighbours(
    model: HookedRegressor, prompts: Prompts, cases: Sequence[Case], *, seed: int = 0
) -> dict[Case, Restored]:
    """Corrupt one neighbour's content per prompt, and patch the output of one head at its reader, case by case.

    In every prompt one reader is drawn, and what its neighbour holds (a y, or an x) replaced by that of another prompt,
    a fresh draw. The damage is the change of the predictions at all points behind both tokens. Then the head's output
    at the reader is put back to that of the clean prompt: 1 undoes the damage, 0 changes nothing, and below 0 it grows.
    """
    clean = Resumed.of(model, prompts)
    outputs = head_outputs(model, clean.tokens, {layer for _, layer, _ in cases})
    expected = clean.predictions(0).double()
    found = {}
    with track("patch heads", len(cases)) as tracker:
        for name in dict.fromkeys(name for name, _, _ in cases):
            way = WAYS[name]
            readers, others = _draw(way, prompts, seed)
            corrupted = Resumed.of(model, _corrupted(prompts, (readers - way.offset) // 2, way))
            behind = _columns_behind(model, prompts, torch.maximum(readers, readers - way.offset))

            def distance(answers: Tensor, behind: Tensor = behind) -> Float[Tensor, " prompt"]:
                return ((answers.double() - expected).square() * behind.to(answers.device)).sum(-1).cpu()

            damage = distance(corrupted.predictions(0))
            for layer, head in ((layer, head) for of_way, layer, head in cases if of_way == name):
                left = []
                for positions in (readers, others):
                    with head_patched(model, layer, head, outputs[layer], positions[:, None]):
                        left.append(distance(corrupted.predictions(layer)))
                found[name, layer, head] = Restored(*(_undone(part, damage) for part in left))
                tracker.advance()
    return found


def _draw(way: Way, prompts: Prompts, seed: int) -> tuple[Int[Tensor, " prompt"], Int[Tensor, " prompt"]]:
    """One reader of each prompt, and another one of the same prompt that does not read it."""
    readers = torch.tensor(way.readers(prompts.n_examples))
    chosen = torch.randint(len(readers), (len(prompts),), generator=make_generator(seed, "readers", way.name))
    return readers[chosen], readers[(chosen + len(readers) // 2) % len(readers)]


def _corrupted(prompts: Prompts, points: Int[Tensor, " prompt"], way: Way) -> Prompts:
    """The prompts with one y, or one x, of each taken from the next prompt."""
    rows = torch.arange(len(prompts))
    if way.source == "y":
        ys = prompts.ys.clone()
        ys[rows, points] = of_next_prompt(prompts.ys)[rows, points]
        return replace(prompts, ys=ys)
    xs = prompts.xs.clone()
    xs[rows, points] = of_next_prompt(prompts.xs)[rows, points]
    return replace(prompts, xs=xs)


def _columns_behind(
    model: HookedRegressor, prompts: Prompts, positions: Int[Tensor, " prompt"]
) -> Float[Tensor, "prompt column"]:
    """1 for the predictions at points after a position of each prompt, 0 for the others."""
    points = columns_of(model, prompts)
    columns = torch.tensor([prompts.n_examples] if points is None else list(points))
    return (2 * columns > positions[:, None]).double()


def _undone(left: Float[Tensor, " prompt"], damage: Float[Tensor, " prompt"]) -> Interval:
    if not damage.sum() > 0:
        return UNHARMED
    share = bootstrap_ratio(left, damage)
    return Interval(1 - share.estimate, 1 - share.high, 1 - share.low)
