"""What can be read linearly from each layer."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp._names import unknown_name
from interp._progress import track
from interp.matching.readouts import ask_many_queries, columns_of, layer_states, problems_of
from interp.matching.twins import make_twins
from interp.models.protocol import HookedRegressor, require_regressor
from interp.solvers import OrdinaryLeastSquares, Regressions
from interp.tasks import Prompts
from probes import cosine_score, fit_on_prompts, normalised_mse, r2_score

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
    prompts: Prompts,
    targets: Sequence[str] = tuple(TARGETS),
    *,
    controls: bool = True,
    twins: Sequence[HookedRegressor] | None = None,
    n_queries: int = 32,
    first_point: int = 1,
    seed: int = 0,
) -> pd.DataFrame:
    """Fit a ridge readout of each target to every layer at the positions predictions are read from, and score it.

    Readouts and their penalties are chosen on the first half of the prompts, scores estimated on the second. Columns:
    layer (0 is the embedding), target, r2, ci_low, ci_high, nmse, cosine, alpha; with ``controls`` also random_init
    (mean R2 over untrained twins, readouts refitted), random_init_high, shuffled_targets (R2 of readouts fitted to
    other prompts' targets) and shuffled_targets_high. Raises ValueError for unknown targets, fewer than 8 prompts,
    the target ``w`` on prompts without hidden weights, and as `match_layers` for models without ``untrained_twin``.
    """
    require_regressor(model)
    for name in targets:
        if name not in TARGETS:
            raise unknown_name("target", name, TARGETS)
    if len(prompts) < 8:
        raise ValueError(
            f"Readouts need at least 8 prompts (half to fit, a quarter of it held out), got {len(prompts)}."
        )
    asked = ask_many_queries(model, prompts, n_queries, seed)
    kept = slice(0 if columns_of(model, asked) is None else first_point, None)
    halves = asked.halves()
    problems = [problems_of(model, half) for half in halves]
    wanted = {
        name: [TARGETS[name](problem, half)[:, kept] for problem, half in zip(problems, halves, strict=True)]
        for name in targets
    }
    untrained = make_twins(model, twins) if controls else []
    with track("probe", 1 + len(untrained)) as tracker:
        states = [layer_states(model, half)[:, :, kept] for half in halves]
        rows = [row for name in targets for row in _score_rows(name, states, wanted[name], with_shuffled=controls)]
        tracker.advance()
        twin_scores = []
        for twin in untrained:
            twin_states = [layer_states(twin, half)[:, :, kept] for half in halves]
            twin_scores.append(
                [row for name in targets for row in _score_rows(name, twin_states, wanted[name], with_shuffled=False)]
            )
            tracker.advance()
    for i, row in enumerate(rows if untrained else []):
        row["random_init"] = float(np.mean([scores[i]["r2"] for scores in twin_scores]))
        row["random_init_high"] = max(scores[i]["ci_high"] for scores in twin_scores)
    return pd.DataFrame(rows)


def _score_rows(name: str, states: list[Tensor], wanted: list[Tensor], *, with_shuffled: bool) -> list[dict[str, Any]]:
    probes = fit_on_prompts(states[0], wanted[0].to(states[0].device))
    predictions = probes(states[1]).to(wanted[1].device)
    shuffled = None
    if with_shuffled:
        rolled = [targets[torch.arange(len(targets)).roll(1)] for targets in wanted]
        shuffled = fit_on_prompts(states[0], rolled[0].to(states[0].device))(states[1]).to(wanted[1].device)
    rows = []
    for layer, prediction in enumerate(predictions):
        r2, error, cosine = (score(prediction, wanted[1]) for score in (r2_score, normalised_mse, cosine_score))
        row: dict[str, Any] = {
            "layer": layer,
            "target": name,
            "r2": r2.estimate,
            "ci_low": r2.low,
            "ci_high": r2.high,
            "nmse": error.estimate,
            "cosine": cosine.estimate,
            "alpha": float(probes.alpha[layer]),
        }
        if shuffled is not None:
            control = r2_score(shuffled[layer], rolled[1])
            row |= {"shuffled_targets": control.estimate, "shuffled_targets_high": control.high}
        rows.append(row)
    return rows


def _per_query(problems: Regressions, vectors: Float[Tensor, "prompt prefix dim"]) -> Targets:
    return vectors.repeat_interleave(problems.queries.shape[2], dim=1)
