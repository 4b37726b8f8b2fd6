"""How a model got where it is: the chapter on its checkpoints."""

import pytest
import torch

import interp
from interp.matching.descents import Descent, best_descents, written_out
from interp.matching.readouts import ask_many_queries
from interp.models import RegressionTransformer, TransformerConfig
from interp.models.folders import load_folder, save_folder
from interp.report import Finding
from interp.report.training import MOST_CHECKPOINTS, followable_folder, thinned, write_training
from interp.tasks import LinearRegression, SineWaves, TokenLayout
from tests.matching.runs import run_of

pytestmark = pytest.mark.usefixtures("unchecked")

BASE = "gd:steps=2,dim=3"


def prompts_of(model, n_prompts: int = 256):
    return ask_many_queries(model, model.task.sample(n_prompts), 8, seed=0)


def findings_of(model) -> dict[str, Finding]:
    chapter = write_training(model, prompts_of(model))
    assert chapter is not None
    return {finding.id: finding for finding in chapter.findings}


@pytest.fixture(scope="module")
def stages():
    """An untrained model, and both algorithms, tuned."""
    base = interp.load(BASE)
    prompts = prompts_of(base)
    tuned = best_descents(base, prompts)
    return {
        "untrained": base.untrained_twin(0),
        **{name: written_out(found, base, prompts).beside(base) for name, found in tuned.items()},
    }


@pytest.fixture
def run(tmp_path, stages):
    """A model whose checkpoints are these stages."""

    def run(*names: str) -> RegressionTransformer:
        return load_folder(run_of(tmp_path / "run", {step: stages[name] for step, name in enumerate(names)}))

    return run


def test_the_shipped_looped_layers_turn_from_gd_to_gd_plus():
    model = interp.load("lsa-2layer-looped")
    chapter = write_training(model, prompts_of(model, 512))
    assert chapter is not None
    turn = next(finding for finding in chapter.findings if finding.id == "learned.turn")
    assert turn.verdict == "supported"
    assert 400 <= turn.details["closest to gd at update"] <= 1000
    assert turn.details["loss there"] == pytest.approx(0.145, abs=0.005)
    assert turn.details["cosine with gd there"][0] > 0.99
    before, after = turn.details["gd++ takes the lead between updates"]
    assert 1000 <= before < after <= 2400
    assert turn.details["cosine with gd++ at the end"] > 0.997
    assert turn.details["cosine with gd at the end"] < 0.96
    assert turn.claim == (
        f"In training it came close to gd first (update {turn.details['closest to gd at update']}, loss "
        f"{turn.details['loss there']:.4g}) and then turned to gd++ (between updates {before} and {after})"
    )
    assert 0.03 < turn.ci[0] <= turn.estimate <= turn.ci[1] < 0.07
    assert abs(turn.controls["untrained (the first checkpoint)"]) < 0.02


def test_the_chapter_shows_its_table(run):
    model = run("untrained", "gd", "gd++")
    chapter = write_training(model, prompts_of(model))
    assert chapter is not None
    (figure,) = chapter.section.figures
    assert figure.table == "training"
    assert list(chapter.tables) == ["training"]
    assert sorted(set(chapter.tables["training"]["update"])) == [0, 1, 2]
    assert set(chapter.tables["training"]["solver"]) == {"gd", "gd++"}
    assert "Shaded" in figure.caption


def test_a_model_that_turned_is_said_to_have_and_when(run):
    turn = findings_of(run("untrained", "gd", "gd", "gd++", "gd++"))["learned.turn"]
    assert turn.verdict == "supported"
    assert turn.claim.endswith("and then turned to gd++ (between updates 2 and 3)")
    assert turn.estimate == pytest.approx(1 - turn.details["cosine with gd at the end"], abs=1e-5)


@pytest.mark.parametrize(
    "stages_passed",
    [("untrained", "gd++", "gd"), ("untrained", "gd", "gd"), ("untrained", "gd++", "gd++"), ("untrained", "untrained")],
    ids=["back to gd", "gd all along", "gd++ all along", "nothing learned"],
)
def test_a_model_that_did_not_turn_is_said_not_to_have(run, stages_passed):
    turn = findings_of(run(*stages_passed))["learned.turn"]
    assert turn.verdict == "refuted"
    assert turn.claim == "In training it came close to gd first and then turned to gd++"


