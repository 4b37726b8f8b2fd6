"""Sine waves: linear attention on learned features, and an MLP with one GD step on its output layer (Fig. 4)."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from interp.matching.readouts import layer_states, model_answers, native_predictions
from interp.reproduce.claims import claim_range
from interp.reproduce.lab import Lab, model_of
from interp.reproduce.oswald import SOURCE
from interp.reproduce.oswald.common import loss_of, recipe_for
from interp.reproduce.panels import Panel, draw_panels, rows
from interp.reproduce.reproduction import Reproduction
from interp.tasks import Prompts, SineWaves
from interp.tasks.sine import wave
from interp.training import Run, checkpoint_steps, load_checkpoint

ATTENTION, DESCENT = "trained", "mlp + gd"
"""The two series: free attention on learned features, and attention fixed at one step of GD on them."""
N_QUERIES = 32
N_DRAWN = 2
PANELS = (
    Panel(name="loss in training", x="update", y="half mean squared error", x_scale="symlog", y_scale="log"),
    *(Panel(name=f"wave {i + 1}", x="x", y="y") for i in range(N_DRAWN)),
    Panel(name="initial functions", x="x", y="prediction before the layer"),
    Panel(name="agreement of predictions", x="", y="R2 between predictions", x_scale="categories"),
)


@dataclass(frozen=True)
class _Pair:
    """The two models of one seed and what they answer to the evaluation prompts."""

    seed: int
    losses: dict[str, float]
    answers: dict[str, Float[Tensor, "prompt query"]]


def reproduce(lab: Lab) -> Reproduction:
    """Losses and predictions of both models, over seeds."""
    seeds = 3 if lab.quick else 5
    runs = {
        ATTENTION: lab.runs(recipe_for(lab, "sine-mlp", 2000), seeds=seeds),
        DESCENT: lab.runs(recipe_for(lab, "sine-mlp-gd", 2000), seeds=seeds),
    }
    task = runs[ATTENTION][0].recipe.task
    prompts = lab.prompts(task, n_queries=N_QUERIES)[: lab.n_prompts // 2]
    both = sorted({run.seed for run in runs[ATTENTION]} & {run.seed for run in runs[DESCENT]})
    pairs = [_compare(seed, runs, prompts) for seed in both]
    within = [
        _r2(one.answers[ATTENTION], other.answers[ATTENTION]) for one in pairs for other in pairs if one is not other
    ]
    between = [_r2(pair.answers[ATTENTION], pair.answers[DESCENT]) for pair in pairs]
    agreement = pd.DataFrame(
        [
            *({"seed": pair.seed, "x": "with mlp + gd", "y": r2} for pair, r2 in zip(pairs, between, strict=True)),
            *({"seed": "pairs of seeds", "x": "with another seed", "y": r2} for r2 in within),
        ]
    ).assign(series="R2")
    table = pd.concat(
        [
            _course(runs, prompts[:512]),
            *_waves(runs, task),
            rows("agreement of predictions", agreement, x="x", y="y"),
        ],
        ignore_index=True,
    )
    zero = float(0.5 * prompts.ys[:, prompts.n_examples :].square().mean())
    ratios = [pair.losses[ATTENTION] / pair.losses[DESCENT] for pair in pairs]
    return Reproduction(
        name="oswald-fig4",
        title="Sine waves: gradient descent on the output layer of an MLP",
        source=f"{SOURCE}, Fig. 4",
        findings=(
            claim_range(
                "oswald-fig4.loss_ratio",
                "Attention on learned features and an MLP with one GD step reach losses of the same order",
                "ratio_of_losses",
                ratios,
                ratio=True,
                low=0.8,
                high=1.25,
                paper="losses of the same order",
                controls={
                    "predicting zero, relative to mlp + gd": zero / float(np.mean([p.losses[DESCENT] for p in pairs]))
                },
                details={name: [pair.losses[name] for pair in pairs] for name in (ATTENTION, DESCENT)}
                | {"loss of predicting zero": zero},
            ),
            claim_range(
                "oswald-fig4.agreement",
                "Their predictions agree: R2 above 0.9 on the same queries",
                "r2_between_predictions",
                between,
                low=0.9,
                paper="adjusted functions that lie close to each other",
                controls={"two seeds of the attention model": float(np.mean(within))},
            ),
            claim_range(
                "oswald-fig4.learned",
                "The attention model has learned the waves: its loss is below a fifth of predicting zero",
                "loss_relative_to_predicting_zero",
                [pair.losses[ATTENTION] / zero for pair in pairs],
                ratio=True,
                high=0.2,
            ),
        ),
        table=table,
        drawing=draw_panels(table, PANELS),
        runs=tuple(lab.record),
        scale={"quick": lab.quick, "seeds": len(pairs), "prompts": len(prompts), "queries per prompt": N_QUERIES},
    )


def _compare(seed: int, runs: dict[str, list[Run]], prompts: Prompts) -> _Pair:
    models = {name: model_of(run) for name, found in runs.items() for run in found if run.seed == seed}
    return _Pair(
        seed,
        {name: loss_of(model, prompts) for name, model in models.items()},
        {name: model_answers(model, prompts) for name, model in models.items()},
    )


def _r2(one: Tensor, other: Tensor) -> float:
    """Share of the variance of ``other`` that ``one`` accounts for, scale included."""
    return float(1 - (one - other).square().mean() / other.var(correction=0))


def _course(runs: dict[str, list[Run]], prompts: Prompts) -> pd.DataFrame:
    """The losses of all checkpoints."""
    found = [
        {"seed": run.seed, "series": name, "update": step, "loss": loss_of(load_checkpoint(run.folder, step), prompts)}
        for name, of_name in runs.items()
        for run in of_name
        for step in checkpoint_steps(run.folder)
    ]
    return rows("loss in training", pd.DataFrame(found), x="update", y="loss")


def _waves(runs: dict[str, list[Run]], task: object) -> list[pd.DataFrame]:
    """Two waves and what the models of seed 0 make of ten points of each; and what they predict before the layer."""
    assert isinstance(task, SineWaves)
    grid = torch.linspace(task.low, task.high, 81)
    prompts = task.sample(N_DRAWN, seed=1)
    assert prompts.function is not None
    queries = grid.expand(N_DRAWN, -1)[..., None]
    waves = wave(queries, prompts.function)
    asked = prompts.with_queries(queries, waves)
    parts = []
    for i in range(N_DRAWN):
        n = asked.n_examples
        parts += [
            _line(f"wave {i + 1}", "the wave", grid, waves[i]),
            _line(f"wave {i + 1}", "examples", asked.xs[i, :n, 0], asked.ys[i, :n]),
        ]
    for name, found in runs.items():
        model = model_of(found[0])
        predictions = native_predictions(model, layer_states(model, asked))
        parts.append(_line("initial functions", name, grid, predictions[0, 0]))
        parts += [_line(f"wave {i + 1}", name, grid, predictions[-1, i]) for i in range(N_DRAWN)]
    return parts


def _line(panel: str, series: str, xs: Tensor, ys: Tensor) -> pd.DataFrame:
    return rows(panel, pd.DataFrame({"x": xs.tolist(), "y": ys.tolist(), "series": series, "seed": 0}), x="x", y="y")
