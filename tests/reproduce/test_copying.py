"""The copying figure on runs whose course is known: nothing until update 3, then the construction."""

import math

import pytest

import interp
from interp.reproduce import Lab
from interp.reproduce.oswald import copying
from interp.solvers import tune
from interp.training import Run, get_recipe
from tests.matching.runs import run_of

RECIPE = get_recipe("copy-2layer")
CHECKPOINTS = (0, 1, 2, 3, 4, 6)


@pytest.fixture(scope="module")
def prompts():
    return RECIPE.task.sample(512, seed=1)


@pytest.fixture(scope="module")
def courses(tmp_path_factory, prompts):
    """Of two runs of one gradient step's size, which copy from update 3 on; before, they hardly answer."""
    found = []
    for seed in range(2):
        copies = interp.load("copy:dim=10,points=11,lr=6.061")
        nearly_blank = copies.untrained_twin(seed)
        for parameter in nearly_blank.parameters():
            parameter.data *= 0.1
        checkpoints = {update: nearly_blank if update < 3 else copies for update in CHECKPOINTS}
        folder = run_of(tmp_path_factory.mktemp("runs") / "run", checkpoints)
        found.append(copying._follow(Lab(quick=True), Run(RECIPE, seed, folder), prompts))
    return found


def findings_of(courses, prompts):
    gd = {f"{steps} GD step{'s' if steps > 1 else ''}": tune("gd", prompts, steps).loss for steps in (1, 2)}
    return {finding.id.partition(".")[2]: finding for finding in copying._findings(courses, prompts, gd)}


def test_the_course_is_dated_and_its_ends_are_measured(courses):
    for course in courses:
        assert course.transition.loss[0].between == course.transition.dependency[0].between == (2, 3)
        assert course.copies
        assert (course.last("next"), course.last("others"), course.last("own")) == pytest.approx((1, 0, math.sqrt(11)))
        assert (course.last_published("next"), course.last_published("other")) == pytest.approx((1, 1 / 19))


def test_every_claim_that_holds_of_it_is_supported(courses, prompts):
    findings = findings_of(courses, prompts)
    verdicts = {name: finding.verdict for name, finding in findings.items()}
    assert verdicts.pop("head") == "inconclusive"  # two of two runs do not prove that most do
    assert verdicts.pop("before") == "refuted"  # it is at once
    assert set(verdicts.values()) == {"supported"}
    assert findings["final_loss"].estimate == pytest.approx(1, abs=0.01)
    assert findings["final_loss"].controls["two GD steps"] < 0.9
    assert findings["plateau"].estimate == pytest.approx(1, abs=1e-3)
    assert findings["order"].estimate == 0


def test_of_one_run_only_what_varies_with_the_prompts_has_an_interval(courses, prompts):
    findings = findings_of(courses[:1], prompts)
    for name, finding in findings.items():
        has_interval = all(map(math.isfinite, finding.ci))
        assert has_interval == (name in ("plateau", "final_loss", "head")), name
        assert has_interval or finding.verdict == "inconclusive"


def test_each_run_is_a_series_of_its_own_in_every_panel(courses):
    table = copying._rows(courses[1])
    assert list(dict.fromkeys(table["panel"])) == [panel.name for panel in copying.PANELS]
    assert set(table["series"]) == {"seed 1"}
    for _, part in table.groupby("panel"):
        assert part["x"].tolist() == list(CHECKPOINTS)
