"""What can be read linearly from each layer."""

from collections.abc import Callable, Hashable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from interp._names import unknown_name
from interp._progress import track
from interp.matching.readouts import (
    ask_many_queries,
    batch_size_for,
    check_dim,
    check_first_point,
    columns_of,
    problems_of,
    states_of_batch,
)
from interp.matching.twins import make_twins
from interp.models.protocol import HookedRegressor, require_regressor
from interp.solvers import OrdinaryLeastSquares, Regressions
from interp.tasks import Prompts, PromptSource
from probes import (
    Interval,
    LinearProbes,
    NamedSums,
    PromptwiseRidge,
    ResampledMeans,
    Spread,
    interval_of_mean,
    interval_of_ratio,
    prompt_cosines,
    prompt_errors,
)

Targets = Float[Tensor, "prompt column target"]


def _next_y(problems: Regressions, prompts: Prompts) -> Targets:
    return problems.targets[..., None]


def _hidden_w(problems: Regressions, prompts: Prompts) -> Targets:
    if prompts.w is None:
        raise ValueError("These prompts have no hidden weights (`w` is None); leave the target 'w' out.")
    return prompts.w.double()[:, None].expand(-1, problems.targets.shape[1], -1)


def _least_squares(problems: Regressions, prompts: Prompts) -> Targets:
    return _per_query(problems, OrdinaryLeastSquares().trace(problems, (1,)).weights[0])


def _moment(problems: Regressions, prompts: Prompts) -> Targets:
    return _per_query(problems, problems.sums()[1])


TARGETS: dict[str, Callable[[Regressions, Prompts], Targets]] = {
    "next_y": _next_y,
    "w": _hidden_w,
    "w_ols": _least_squares,
    "xty": _moment,
}
"""What is read for: the answer, the hidden weights, the least-squares weights and X^T y of the examples so far."""


def probe_layers(
    model: HookedRegressor,
    prompts: PromptSource,
    targets: Sequence[str] = tuple(TARGETS),
    *,
    controls: bool = True,
    twins: Sequence[HookedRegressor] | None = None,
    n_queries: int = 32,
    first_point: int = 1,
    seed: int = 0,
    batch_size: int | None = None,
) -> pd.DataFrame:
    """Fit a ridge readout of each target to every layer at the positions predictions are read from, and score it.

    Readouts and their penalties are chosen on the first half of the prompts, scores estimated on the second. Either
    half is read once, ``batch_size`` prompts at a time (by default `default_batch_size`), and sums alone are kept: of a
    `PromptStream` there may be any number.

    Columns: layer (0 is the embedding), target, r2, ci_low, ci_high, nmse, cosine, alpha; with ``controls`` also
    random_init (mean R2 over untrained twins, readouts refitted), random_init_high, shuffled_targets (R2 of readouts
    fitted to other prompts' targets) and shuffled_targets_high.

    Raises ValueError for no or unknown targets, fewer than 8 prompts, prompts of another dim than the model's, a
    ``first_point`` that is negative or leaves no point, a batch size below 1, the target ``w`` on prompts without
    hidden weights, and as `match_layers` for models without ``untrained_twin``.
    """
    require_regressor(model)
    check_dim(model, prompts)
    check_first_point(first_point)
    if not targets:
        raise ValueError(f"Name at least one target to read for; known are {', '.join(TARGETS)}.")
    for name in targets:
        if name not in TARGETS:
            raise unknown_name("target", name, TARGETS)
    if len(prompts) < 8:
        raise ValueError(
            f"Readouts need at least 8 prompts (half to fit, a quarter of it held out), got {len(prompts)}."
        )
    asked = ask_many_queries(model, prompts, n_queries, seed)
    points = columns_of(model, asked)
    if points is not None and first_point >= len(points):
        raise ValueError(
            f"No point is left from `first_point` {first_point} on; the prompts have {len(points)} points."
        )
    reading = _Reading(
        model=model,
        twins=make_twins(model, twins) if controls else [],
        targets=tuple(targets),
        shuffled=controls,
        kept=slice(0 if points is None else first_point, None),
        batch_size=batch_size_for(model, asked, batch_size),
    )
    fitted_on, judged_on = asked.halves()
    with track("probe", len(asked)) as tracker:
        readouts = reading.fit(fitted_on, tracker.advance)
        scores = reading.score(readouts, judged_on, tracker.advance)
    return pd.DataFrame(
        [
            _row(name, layer, scores, readouts, shuffled=controls, n_twins=len(reading.twins))
            for name in targets
            for layer in range(model.cfg.n_layers + 1)
        ]
    )


_Readouts = dict[tuple[str, int], LinearProbes]
"""By target, that of other prompts as ``shuffled TARGET``, and by model: the subject is 0, its twins follow."""
_Scores = dict[Hashable, ResampledMeans]
"""By what is scored (error, cosine: [layer]; spread of the targets), target and model."""


