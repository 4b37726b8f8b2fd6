"""Analyses of any number of prompts: the results are those of all prompts at once, the memory is that of a batch."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal
from torch.testing import assert_close

import interp
from interp.matching import layer_states, match_layers, match_measures, probe_layers
from interp.matching import readouts as readouts_module
from interp.matching.batches import beside_another
from interp.matching.coincidences import Coincidences
from interp.matching.match_response import HELD_NUMBERS, LEAST_HELD, MOST_HELD, prompts_to_hold
from interp.matching.memory import current_memory, shared_memory
from interp.matching.readouts import STATE_NUMBERS, ask_many_queries, default_batch_size
from interp.tasks import LinearRegression, Prompts, PromptStream, stream
from probes import resampling
from tests.errors import raises_exactly
from tests.matching.models import TheirModel
from tests.models.tiny import FULL, INTERLEAVED, tiny_model

ROOT = Path(__file__).parents[2]
MATCH: dict[str, Any] = {
    "solvers": ["gd:lr=0.5", "ridge:alpha=0.5", "ols", "gd:lr=50.0"],  # the last one diverges
    "steps": [1, 8, 500],
    "measures": ("errors", "weights", "response"),
    "n_bins": 3,
}


def noisy(dim: int = 3) -> Any:
    """A construction whose layers no candidate matches exactly: scores with room to be wrong."""
    return interp.load(f"gd:steps=2,dim={dim},noise_std=0.5")


def causal() -> Any:
    return tiny_model(**{**FULL, "layout": INTERLEAVED}, causal=True)


def in_memory(prompts: PromptStream) -> Prompts:
    return prompts[:]


@pytest.fixture
def small_blocks(monkeypatch):
    """Blocks of a few prompts, so that few prompts fill many."""
    caches = (resampling.resampling_weights, resampling._block, resampling._draws_by_block)
    for cached in caches:
        cached.cache_clear()
    monkeypatch.setattr(stream, "BLOCK", 16)
    monkeypatch.setattr(resampling, "BLOCK", 12)
    monkeypatch.setattr(resampling, "PENDING", 10)
    yield
    for cached in caches:
        cached.cache_clear()


# Readouts


@pytest.mark.usefixtures("small_blocks")
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=5)
@given(n_prompts=st.integers(8, 50), batch_size=st.integers(1, 60))
def test_readouts_of_a_stream_are_those_of_its_prompts_in_memory(n_prompts, batch_size):
    model = noisy().double()
    prompts = PromptStream(model.task, n_prompts, seed=1).ask(model.task, 4)
    twins = [model.untrained_twin(1)]
    streamed = probe_layers(model, prompts, twins=twins, batch_size=batch_size)
    assert_frame_equal(streamed, probe_layers(model, in_memory(prompts), twins=twins), rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("make", [noisy, causal], ids=["paired", "causal"])
def test_readouts_do_not_depend_on_the_batch_size(make):
    model = make().double()
    prompts, twins = model.task.sample(17, seed=1), [model.untrained_twin(1)]
    tables = [probe_layers(model, prompts, n_queries=3, twins=twins, batch_size=size) for size in (None, 1, 7)]
    for table in tables[1:]:
        assert_frame_equal(table, tables[0], rtol=1e-7, atol=1e-9)


def test_few_prompts_of_a_stream_are_those_that_the_task_samples():
    model = noisy()
    options: dict[str, Any] = {"n_queries": 4, "controls": False, "seed": 2}
    streamed = probe_layers(model, PromptStream(model.task, 24, seed=5), **options)
    assert_frame_equal(streamed, probe_layers(model, model.task.sample(24, seed=5), **options))


# Matches


@pytest.mark.usefixtures("small_blocks")
@pytest.mark.parametrize(("make", "readout"), [(noisy, "native"), (noisy, "refitted"), (causal, "auto")])
def test_matches_of_a_stream_are_those_of_its_prompts_in_memory(make, readout):
    model = make().double()
    prompts = ask_many_queries(model, PromptStream(model.task, 37, seed=1), 4, seed=0)
    options: dict[str, Any] = {**MATCH, "readout": readout, "twins": [model.untrained_twin(1)]}
    streamed = match_measures(model, prompts, batch_size=7, **options)
    whole = match_measures(model, in_memory(prompts), **options)
    for measure, table in whole.tables.items():
        assert_frame_equal(streamed.tables[measure], table, rtol=1e-7, atol=1e-9)
    assert_frame_equal(streamed.convergence, whole.convergence, rtol=1e-7, atol=1e-9)
    assert_frame_equal(streamed.growth, whole.growth, rtol=1e-7, atol=1e-9)
    assert_frame_equal(streamed.responses, whole.responses, rtol=1e-7, atol=1e-9)


def test_hyperparameters_are_fitted_to_the_same_prompts_whatever_the_batches():
    model = noisy().double()
    prompts = model.task.sample(48, seed=1)
    whole, cut = (
        match_layers(model, prompts, ["gd"], steps=[1, 3], controls=[], n_queries=4, batch_size=size)
        for size in (None, 5)
    )
    assert_frame_equal(cut, whole, rtol=1e-6, atol=1e-9)


def test_among_converged_iterates_rounding_does_not_choose_the_best_step():
    """Newton's last steps are all alike here: best is the first of them, in any batches, and no law counts them."""
    model = interp.load("newton:steps=21,dim=3,noise_std=0.5").double()
    prompts = model.task.sample(40, seed=1)
    options: dict[str, Any] = {"steps": [*range(30, 40), *range(30)], "controls": [], "n_queries": 6}
    options["measures"] = ("errors", "weights", "response")
    found = [
        match_measures(model, prompts, ["newton:scale=constant,alpha=0.05"], batch_size=size, **options)
        for size in (None, 1, 3)
    ]
    for measure in options["measures"]:
        tables = [matches.tables[measure] for matches in found]
        steps = [table[table["best"] & (table["solver"] == "newton")]["step"].to_list() for table in tables]
        assert steps[1] == steps[0] == steps[2]
        assert len(set(steps[0][-5:])) == 1  # layers that predict with least squares
        assert steps[0][-1] < 30
        growth = found[0].growth.set_index("measure").loc[measure]
        assert max(map(float, growth["steps"].split(","))) < steps[0][-1]


