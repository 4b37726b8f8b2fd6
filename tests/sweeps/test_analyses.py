from typing import Any

import numpy as np
import pytest
import torch

import interp
from interp.matching import judge_layers, match_layers, probe_layers
from interp.models import TokenModelConfig
from interp.models.build import build_model
from interp.sweeps.analyses import ANALYSES, BestMatches, HeadScores, HeldOutLoss, Readouts
from interp.tasks import RepeatedTokens
from tests.training.recipes import tiny_recipe

pytestmark = pytest.mark.usefixtures("unchecked")


@pytest.fixture(scope="module")
def model():
    """An untrained transformer of two layers."""
    recipe = tiny_recipe()
    return build_model(recipe.model, recipe.task, seed=0)


@pytest.fixture(scope="module")
def language_model():
    """An untrained language model of one layer."""
    cfg = TokenModelConfig(d_vocab=16, n_ctx=21, n_layers=1, n_heads=2, d_model=8)
    return build_model(cfg, RepeatedTokens(d_vocab=16, n_pos=21, shortest=10, longest=10), seed=0)


def test_analyses_are_registered_under_their_names():
    assert {kind: analysis.kind for kind, analysis in ANALYSES.items()} == {kind: kind for kind in ANALYSES}


@pytest.mark.parametrize("kind", sorted(ANALYSES))
def test_an_analysis_gives_the_same_each_time_and_plain_numbers(kind, model):
    make: Any = ANALYSES[kind]
    few: dict[str, Any] = {"match": {"solvers": ("gd",), "steps": (1, 2), "n_queries": 4}, "probe": {"n_queries": 4}}
    analysis = make(n_prompts=16, **few.get(kind, {}))
    first, second = analysis.measure(model), analysis.measure(model)
    assert first.numbers == second.numbers
    assert {type(value) for value in first.numbers.values()} <= {int, float, str}
    assert first.table.equals(second.table)
    assert set(analysis.drawn) & set(first.numbers)


def test_the_loss_of_a_predictor_that_knows_nothing_is_half_the_variance_of_y():
    """GD of a vanishing step answers 0: inputs uniform on [-1/2, 1/2] in 10 dimensions make that 5/12."""
    model = interp.load("gd:steps=1,lr=1e-9,dim=10")
    measured = HeldOutLoss(n_prompts=4096).measure(model)
    low, high = (float(measured.numbers[end]) for end in ("loss_low", "loss_high"))
    assert low < 5 / 12 < high
    assert list(measured.table["model"]) == ["the model", "its initial weights"]


def test_the_loss_of_a_language_model_is_the_mean_over_all_next_tokens(language_model):
    analysis = HeldOutLoss(n_prompts=100)
    sequences: Any = analysis.sample(language_model, 100)
    measured = analysis.measure(language_model)
    with torch.no_grad():
        whole = float(language_model(sequences.tokens, return_type="loss"))
    assert measured.numbers["loss"] == pytest.approx(whole, rel=1e-5)
    assert measured.numbers["loss_untrained"] == pytest.approx(np.log(16), rel=0.2)


def test_the_best_matches_of_a_model_with_gd_built_in_are_gd():
    analysis = BestMatches(n_prompts=64, n_queries=8, solvers=("gd", "ols"))
    measured = analysis.measure(interp.load("gd:steps=2,dim=3"))
    assert list(measured.table["solver"]) == ["gd", "gd"]
    assert list(measured.table["step"]) == [1, 2]
    assert (measured.numbers["match_solver"], measured.numbers["match_step"]) == ("gd", 2)
    assert measured.numbers["match_verdict"] == "supported"


def test_matches_and_readouts_are_those_of_the_public_functions(model):
    match = BestMatches(n_prompts=16, n_queries=4, solvers=("gd",), steps=(1, 2), seed=3)
    table = match_layers(model, match.sample(model, 16), ["gd"], steps=(1, 2), n_queries=4, seed=3)
    assert list(match.measure(model).table["similarity"]) == [found.similarity for found in judge_layers(table)]
    probe = Readouts(n_prompts=16, n_queries=4, targets=("xty",))
    scores = probe_layers(model, probe.sample(model, 16), ["xty"], n_queries=4)
    measured = probe.measure(model)
    assert measured.table.equals(scores)
    assert measured.numbers == {
        "probe_xty": scores["r2"].max(),
        "probe_xty_random_init": scores["random_init"].max(),
    }


def test_numbers_stand_beside_what_knows_nothing(model):
    """A layer whose skill is none is as similar to a null predictor as to any algorithm, and so are its twins."""
    numbers = BestMatches(n_prompts=64, n_queries=8, solvers=("gd",)).measure(model).numbers
    assert numbers["match_null"] == pytest.approx(numbers["match_similarity"], abs=0.05)
    assert numbers["match_skill"] == pytest.approx(numbers["match_skill_random_init"], abs=0.05)
    built = BestMatches(n_prompts=64, n_queries=8, solvers=("gd",)).measure(interp.load("gd:steps=2,dim=3")).numbers
    assert float(built["match_null"]) + 0.05 < float(built["match_similarity"])
    assert float(built["match_skill_random_init"]) + 0.5 < float(built["match_skill"])
    heads = HeadScores(n_prompts=4).measure(model)
    rows = heads.table[heads.table["score"] == "previous"]
    assert heads.numbers["heads_previous_chance"] == rows["chance"].iloc[0]


@pytest.mark.parametrize("kind", sorted(ANALYSES))
def test_every_number_that_is_drawn_has_a_control_or_is_told_apart(kind):
    analysis = ANALYSES[kind]
    assert set(analysis.drawn) == set(analysis.drawn_beside) | set(analysis.drawn_apart)


def test_heads_of_models_of_both_sorts_have_scores(model, language_model):
    assert set(HeadScores(n_prompts=4).measure(model).numbers) >= {"heads_previous", "heads_first"}
    measured = HeadScores(n_prompts=4).measure(language_model)
    assert set(measured.numbers) >= {"heads_previous-token", "heads_induction"}
    rows = measured.table[measured.table["score"] == "induction"]
    assert measured.numbers["heads_induction"] == rows["value"].max()


def test_prompts_are_those_of_the_seed_and_none_of_training(model):
    ours, same, other = (HeldOutLoss(seed=seed).sample(model, 4).xs for seed in (0, 0, 1))
    assert ours.equal(same)
    assert not ours.equal(other)
    assert not ours.equal(model.task.sample(4, seed=0).xs)
