"""Give a head the outputs of prompts that differ in what the neighbours hold, or in all else."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch

from interp._progress import track
from interp.attribution.neighbours import WAYS, Case, Kind
from interp.attribution.patching import head_outputs, head_patched, of_next_prompt
from interp.attribution.resumed import Resumed
from interp.models.protocol import HookedRegressor
from interp.tasks import Prompts
from probes import Interval, bootstrap_mean


@dataclass(frozen=True)
class Swapped:
    """How much the loss (half the mean squared error) rises with a head's output on other prompts at its readers."""

    content: Interval
    """On prompts with other contents of the neighbours, and all else the same."""
    rest: Interval
    """On prompts with the same contents of the neighbours, and all else different."""


@torch.no_grad()
def swap_outputs(model: HookedRegressor, prompts: Prompts, cases: Sequence[Case]) -> dict[Case, Swapped]:
    """Resample one head's output at the readers of a way, case by case.

    A head that the answer needs for what the neighbours hold, and for nothing else, makes the answer worse with other
    contents and leaves it as it is with another rest. Both outputs are the head's own on prompts of the same law, so
    that, unlike a random vector, neither takes the model where it has never been.
    """
    clean = Resumed.of(model, prompts)
    baseline = clean.losses(0)
    # What each kind of token holds, drawn anew: other ys, other xs (the query's too).
    redrawn = {
        "y": replace(prompts, ys=of_next_prompt(prompts.ys)),
        "x": replace(prompts, xs=of_next_prompt(prompts.xs)),
    }
    layers = {layer for _, layer, _ in cases}
    outputs = {kind: head_outputs(model, model.tokens(other), layers) for kind, other in redrawn.items()}

    def rise(case: Case, kind: Kind) -> Interval:
        name, layer, head = case
        readers = torch.tensor(WAYS[name].readers(prompts.n_examples)).expand(len(prompts), -1)
        with head_patched(model, layer, head, outputs[kind][layer], readers):
            return bootstrap_mean(clean.losses(layer) - baseline)

    found = {}
    with track("swap outputs", len(cases)) as tracker:
        for case in cases:
            way = WAYS[case[0]]
            found[case] = Swapped(content=rise(case, way.source), rest=rise(case, way.reader))
            tracker.advance()
    return found
