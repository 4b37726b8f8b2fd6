"""What a report says of spectral responses and of the growth of best steps."""

from dataclasses import replace

import jaxtyping
import numpy as np
import pandas as pd
import pytest

import interp
from interp.matching import Matches, match_measures
from interp.matching.match_response import THE_MODEL
from interp.report.chapter import Part
from interp.report.finding import Finding
from interp.report.response import write_growth, write_responses
from interp.report.responses import draw_responses

SPECS = {"gd:steps=5,dim=5": 0, "newton:steps=5,dim=5": 2}
"""Layers that come before the one that predicts with step 0."""
every_construction = pytest.mark.parametrize("spec", SPECS)


@pytest.fixture(scope="module")
def matches() -> dict[str, Matches]:
    found = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        for spec in SPECS:
            model = interp.load(spec)
            found[spec] = match_measures(
                model,
                model.task.sample(256, seed=1, n_queries=8),
                ["gd", "newton", "ridge"],
                measures=("errors", "response"),
                twins=[model.untrained_twin(3)],
            )
    return found


def by_id(part: Part) -> dict[str, Finding]:
    return {finding.id: finding for finding in part.findings}


@every_construction
def test_a_constructions_layers_respond_as_their_solver_step_by_step(matches, spec):
    family, lead = spec.partition(":")[0], SPECS[spec]
    findings = by_id(write_responses(matches[spec], dim=5))
    assert list(findings) == [f"algorithm.layer{layer}.response" for layer in range(1, 6 + lead)]
    for layer in range(max(1, lead), 6 + lead):
        finding = findings[f"algorithm.layer{layer}.response"]
        step = layer - lead
        assert (finding.details["solver"], finding.details["step"], finding.alternatives) == (family, step, ())
        assert (finding.verdict, finding.statistic) == ("supported", "similarity_of_responses")
        assert finding.ci[0] > 0.999
        counted = "1 step" if step == 1 else f"{step} steps"
        assert finding.claim == f"Layer {layer} responds to the eigenvalues of X^T X as {family} after {counted}"
        assert set(finding.controls) == {"random_init", "shuffled_targets", "null (zero)"}
        assert finding.details["explained by a spectral filter"] > 0.9
        assert finding.details["share of the weights outside the span of the examples"] < 1e-9
    for layer in range(1, lead):
        assert findings[f"algorithm.layer{layer}.response"].verdict == "refuted"


def test_tables_are_those_of_the_match_and_figures_show_them(matches):
    found = matches["gd:steps=5,dim=5"]
    part = write_responses(found, dim=5)
    assert part.tables["match_response"] is found.tables["response"]
    assert part.tables["responses"] is found.responses
    assert [figure.table for figure in part.figures] == ["responses", "match_response"]
    assert all(figure.svg.startswith("<svg") for figure in part.figures)


@every_construction
def test_a_constructions_own_steps_grow_linearly(matches, spec):
    family = spec.partition(":")[0]
    finding = by_id(write_growth(matches[spec]))[f"algorithm.growth.{family}"]
    assert finding.claim == (
        f"The step of {family} that a layer's errors are most similar to grows linearly with the layer, by 1 steps each"
    )
    assert finding.verdict == "supported"
    assert finding.ci[0] <= finding.estimate <= finding.ci[1] < -2
    assert finding.details["steps per layer (linear law)"] == pytest.approx(1)


def growing(**fields: object) -> Matches:
    """A match of which nothing but one growth law is known."""
    row = {
        "measure": "errors",
        "solver": "gd",
        "law": "exponential",
        "layers": "1,2,3,4",
        "steps": "1,2,4,8",
        **{"per_layer": 1.5, "per_layer_low": 1.25, "per_layer_high": 1.75},
        **{"factor": 2.0, "factor_low": 1.75, "factor_high": 2.25},
        **{"aic_difference": 9.0, "aic_difference_low": 5.0, "aic_difference_high": 11.0},
        "reason": "as invented",
        **{"random_init": 0.0, "shuffled_targets": 0.0},
        **fields,
    }
    return Matches(tables={}, growth=pd.DataFrame([row]), responses=pd.DataFrame(), convergence=pd.DataFrame())


def test_exponential_growth_is_claimed_with_its_factor():
    (finding,) = write_growth(growing()).findings
    assert finding.id == "algorithm.growth.gd"
    assert finding.claim == (
        "The step of gd that a layer's errors are most similar to grows exponentially with the layer, by a factor of "
        "2 each"
    )
    assert (finding.verdict, finding.estimate, finding.ci) == ("supported", 9.0, (5.0, 11.0))
    assert finding.reason == ("as invented; supported where no control decides a law. Layers 1,2,3,4: steps 1,2,4,8")


@pytest.mark.parametrize("control", ["random_init", "shuffled_targets"])
def test_a_law_that_a_control_has_too_is_inconclusive(control):
    (finding,) = write_growth(growing(**{control: 1 / 3})).findings
    assert finding.verdict == "inconclusive"
    assert finding.controls[f"{control} (share that decides a law)"] == 1 / 3


def test_a_law_without_the_control_of_untrained_twins_is_inconclusive():
    matches = growing()
    (finding,) = write_growth(replace(matches, growth=matches.growth.drop(columns="random_init"))).findings
    assert finding.verdict == "inconclusive"


def test_growth_by_no_known_law_is_inconclusive():
    (finding,) = write_growth(growing(law="undecided")).findings
    assert finding.verdict == "inconclusive"
    assert finding.claim.endswith("grows with the layer by a law that the data do not decide")


@pytest.mark.parametrize(
    "fields",
    [{"measure": "weights"}, {"solver": "nesterov"}, {"factor": float("nan")}],
    ids=["of another measure", "of another solver", "too few layers"],
)
def test_other_growth_is_in_the_table_alone(fields):
    part = write_growth(growing(**fields))
    assert part.findings == ()
    assert len(part.tables["growth"]) == 1


def test_the_drawing_has_a_panel_per_layer_and_prefix_and_the_models_dots_in_each():
    rows = [
        {"solver": solver, "step": 1, "layer": layer, "n_examples": n, "eigenvalue": value, "share": value / 4}
        for solver in (THE_MODEL, "gd", "some-solver")
        for layer in (1, 3)
        for n in (5, 10, 20)
        for value in (0.5, 1.0, 2.0)
    ]
    table = pd.DataFrame(rows).assign(ci_low=lambda t: t["share"] - 0.1, ci_high=lambda t: t["share"] + 0.2)
    figure = draw_responses(table)
    assert len(figure.axes) == 3 * 2
    assert [ax.get_title() for ax in figure.axes] == ["layer 1", "layer 3", "", "", "", ""]
    for ax in figure.axes:
        drawn = {line.get_label(): line for line in ax.get_lines()}
        assert {"gd", "some-solver"} <= set(drawn)
        assert np.asarray(drawn["gd"].get_xydata()).tolist() == [[0.5, 0.125], [1.0, 0.25], [2.0, 0.5]]
        (dots,) = ax.containers
        assert dots.get_label() == THE_MODEL