def test_what_the_intervals_leave_open_is_inconclusive(stages, tmp_path):
    """At the end it is between the two, near to both, and hardly nearer to GD++."""
    base = interp.load(BASE)
    prompts = prompts_of(base)
    gd, plus = (written_out(found, base, prompts) for found in best_descents(base, prompts).values())
    eta = tuple((a + b) / 2 for a, b in zip(gd.eta_over_n, plus.eta_over_n, strict=True))
    between = Descent(name="between", eta_over_n=eta, gamma=tuple(0.7 * value for value in plus.gamma)).beside(base)
    model = load_folder(run_of(tmp_path / "run", {0: stages["untrained"], 1: stages["gd"], 2: between}))
    turn = findings_of(model)["learned.turn"]
    assert turn.verdict == "inconclusive"
    assert turn.details["cosine with gd++ at the end"] > turn.details["cosine with gd at the end"] > 0.95


def test_a_loss_that_stays_has_settled(run):
    settled = findings_of(run("untrained", "gd", "gd", "gd", "gd"))["learned.converged"]
    assert settled.claim == "Its loss had settled: from update 3 to the last, 4, it changed by less than 2%"
    assert (settled.verdict, settled.estimate, settled.ci) == ("supported", 1, (1, 1))
    assert settled.controls["update 0"] > 1.5


@pytest.mark.parametrize("last", ["untrained", "gd++"])
def test_a_loss_that_rises_or_falls_has_not(run, last):
    settled = findings_of(run("untrained", "gd", "gd", "gd", last))["learned.converged"]
    assert settled.verdict != "supported"
    assert abs(settled.estimate - 1) > 0.1


def test_a_loss_that_never_changed_is_undecided(run):
    settled = findings_of(run("untrained", "untrained", "untrained"))["learned.converged"]
    assert (settled.verdict, settled.estimate) == ("inconclusive", 1)


def test_one_layer_has_no_gd_plus_to_turn_to(tmp_path):
    base = interp.load("gd:steps=1,dim=3")
    chapter = write_training(
        load_folder(run_of(tmp_path / "run", {0: base.untrained_twin(0), 1: base})), prompts_of(base)
    )
    assert chapter is not None
    assert [finding.id for finding in chapter.findings] == ["learned.converged"]
    assert set(chapter.tables["training"]["solver"]) == {"gd"}


def test_a_model_without_a_folder_cannot_be_followed():
    model = interp.load("gd:steps=2,dim=3")
    assert followable_folder(model) is None
    assert write_training(model, model.task.sample(16)) is None
    assert followable_folder(interp.load("untrained:lsa-2layer-looped")) is None


def test_a_folder_without_checkpoints_tells_nothing(tmp_path):
    save_folder(tmp_path / "run", interp.load("gd:steps=2,dim=3"))
    assert followable_folder(load_folder(tmp_path / "run")) is None


def test_weights_changed_after_loading_are_not_those_of_the_checkpoints(run):
    model = run("untrained", "gd", "gd++")
    assert followable_folder(model) is not None
    with torch.no_grad():
        model.blocks[0].attn.W_O.mul_(0)
    assert followable_folder(model) is None


@pytest.mark.parametrize(
    ("cfg", "task"),
    [
        (TransformerConfig(dim=1, n_layers=1), SineWaves(n_points=5)),
        (
            TransformerConfig(dim=3, n_layers=1, layout=TokenLayout(kind="interleaved"), causal=True),
            LinearRegression(dim=3, n_points=5),
        ),
    ],
    ids=["sine waves", "interleaved"],
)
def test_other_tasks_and_layouts_are_not_followed(tmp_path, cfg, task):
    model = RegressionTransformer(cfg, task)
    followed = load_folder(run_of(tmp_path / "run", {0: model, 1: model}))
    assert followable_folder(followed) is None


def test_many_checkpoints_are_thinned_evenly_from_the_first_to_the_last():
    assert thinned([0, 1, 2]) == [0, 1, 2]
    assert thinned(range(0, 101), 5) == [0, 25, 50, 75, 100]
    steps = thinned(range(1000))
    assert (len(set(steps)), steps[0], steps[-1]) == (MOST_CHECKPOINTS, 0, 999)
    assert steps == sorted(steps)
