"""The weights and the errors out of distribution, beside those of GD and GD++."""

import pytest
import torch

import interp
from interp.matching.descents import best_descents, written_out
from interp.matching.readouts import ask_many_queries
from interp.models import RegressionTransformer, TransformerConfig
from interp.report import shifts
from interp.report.algorithm import hold_against_descents
from interp.tasks import LinearRegression, SineWaves

pytestmark = pytest.mark.usefixtures("unchecked")

NEW = {"algorithm.interpolation", "algorithm.construction", "algorithm.out_of_distribution"}


def prompts_of(model, n_prompts: int = 128):
    return ask_many_queries(model, model.task.sample(n_prompts), 8, seed=0)


def hold(model, *, runs_gd: bool = False):
    """All findings by id, and all tables."""
    parts = hold_against_descents(model, prompts_of(model), 0, runs_gd=runs_gd)
    findings = {finding.id: finding for part in parts for finding in part.findings}
    tables = {name: table for part in parts for name, table in part.tables.items()}
    assert {figure.table for part in parts for figure in part.figures} == set(tables)
    return findings, tables


def test_a_model_that_is_tuned_gd_is_gd_in_every_respect():
    model = interp.load("gd:steps=2,dim=3")
    prompts = model.task.sample(4096)
    tuned = written_out(best_descents(model, prompts)["gd"], model, prompts).beside(model)
    findings, tables = hold(tuned, runs_gd=True)
    assert set(findings) == {"algorithm.alignment", *NEW}
    assert {finding.verdict for finding in findings.values()} == {"supported"}
    assert findings["algorithm.construction"].estimate == pytest.approx(1, abs=1e-5)
    assert findings["algorithm.interpolation"].estimate == pytest.approx(1, abs=0.01)
    shifted = findings["algorithm.out_of_distribution"]
    assert shifted.claim.startswith("Off its training distribution it errs as tuned gd does")
    assert 1 <= shifted.ci[0] <= shifted.ci[1] < 1.1 < shifted.controls["random_init (lowest)"]
    assert set(tables["shifts"]["predictor"]) == {"the model", "gd", "gd++"}


def test_layers_of_their_own_are_held_against_the_steps_in_their_weights():
    model = interp.load("gd++:steps=2,dim=3")
    findings, tables = hold(model)
    assert set(findings) == NEW
    for finding in findings.values():
        assert finding.verdict == "supported"
        assert finding.estimate == pytest.approx(1, abs=1e-5)
    for name in ("algorithm.interpolation", "algorithm.out_of_distribution"):
        assert "gd++ with the steps read off its weights" in findings[name].claim
    assert set(tables["shifts"]["predictor"]) == {"the model", "gd", "gd++", "gd++, read off"}
    assert set(tables["path"]["construction"]) == {"tuned gd++", "gd++ with the steps read off its weights"}


def test_the_products_of_a_construction_are_the_constructions():
    _, tables = hold(interp.load("gd++:steps=2,dim=3"))
    products = tables["products"].pivot(index=["layer", "product", "row", "column"], columns="weights", values="value")
    assert len(products) == 2 * 2 * 4 * 4
    assert (products["trained"] - products["constructed"]).abs().max() < 1e-6
    assert products["trained"].abs().max() > 0.1


def test_the_path_starts_at_the_model_whatever_it_leads_to():
    _, tables = hold(interp.load("gd++:steps=2,dim=3"))
    starts = tables["path"].query("share == 0")["loss"]
    assert len(starts) == 2
    assert starts.max() == pytest.approx(starts.min(), rel=1e-6)


def test_looped_layers_are_held_against_tuned_gd_plus_and_drawn_once():
    findings, tables = hold(interp.load("lsa-2layer-looped"))
    assert set(tables["products"]["layer"]) == {1}
    interpolation = findings["algorithm.interpolation"]
    assert interpolation.claim == (
        "Weights halfway between the trained ones and those of tuned gd++ predict as well as the trained"
    )
    assert interpolation.estimate == pytest.approx(1, abs=0.02)
    construction = findings["algorithm.construction"]
    assert construction.verdict == "supported"
    assert construction.estimate > 0.99
    assert abs(construction.controls["random_init"]) < 0.05
    shifted = findings["algorithm.out_of_distribution"]
    gd = shifted.details["largest factor between gd and tuned gd++"]
    assert 1 < shifted.estimate < 2 < gd  # as GD++ errs, and not as GD


def test_one_layer_is_held_against_gd_alone():
    findings, tables = hold(interp.load("untrained:lsa-1layer"))
    assert set(findings) == NEW
    assert set(tables["shifts"]["predictor"]) == {"the model", "gd"}
    assert findings["algorithm.construction"].claim == (
        "Given the step size read off the weights, the bare construction answers as the model does"
    )


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize(
    ("n_layers", "looped", "init_variance"), [(1, False, 1.0), (2, True, 0.002), (2, True, 1.0), (3, False, 1.0)]
)
def test_untrained_weights_support_nothing(n_layers, looped, init_variance, seed, monkeypatch):
    monkeypatch.setattr(shifts, "TUNING_PROMPTS", 512)
    cfg = TransformerConfig(dim=5, n_layers=n_layers, looped=looped, init_variance=init_variance)
    findings, _ = hold(RegressionTransformer(cfg, LinearRegression(dim=5, n_points=11), seed=seed))
    assert {name for name, finding in findings.items() if finding.verdict == "supported"} == set()


def test_weights_far_off_the_construction_are_refuted():
    """A layer that reads one coordinate alone: its products are no multiples of the identity."""
    model = interp.load("gd:steps=1,dim=3")
    with torch.no_grad():
        model.blocks[0].attn.W_Q[0] *= torch.tensor([3.0, 0, 0, 0])[:, None]
    findings, _ = hold(model)
    assert findings["algorithm.construction"].verdict == "refuted"
    assert findings["algorithm.out_of_distribution"].verdict == "refuted"


def test_several_heads_are_not_held_against_one():
    cfg = TransformerConfig(dim=3, n_layers=2, n_heads=2)
    model = RegressionTransformer(cfg, LinearRegression(dim=3, n_points=7))
    assert hold(model) == ({}, {})


def test_a_task_that_cannot_be_shifted_is_not():
    model = RegressionTransformer(TransformerConfig(dim=1, n_layers=1), SineWaves(n_points=5))
    findings, tables = hold(model)
    assert "algorithm.out_of_distribution" not in findings
    assert set(tables) == {"products", "path"}
