from dataclasses import replace

import pytest
import torch

from interp.bench import BenchOptions
from interp.bench.each_solver import EachWorkload, compare_each
from interp.bench.heat_map import Sample, Workload, heat_map
from interp.bench.plain_each import rivals
from interp.bench.plain_solvers import (
    cosines_one_by_one,
    from_scratch,
    keeping_the_trajectory,
    predict_one_by_one,
)
from interp.bench.solvers import compare, compare_heat_maps
from interp.solvers import NULL_SOLVERS, SOLVERS, GradientDescent

EVERY_PREFIX = Sample(n_prompts=3, prefixes=(1, 2, 3, 4, 5, 6))
SMALL = Workload(
    n_prompts=3,
    n_points=7,
    dim=4,
    n_layers=2,
    newton_steps=(1, 2, 5, 12),
    gd_steps=(1, 3, 64),
    scratch=EVERY_PREFIX,
    trajectory=EVERY_PREFIX,
    similarity_prompts=3,
)


SMALL_EACH = EachWorkload(n_prompts=3, n_points=8, dim=4, sample=Sample(n_prompts=1, prefixes=(1, 2, 3, 4, 5, 6, 7)))


@pytest.fixture(scope="module")
def drawn():
    return SMALL.draw()


@pytest.mark.parametrize("plain", [from_scratch, keeping_the_trajectory])
def test_a_plain_way_predicts_what_ours_does(plain, drawn):
    prompts, layers = drawn
    predict = plain(SMALL.newton_steps, SMALL.gd_steps, SMALL.lr)
    predictions = predict_one_by_one(predict, prompts, EVERY_PREFIX.prefixes)
    ours = heat_map(prompts, layers, SMALL).predictions
    torch.testing.assert_close(predictions, ours[:, :, 1:], rtol=0, atol=1e-9)


def test_ours_predicts_0_without_examples(drawn):
    prompts, layers = drawn
    assert (heat_map(prompts, layers, SMALL).predictions[:, :, 0] == 0).all()


def test_cosines_one_by_one_are_our_similarities_of_errors(drawn):
    prompts, layers = drawn
    ours = heat_map(prompts, layers, SMALL)
    cosines = cosines_one_by_one(layers, ours.predictions, prompts.ys)
    assert cosines.shape == (2, 7, 3)
    torch.testing.assert_close(cosines, ours.similarity, rtol=0, atol=1e-12)


def test_each_plain_way_is_one_comparison_and_agrees_with_ours():
    published, trajectory = compare_heat_maps(BenchOptions(repeats=2), SMALL)
    assert [published.reference_name, trajectory.reference_name] == ["published", "trajectory"]
    assert [published.required_ratio, trajectory.required_ratio] == [3000, 100]
    for comparison in (published, trajectory):
        assert len(comparison.ours_runs) == len(comparison.reference_runs) == 2
        assert comparison.largest_difference < 1e-9
        assert comparison.n_threads == 1


def test_a_sample_is_named_in_the_note():
    sampled = replace(SMALL, scratch=Sample(n_prompts=1, prefixes=(2, 5)), similarity_prompts=2)
    note = compare_heat_maps(BenchOptions(repeats=1), sampled)[0].note
    assert note == (
        "every step count from scratch, prompt by prompt and prefix by prefix; measured on the CPU on 2 of "
        "18 problems (1 of 3 prompts, 2 of 6 prefixes, all 7 step counts), cosines on 2 prompts, "
        "and scaled to all"
    )


def test_a_way_that_computes_something_else_stops_the_comparison(monkeypatch):
    def other_step_size(newton_steps, gd_steps, lr):
        return from_scratch(newton_steps, gd_steps, 2 * lr)

    monkeypatch.setattr("interp.bench.solvers.from_scratch", other_step_size)
    with pytest.raises(ValueError, match=r"predictions and those of the 'published' way disagree: expected a largest"):
        compare_heat_maps(BenchOptions(repeats=1), SMALL)


def test_the_default_workload_is_that_of_the_published_heat_maps():
    workload = Workload()
    assert (workload.n_prompts, workload.n_points, workload.dim) == (320, 41, 20)
    assert workload.newton_steps == tuple(range(1, 24))
    assert set(workload.gd_steps) == {1, *range(50, 1301, 50), *(2**k for k in range(13))}
    assert len(workload.gd_steps) == len(set(workload.gd_steps))
    all_prefixes = workload.trajectory.prefixes
    assert all_prefixes == tuple(range(1, 41))
    mean = sum(all_prefixes) / len(all_prefixes)
    assert sum(workload.scratch.prefixes) / len(workload.scratch.prefixes) == mean


def test_a_sample_beyond_the_workload_is_refused():
    message = r"take 3 prompts and prefixes of up to 6 examples out of 3 prompts of 6 points; sample fewer\."
    with pytest.raises(ValueError, match=message):
        replace(SMALL, n_points=6)


def test_the_threads_of_pytorch_are_as_before():
    before = torch.get_num_threads()
    compare(BenchOptions(repeats=1), SMALL, SMALL_EACH)
    assert torch.get_num_threads() == before


@pytest.fixture(scope="module")
def each():
    return compare_each(BenchOptions(repeats=2), SMALL_EACH)


def test_every_solver_that_knows_something_is_compared_once(each):
    names = [comparison.unit.removesuffix(" at every prefix") for comparison in each]
    assert sorted(names) == sorted(SOLVERS.keys() - set(NULL_SOLVERS))


def test_every_solver_agrees_with_its_plain_loop(each):
    for comparison in each:
        # Coordinate descent stops at its own tolerance; all others are exact.
        assert comparison.largest_difference < (1e-5 if comparison.unit.startswith("lasso") else 1e-8), comparison.unit
        assert len(comparison.ours_runs) == len(comparison.reference_runs) == 2


def test_both_heat_maps_and_every_solver_make_one_benchmark():
    found = compare(BenchOptions(repeats=1), SMALL, SMALL_EACH)
    assert [comparison.reference_name for comparison in found] == ["published", "trajectory"] + ["plain loop"] * 16
    assert {comparison.part for comparison in found} == {"solvers"}


def test_the_sample_of_a_plain_loop_is_named_in_the_note():
    gd = [rival for rival in rivals() if isinstance(rival.solver, GradientDescent)]
    (comparison,) = compare_each(BenchOptions(repeats=1), SMALL_EACH, gd)
    assert comparison.note == (
        "3 prompts of 8 points in 4 dimensions, 18 step counts up to 4096, lr=0.01, normalize=mean; "
        "the plain loop was measured on 7 of 21 problems and scaled"
    )


def test_a_loop_that_computes_something_else_stops_the_comparison():
    gd, ball = (next(r for r in rivals() if r.solver.name == name) for name in ("gd", "heavy-ball"))
    wrong = replace(gd, predict=ball.predict, steps=ball.steps)
    with pytest.raises(ValueError, match=r"^Our gd and its plain loop disagree: expected a largest difference of at"):
        compare_each(BenchOptions(repeats=1), SMALL_EACH, [wrong])
