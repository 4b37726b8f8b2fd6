"""The trained products W_Q W_K^T and W_V W_O beside the construction's, and the path between them (appendix)."""

from collections.abc import Iterator

import pandas as pd

from interp.matching import effective_steps, loss_along_path
from interp.matching.descents import read_off, steps_of
from interp.matching.interpolation import constructed_products, scaled_products
from interp.models.transformer import RegressionTransformer
from interp.report.finding import Finding
from interp.reproduce.claims import claim_range
from interp.reproduce.lab import Lab, model_of, tuned
from interp.reproduce.oswald import SOURCE
from interp.reproduce.oswald.common import deep_runs, looped_runs, one_layer_runs
from interp.reproduce.panels import Panel, draw_panels, matrix_rows, rows
from interp.reproduce.reproduction import Reproduction
from interp.solvers import AbstractSolver
from interp.tasks import Prompts
from interp.training import Run

MODELS = {"1 layer": "gd", "2 layers, looped": "gd++", "5 layers": "gd++"}
DRAWN = ("1 layer", "2 layers, looped")
"""The models whose matrices are drawn: all their layers are one."""
TARGETS = ("to tuned steps", "to its own steps")
"""Where the paths lead: to the best shared steps, or to each layer's own, read off its weights."""
PRODUCTS = ("W_Q W_K^T", "W_V W_O")


def reproduce(lab: Lab) -> Reproduction:
    """Matrices of seed 0, step sizes read off all seeds, and the loss between trained and constructed weights."""
    runs = dict(zip(MODELS, (one_layer_runs(lab), looped_runs(lab), deep_runs(lab)), strict=True))
    prompts = lab.prompts(runs["1 layer"][0].recipe.task)
    solvers = {
        name: tuned([algorithm], prompts, runs[name][0].recipe.model.n_layers)[algorithm]
        for name, algorithm in MODELS.items()
    }
    paths = pd.concat(
        [path for name, found in runs.items() for run in found for path in _paths(name, run, solvers[name], prompts)],
        ignore_index=True,
    )
    matrices = pd.concat(
        [part for name in DRAWN for part in _matrices(name, model_of(runs[name][0]), solvers[name])], ignore_index=True
    )
    panels = [
        *(Panel(name=str(name), x="read by", y="read of", matrix=True) for name in dict.fromkeys(matrices["panel"])),
        Panel(name="loss along the path", x="share of the construction", y="half mean squared error", y_scale="log"),
    ]
    table = pd.concat([matrices, rows("loss along the path", paths, x="share", y="loss")], ignore_index=True)
    return Reproduction(
        name="oswald-weights",
        title="Trained weights beside the construction, and the path between them",
        source=f"{SOURCE}, section 3 and appendix",
        findings=(
            *_read_off(runs),
            *(_path_finding(paths[paths["series"] == f"{name}, {to}"], name, to) for name in MODELS for to in TARGETS),
        ),
        table=table,
        drawing=draw_panels(table, panels, per_row=4),
        runs=tuple(lab.record),
        scale={
            "quick": lab.quick,
            "seeds": {name: len(found) for name, found in runs.items()},
            "prompts": len(prompts),
        },
    )


def _paths(name: str, run: Run, solver: AbstractSolver, prompts: Prompts) -> Iterator[pd.DataFrame]:
    """The loss on the way to both constructions."""
    model = model_of(run)
    own = read_off(model)
    for target, (eta, gamma) in zip(TARGETS, (steps_of(solver, model), (own.eta_over_n, own.gamma)), strict=True):
        path = loss_along_path(model, prompts, eta, gamma=gamma)
        yield path.assign(seed=run.seed, series=f"{name}, {target}")


def _matrices(name: str, model: RegressionTransformer, solver: AbstractSolver) -> Iterator[pd.DataFrame]:
    """Both products of the first layer, trained and constructed, as rows of the table."""
    eta, gamma = steps_of(solver, model)
    pairs = zip(PRODUCTS, scaled_products(model), constructed_products(model, eta, gamma), strict=True)
    for product, trained, constructed in pairs:
        yield matrix_rows(f"{name}: {product}, trained", trained[0])
        yield matrix_rows(f"{name}: {product}, constructed", constructed[0])


def _read_off(runs: dict[str, list[Run]]) -> list[Finding]:
    """Structure and step sizes of the products, over seeds."""
    one = [effective_steps(model_of(run))[0] for run in runs["1 layer"]]
    looped = [effective_steps(model_of(run))[0] for run in runs["2 layers, looped"]]
    twins = [effective_steps(model_of(run).untrained_twin(1000 + run.seed))[0] for run in runs["1 layer"]]
    untrained = sum(step.off_structure for step in twins) / len(twins)
    return [
        claim_range(
            "oswald-weights.1layer.structure",
            "1 layer: what it does to y is a multiple of the identity, but for 5 % (in Frobenius norm)",
            "share_off_structure",
            [step.off_structure for step in one],
            high=0.05,
            paper="the products match the construction",
            controls={"untrained": untrained},
        ),
        claim_range(
            "oswald-weights.2layer.structure",
            "2 layers, looped: what they do to y is a multiple of the identity, but for 10 %",
            "share_off_structure",
            [step.off_structure for step in looped],
            high=0.10,
            paper="the products match the construction",
            controls={"untrained": untrained},
        ),
        claim_range(
            "oswald-weights.2layer.eta",
            "2 layers, looped: the step size read off the weights is that of GD++",
            "effective_eta_over_n",
            [step.eta_over_n for step in looped],
            low=1.25,
            high=1.40,
            paper="1.32 read off, 1.35 learned by their GD++, best shared pair 1.34 (sum-normalised)",
        ),
        claim_range(
            "oswald-weights.2layer.gamma",
            "2 layers, looped: the straightening read off the weights is that of GD++",
            "effective_gamma",
            [step.gamma for step in looped],
            low=0.16,
            high=0.19,
            paper="0.174 read off, 0.180 learned by their GD++, best shared pair 0.175",
        ),
    ]


def _path_finding(paths: pd.DataFrame, name: str, target: str) -> Finding:
    """The highest loss on the path, relative to that of its worse end."""
    by_seed = paths.pivot(index="seed", columns="share", values="loss")
    ends = by_seed[[0.0, 1.0]].max(axis=1)
    worst = by_seed.max(axis=1) / ends
    return claim_range(
        f"oswald-weights.{name.split()[0]}layer.path_{target.replace(' ', '_')}",
        f"{name}: on the straight path {target} of GD++ the loss is nowhere above the worse end's, to 1 %",
        "highest_loss_relative_to_the_worse_end",
        worst.tolist(),
        ratio=True,
        high=1.01,
        paper="interpolated weights of one and of looped layers lose nothing; open for untied deep models",
        details={
            "mean loss by share": {f"{share:g}": float(loss) for share, loss in by_seed.mean().items()},
        },
    )
