"""The part of the report on prompts of other laws, for models that are not linear attention on (x, y)."""

from types import SimpleNamespace

import jaxtyping
import pytest
import torch
from transformer_lens import HookedRootModule

from interp.matching import shifts_of
from interp.models import TransformerConfig
from interp.models.transformer import RegressionTransformer
from interp.report import ReportOptions, build, shifts
from interp.report.shifts import write_regression_shifts
from interp.solvers import make_solver
from interp.tasks import DecisionTrees, LinearRegression, Prompts, ReluNetworks, SineWaves, Task, TokenLayout
from tests.errors import raises_exactly

TASK = LinearRegression(dim=3, n_points=9, inputs="gaussian")


def transformer(task: Task, seed: int = 0, init_variance: float = 1.0) -> RegressionTransformer:
    """Untrained, and predicting at every point."""
    cfg = TransformerConfig(
        dim=task.dim,
        n_layers=1,
        n_heads=2,
        width=8,
        attention="softmax",
        causal=True,
        query_in_context=True,
        layout=TokenLayout(kind="interleaved", y_position="first", y_slot="shared"),
        read_in="linear",
        readout="linear",
        init_variance=init_variance,
    )
    return RegressionTransformer(cfg, task, seed=seed)


class LeastSquares(HookedRootModule):
    """Answers at every point as a solver does, ``factor`` times."""

    def __init__(self, solver: str, task: LinearRegression, factor: float = 1.0) -> None:
        super().__init__()
        self.task, self.factor, self.solver = task, factor, make_solver(solver)
        self.cfg = SimpleNamespace(n_layers=1, n_heads=1, d_model=1)
        self.predicted_points = tuple(range(task.n_points))

    def tokens(self, prompts: Prompts) -> torch.Tensor:
        return torch.cat([prompts.xs, prompts.ys[..., None]], dim=-1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.factor * self.solver.run(tokens[..., :-1], tokens[..., -1], [1]).predictions[0]

    def untrained_twin(self, seed: int) -> RegressionTransformer:
        return transformer(self.task, seed)


@pytest.fixture(autouse=True)
def few_prompts(monkeypatch):
    monkeypatch.setattr(shifts, "SHIFT_PROMPTS", 256)
    monkeypatch.setattr(shifts, "RIDGE_PROMPTS", 128)


def test_a_model_that_answers_by_least_squares_is_found_out():
    part = write_regression_shifts(LeastSquares("ols", TASK), seed=0)
    (finding,) = part.findings
    assert finding.id == "algorithm.out_of_distribution"
    assert finding.verdict == "supported"
    assert finding.ci[1] < 1e-6
    assert "as ols does" in finding.claim
    table = part.tables["shifts"]
    assert set(table["predictor"]) == {"the model", "ols", "ridge"}
    assert len(table) == 3 * len(shifts_of(TASK))
    assert len(finding.details["distance by shift"]) == len(shifts_of(TASK))


@pytest.mark.parametrize("factor", [0.0, 0.6])
def test_one_that_answers_a_share_of_it_is_not(factor):
    """Its answers are (1 - factor)^2 of the mean squared target away, where least squares is exact."""
    (finding,) = write_regression_shifts(LeastSquares("ols", TASK, factor), seed=0).findings
    assert finding.verdict == "refuted"
    assert finding.estimate >= (1 - factor) ** 2 * 0.99


def test_a_noisy_task_is_held_against_ridge():
    noisy = LinearRegression(dim=3, n_points=9, inputs="gaussian", noise_std=1.0)
    (finding,) = write_regression_shifts(LeastSquares("ridge", noisy), seed=0).findings
    assert "as ridge does" in finding.claim
    assert finding.verdict == "supported"


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("init_variance", [0.01, 1.0])
def test_untrained_weights_support_nothing(seed, init_variance):
    (finding,) = write_regression_shifts(transformer(TASK, seed, init_variance), seed=0).findings
    assert finding.verdict != "supported"


def test_only_linear_regression_has_these_shifts():
    with raises_exactly(ValueError, "These shifts move the law of linear regression; the task is SineWaves."):
        write_regression_shifts(transformer(SineWaves(n_points=5)), seed=0)


@pytest.mark.parametrize(
    "model",
    [
        transformer(DecisionTrees(dim=3, n_points=6, depth=2)),
        RegressionTransformer(TransformerConfig(dim=3, n_layers=1), ReluNetworks(dim=3, n_points=6, hidden=5)),
    ],
    ids=["trees at every point", "networks at the query"],
)
def test_a_model_of_hidden_functions_has_a_report_that_speaks_of_no_hidden_weights(model, monkeypatch):
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)  # checking annotations would double its time
    report = build(model, options=ReportOptions(n_prompts=32, n_queries=8))
    ids = {finding.id for finding in report.findings}
    assert "layer.next_y" in ids
    assert not ids & {"layer.w", "algorithm.out_of_distribution"}
    algorithms = [finding for finding in report.findings if finding.id.startswith("algorithm.")]
    assert algorithms
    assert "supported" not in {finding.verdict for finding in algorithms}