def test_a_solver_that_diverges_on_one_prompt_of_one_batch_has_no_r2_there():
    """What is not finite in one batch must not be forgotten in the next."""
    model = noisy().double()
    prompts = model.task.sample(12, seed=1, n_queries=4)
    table = match_layers(model, prompts, ["gd:lr=1e30"], steps=[1, 60], controls=[], batch_size=2)
    r2 = table[table["solver"] == "gd"].set_index(["layer", "step"])["r2"]
    assert r2.xs(60, level="step").isna().all()
    assert r2.xs(1, level="step").notna().any()


def test_responses_take_as_many_prompts_as_memory_allows():
    model = causal()

    def held(dim: int, n_points: int, weight_prompts: int = 0) -> int:
        return prompts_to_hold(model, PromptStream(LinearRegression(dim=dim, n_points=n_points), 10), weight_prompts)

    assert held(20, 41) == HELD_NUMBERS // (41 * 20**2 + 20)
    assert (held(2, 5), held(300, 600)) == (MOST_HELD, LEAST_HELD)
    assert held(20, 41, weight_prompts=7) == 7


# Their parts


def test_every_prompt_has_the_one_before_it_beside_it():
    prompts = LinearRegression(dim=2, n_points=3).sample(7)
    for size in (1, 3, 7):
        pairs = list(beside_another(prompts, size))
        assert torch.equal(torch.cat([ours.xs for ours, _ in pairs]), prompts.xs)
        assert torch.equal(torch.cat([other.xs for _, other in pairs]), prompts.xs.roll(1, 0))


def test_iterates_coincide_where_they_do_so_over_all_batches():
    """Alike in the first batch, apart in the second; and the other way round for no pair."""
    a = torch.ones(2, 6, 3, dtype=torch.float64)
    b, c = a.clone(), a + 1e-4
    b[1, 4:] += 1.0
    found = Coincidences(["a", "b", "c"], 2)
    for part in (slice(0, 3), slice(3, 6)):
        found.add([values[:, part] for values in (a, b, c)])
    assert found.found() == {
        (0, 0): ["b", "c"], (1, 0): ["a", "c"], (2, 0): ["a", "b"],
        (0, 1): ["c"], (1, 1): [], (2, 1): ["a"],
    }  # fmt: skip