@dataclass(frozen=True, kw_only=True)
class _Reading:
    """What is read, and of which models."""

    model: HookedRegressor
    twins: Sequence[HookedRegressor]
    targets: tuple[str, ...]
    shuffled: bool
    """Whether the subject's states are also paired with other prompts' targets."""
    kept: slice
    batch_size: int

    def fit(self, source: PromptSource, advance: Callable[..., None]) -> _Readouts:
        """Readouts of every target, for the subject and its twins, from one pass over the prompts."""
        fitters = [PromptwiseRidge(len(source)) for _ in (self.model, *self.twins)]
        widths: dict[str, int] = {}
        for batch, wanted in self._batches(source):
            widths = {name: values.shape[-1] for name, values in wanted.items()}
            for index, (fitter, states) in enumerate(zip(fitters, self._states(source, batch), strict=True)):
                values = torch.cat([wanted[name] for name in self._read_of(index)], dim=-1)
                fitter.update(states, values.to(states.device))
            advance(by=len(batch))
        readouts = {}
        for index, fitter in enumerate(fitters):
            start = 0
            for name in self._read_of(index):
                readouts[name, index] = fitter.probes(slice(start, start + widths[name]))
                start += widths[name]
        return readouts

    def score(self, readouts: _Readouts, source: PromptSource, advance: Callable[..., None]) -> _Scores:
        """Every score, from one pass over the prompts: errors and cosines [layer], and the targets' own spread."""
        sums = NamedSums(len(source))
        spreads = {name: Spread() for name in self._read_of(0)}
        for batch, wanted in self._batches(source):
            found: dict[Hashable, NDArray[np.float64]] = {
                ("spread", name, 0): spreads[name].terms(wanted[name]) for name in wanted
            }
            for index, states in enumerate(self._states(source, batch)):
                for name in self._read_of(index):
                    by_layer, values = readouts[name, index](states).to(wanted[name].device), wanted[name]
                    found["error", name, index] = _by_layer(prompt_errors, by_layer, values)
                    if index == 0 and name in self.targets:
                        found["cosine", name, index] = _by_layer(prompt_cosines, by_layer, values)
            sums.add(found)
            advance(by=len(batch))
        scores = sums.means()
        for name, spread in spreads.items():
            scores["spread", name, 0] = _sum(spread.about_mean(scores["spread", name, 0]))
        return scores

    def _read_of(self, index: int) -> tuple[str, ...]:
        """Names of what is read of a model: the subject's states have the shuffled targets too."""
        others = tuple(_shuffled(name) for name in self.targets) if self.shuffled and index == 0 else ()
        return (*self.targets, *others)

    def _states(self, source: PromptSource, batch: Prompts) -> Iterator[Float[Tensor, "layer prompt column d_model"]]:
        return (states_of_batch(model, source, batch)[:, :, self.kept] for model in (self.model, *self.twins))

    def _batches(self, source: PromptSource) -> Iterator[tuple[Prompts, dict[str, Targets]]]:
        """Batches with their targets; shuffled, prompt i has those of prompt i - 1, the first those of the last."""
        before = self._wanted(source[len(source) - 1 :]) if self.shuffled else {}
        for batch in source.batches(self.batch_size):
            wanted = self._wanted(batch)
            others = {_shuffled(name): torch.cat([values, wanted[name][:-1]]) for name, values in before.items()}
            before = {name: wanted[name][-1:] for name in before}
            yield batch, {**wanted, **others}

    def _wanted(self, batch: Prompts) -> dict[str, Targets]:
        problems = problems_of(self.model, batch)
        return {name: TARGETS[name](problems, batch)[:, self.kept] for name in self.targets}


def _row(
    name: str, layer: int, scores: _Scores, readouts: _Readouts, *, shuffled: bool, n_twins: int
) -> dict[str, Any]:
    error, r2 = _error_and_r2(scores, name, 0, layer)
    row: dict[str, Any] = {
        "layer": layer,
        "target": name,
        "r2": r2.estimate,
        "ci_low": r2.low,
        "ci_high": r2.high,
        "nmse": error.estimate,
        "cosine": interval_of_mean(scores["cosine", name, 0][layer]).estimate,
        "alpha": float(readouts[name, 0].alpha[layer]),
    }
    if shuffled:
        _, control = _error_and_r2(scores, _shuffled(name), 0, layer)
        row |= {"shuffled_targets": control.estimate, "shuffled_targets_high": control.high}
    if n_twins:
        of_twins = [_error_and_r2(scores, name, 1 + twin, layer)[1] for twin in range(n_twins)]
        row["random_init"] = float(np.mean([found.estimate for found in of_twins]))
        row["random_init_high"] = max(found.high for found in of_twins)
    return row


def _error_and_r2(scores: _Scores, name: str, index: int, layer: int) -> tuple[Interval, Interval]:
    """The normalised error of one model's readout, and the share of variance that it leaves explained."""
    error = interval_of_ratio(scores["error", name, index][layer], scores["spread", name, 0])
    return error, Interval(1 - error.estimate, 1 - error.high, 1 - error.low)


def _by_layer(
    score: Callable[[Tensor, Tensor], Tensor], by_layer: Float[Tensor, "layer prompt column target"], values: Targets
) -> Float[NDArray[np.float64], "prompt layer"]:
    return np.asarray(torch.stack([score(predictions, values) for predictions in by_layer], dim=-1).cpu())


def _sum(by_target: ResampledMeans) -> ResampledMeans:
    return ResampledMeans(np.asarray(by_target.mean.sum(-1)), by_target.resampled.sum(-1))


def _shuffled(name: str) -> str:
    return f"shuffled {name}"


def _per_query(problems: Regressions, vectors: Float[Tensor, "prompt prefix dim"]) -> Targets:
    return vectors.repeat_interleave(problems.queries.shape[2], dim=1)
