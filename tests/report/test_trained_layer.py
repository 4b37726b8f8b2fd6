"""The trained models that ship, as von Oswald et al. trained them: their sections 3 and 4, section 7 of the design."""

import pytest

import interp
from interp.matching.readouts import ask_many_queries
from interp.report import ReportOptions
from interp.report.learned import write_learned
from tests.report.quick import quick_report


def test_it_runs_one_step_of_gradient_descent(findings):
    layer = findings["algorithm.layer1"]
    assert layer["statistic"] == "similarity_of_errors"
    assert (layer["details"]["solver"], layer["details"]["step"]) == ("gd", 1)
    assert (layer["verdict"], layer["alternatives"]) == ("supported", [])
    assert layer["ci"][0] > 0.998


def test_its_induced_weights_are_those_of_the_step(findings):
    layer = findings["algorithm.layer1.weights"]
    assert layer["statistic"] == "similarity_of_induced_weights"
    assert (layer["details"]["solver"], layer["details"]["step"]) == ("gd", 1)
    assert (layer["verdict"], layer["alternatives"]) == ("supported", [])


def test_its_sensitivities_are_those_of_the_best_step(findings):
    alignment = findings["algorithm.alignment"]
    assert alignment["statistic"] == "cosine_of_sensitivities"
    assert alignment["ci"][0] > 0.998
    assert alignment["verdict"] == "supported"


def test_its_step_size_is_the_best_one(findings):
    step = findings["algorithm.step_size"]
    assert step["statistic"] == "effective_eta_over_n"
    assert step["estimate"] == pytest.approx(0.61, abs=0.01)
    assert step["details"]["best eta/n"] == pytest.approx(0.606, abs=0.01)  # its expectation
    assert step["details"]["eta/n read off the weights"] == pytest.approx(step["estimate"], rel=0.01)
    assert step["verdict"] == "supported"


def test_its_loss_is_that_of_the_best_step_within_half_a_percent(findings):
    loss = findings["learned.gd_loss"]
    assert loss["statistic"] == "loss_relative_to_best_gd"
    assert loss["estimate"] == pytest.approx(1, abs=0.005)


def test_with_the_default_number_of_prompts_the_claim_about_its_loss_is_supported():
    model = interp.load("lsa-1layer")
    options = ReportOptions()
    prompts = model.task.sample(options.n_prompts, seed=options.seed)
    chapter = write_learned(model, ask_many_queries(model, prompts, options.n_queries, options.seed))
    verdicts = {finding.id: finding.verdict for finding in chapter.findings}
    assert verdicts == {"learned.regression": "supported", "learned.gd_loss": "supported"}


def test_weights_halfway_to_the_construction_predict_as_well(findings):
    interpolation = findings["algorithm.interpolation"]
    assert interpolation["estimate"] == pytest.approx(1, abs=0.01)
    assert interpolation["verdict"] == "supported"


def test_the_step_size_in_its_weights_is_all_of_it(findings):
    construction = findings["algorithm.construction"]
    assert construction["verdict"] == "supported"
    assert construction["estimate"] > 0.999
    assert construction["details"]["loss of the construction relative to the model's"] == pytest.approx(1, abs=0.005)


def test_off_its_distribution_it_errs_as_the_step(findings):
    shifted = findings["algorithm.out_of_distribution"]
    assert shifted["ci"][1] < 1.05
    assert shifted["verdict"] == "supported"
    assert set(shifted["details"]["largest factor by shift"]) == {
        "input scale",
        "weight scale",
        "input law",
        "label noise",
        "distractors",
    }


def test_it_needs_its_one_head(findings):
    assert findings["head.layer1.head0"]["verdict"] == "supported"


def test_untrained_twins_are_nowhere_near(findings):
    controls = {name: finding["controls"].get("random_init") for name, finding in findings.items()}
    assert controls["algorithm.layer1"] < 0.95  # theirs is the similarity of predicting almost nothing
    assert abs(controls["algorithm.layer1.weights"]) < 0.2
    assert abs(controls["algorithm.alignment"]) < 0.2
    assert abs(controls["algorithm.step_size"]) < 0.1
    assert controls["algorithm.interpolation"] > 2
    assert controls["algorithm.construction"] < 0.1
    assert findings["algorithm.out_of_distribution"]["controls"]["random_init (lowest)"] > 1.5
    assert controls["learned.gd_loss"] > 2
    assert controls["learned.regression"] > 1


def test_what_only_a_product_with_the_query_holds_is_not_read_linearly(findings):
    verdicts = {name: findings[f"layer.{name}"]["verdict"] for name in ("next_y", "w", "w_ols", "xty")}
    assert verdicts == {"next_y": "supported", "w": "refuted", "w_ols": "refuted", "xty": "refuted"}


@pytest.mark.slow
def test_two_layers_of_shared_weights_run_two_steps_of_gd_plus():
    findings = {finding.id: finding for finding in quick_report("lsa-2layer-looped").findings}
    for layer in ("algorithm.layer2", "algorithm.layer2.weights"):
        details = findings[layer].details
        assert (details["solver"], details["step"], findings[layer].verdict) == ("gd++", 2, "supported")
    assert findings["algorithm.layer2.weights"].estimate > 0.997
    assert findings["learned.gd_loss"].ci[1] < 1  # it beats two plain steps
    for name in ("learned.turn", "algorithm.interpolation", "algorithm.construction"):
        assert findings[name].verdict == "supported"