def test_answers_that_are_not_numbers_coincide_with_nothing():
    found = Coincidences(["a", "b"], 1)
    found.add([torch.full((1, 2, 2), torch.nan, dtype=torch.float64)] * 2)
    assert found.found() == {(0, 0): [], (1, 0): []}


def test_a_default_batch_fits_its_budget_whatever_the_number_of_prompts():
    model = causal()
    cfg, n_points = model.cfg, model.task.n_points
    size = default_batch_size(model, PromptStream(model.task, 10**9))
    kept = (cfg.n_layers + 1) * n_points * cfg.d_model
    assert size * kept < STATE_NUMBERS
    assert size == default_batch_size(model, model.task.sample(1))


def test_a_context_of_queries_that_are_asked_one_by_one_weighs_as_much_as_they_do():
    model = TheirModel(2, 0.5)
    one, four = (default_batch_size(model, model.task.sample(2, n_queries=n)) for n in (1, 4))
    assert four == pytest.approx(one / 4, rel=0.05)


def test_a_prompt_larger_than_the_budget_is_a_batch_of_its_own(monkeypatch):
    monkeypatch.setattr(readouts_module, "STATE_NUMBERS", 1)
    model = causal()
    prompts = model.task.sample(3)
    assert default_batch_size(model, prompts) == 1
    states = layer_states(model, prompts)
    monkeypatch.undo()
    assert_close(states, layer_states(model, prompts))


def test_only_the_predicted_positions_are_kept(monkeypatch):
    """The states are copies, not views that hold on to the whole stream."""
    model = causal()
    states = readouts_module._states_of_batch(model, model.task.sample(2))
    n_points = model.task.n_points
    assert states.shape == (model.cfg.n_layers + 1, 2, n_points, model.cfg.d_model)
    assert states.untyped_storage().nbytes() == states.numel() * states.element_size()


def test_states_of_a_stream_are_not_remembered():
    model = noisy()
    with shared_memory():
        probe_layers(model, PromptStream(model.task, 8), ["next_y"], controls=False)
        memory = current_memory()
        assert memory is not None
        assert memory.remembered == []


@pytest.mark.parametrize("analyse", [probe_layers, match_layers])
@pytest.mark.parametrize("batch_size", [0, -3])
def test_a_batch_holds_at_least_one_prompt(analyse, batch_size):
    model = noisy()
    with raises_exactly(
        ValueError, f"`batch_size` must be at least 1 prompt, got {batch_size}; leave it out for the default."
    ):
        analyse(model, model.task.sample(16), batch_size=batch_size)


def test_answers_without_bound_coincide_with_nothing():
    """Not even with one another: whether the infinite are alike nobody can say."""
    finite = torch.ones(1, 2, 2, dtype=torch.float64)
    found = Coincidences(["finite", "infinite", "huge", "also huge"], 1)
    found.add([finite, finite * torch.inf, finite * 1e200, finite * 1e200])
    assert set(map(len, found.found().values())) == {0}


# Memory

PEAK = """
import resource, sys, torch
torch.set_num_threads(1)
import interp
from interp.matching import {analysis}
from interp.tasks import PromptStream
model = interp.load("gd:steps=1,dim=4")
{analysis}(model, PromptStream(model.task, int(sys.argv[1])), {arguments})
sys.stdout.write(str(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024))
"""
"""Prints the most memory that the process ever held, in megabytes (Linux counts in kilobytes)."""

ANALYSES = {
    "probe_layers": "['next_y', 'w'], n_queries=8, controls=False",
    "match_layers": "['gd:lr=1.0', 'ols'], steps=[1, 2], n_queries=8, controls=[]",
}


def peak(analysis: str, n_prompts: int) -> float:
    code = PEAK.format(analysis=analysis, arguments=ANALYSES[analysis])
    result = subprocess.run(
        [sys.executable, "-c", code, str(n_prompts)], capture_output=True, text=True, cwd=ROOT, check=True
    )
    return float(result.stdout)


@pytest.mark.slow
@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the unit of ru_maxrss differs")
@pytest.mark.parametrize("analysis", ANALYSES)
def test_memory_does_not_grow_with_the_number_of_prompts(analysis):
    """Held at once, the states and targets of the 120 000 prompts more would take some 200 megabytes."""
    few, many = peak(analysis, 30_000), peak(analysis, 150_000)
    assert many - few < 60
    assert many < 2000
