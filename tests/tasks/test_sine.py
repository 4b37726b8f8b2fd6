import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.testing import assert_close

from interp.tasks import LinearRegression, Prompts, SineWaves, Task
from tests.errors import raises_exactly

FREE = SineWaves(n_points=8)
COUPLED = SineWaves(n_points=8, coupled=True)
EPS = 1e-6
"""Rounding of numbers of size 1 to float32."""

both = pytest.mark.parametrize("task", [FREE, COUPLED], ids=["free", "coupled"])


def waves_of(prompts: Prompts) -> tuple[torch.Tensor, torch.Tensor]:
    """Amplitudes and phases [prompt], in float64."""
    assert prompts.function is not None
    amplitude, phase = prompts.function.double().unbind(1)
    return amplitude, phase


def true_targets(prompts: Prompts) -> torch.Tensor:
    """What the waves of the prompts are at their inputs [prompt point], one number at a time."""
    amplitude, phase = waves_of(prompts)
    rows = zip(amplitude.tolist(), phase.tolist(), prompts.xs[..., 0].tolist(), strict=True)
    return torch.tensor([[a * math.sin(x + p) for x in xs] for a, p, xs in rows], dtype=torch.float64)


def test_it_follows_the_protocol_with_scalar_inputs():
    assert isinstance(FREE, Task)
    assert FREE.dim == 1
    prompts = FREE.sample(3, n_queries=2)
    assert (prompts.xs.shape, prompts.n_queries, prompts.n_examples) == ((3, 9, 1), 2, 7)
    assert prompts.w is None
    assert prompts.xs.dtype == prompts.ys.dtype == torch.float32


@given(
    n_points=st.integers(1, 6),
    n_queries=st.integers(1, 4),
    low=st.floats(-20, 0),
    width=st.floats(0.1, 20),
    coupled=st.booleans(),
    seed=st.integers(0, 100),
)
def test_targets_old_and_new_are_the_prompts_wave_at_the_inputs(n_points, n_queries, low, width, coupled, seed):
    task = SineWaves(n_points=n_points, low=low, high=low + width, coupled=coupled)
    prompts = task.sample(3, seed=seed, n_queries=n_queries)
    for asked in (prompts, task.requery(prompts, 5, seed=seed)):
        # An input of size 20 is rounded by 1e-6 when the phase is added to it.
        assert_close(asked.ys.double(), true_targets(asked), rtol=0, atol=5 * EPS)
        assert low - EPS <= asked.xs.min() <= asked.xs.max() <= low + width + 5 * EPS


@both
def test_the_same_arguments_give_the_same_prompts_bit_for_bit(task):
    first, second = (task.sample(5, seed=3, n_queries=2) for _ in range(2))
    for name in ("xs", "ys", "function"):
        assert torch.equal(getattr(first, name), getattr(second, name))


@both
def test_another_seed_gives_other_inputs_waves_and_targets(task):
    first, second = task.sample(5, seed=3), task.sample(5, seed=4)
    for name in ("xs", "ys", "function"):
        assert not torch.isclose(getattr(first, name), getattr(second, name)).any()


@both
def test_inputs_amplitudes_and_phases_are_uniform_on_the_papers_ranges(task):
    prompts = task.sample(4000, seed=0)
    amplitude, phase = waves_of(prompts)
    for values, low, high in [(prompts.xs, -5, 5), (amplitude, 0.1, 0.5), (phase, 0, math.pi)]:
        assert low - EPS <= values.min() <= values.max() <= high + EPS
        law = stats.uniform(low, high - low)
        assert stats.kstest(values.double().flatten().numpy(), law.cdf).pvalue > 1e-3


def test_amplitude_and_phase_are_independent_unless_coupled():
    amplitude, phase = waves_of(FREE.sample(4000, seed=0))
    assert abs(stats.spearmanr(amplitude, phase).statistic) < 5 / 4000**0.5


def test_coupled_amplitudes_are_fixed_by_the_phase():
    amplitude, phase = waves_of(COUPLED.sample(100, seed=0))
    assert_close(amplitude, 0.1 + 0.4 * phase / math.pi, rtol=0, atol=EPS)


def test_coupling_changes_the_amplitudes_alone():
    free, coupled = (task.sample(20, seed=2) for task in (FREE, COUPLED))
    assert torch.equal(free.xs, coupled.xs)
    assert torch.equal(waves_of(free)[1], waves_of(coupled)[1])
    assert not torch.isclose(waves_of(free)[0], waves_of(coupled)[0]).all()


def test_the_loss_of_predicting_0_is_a_quarter_of_the_mean_squared_amplitude():
    """Over whole periods of inputs sin^2 averages to 1/2, and E a^2 = (0.5^3 - 0.1^3) / (3 * 0.4)."""
    task = SineWaves(low=-math.pi, high=math.pi)
    losses = 0.5 * task.sample(20_000, seed=0).ys[:, -1].double().square()
    error = losses.std() / len(losses) ** 0.5
    assert abs(losses.mean() - 0.25 * (0.5**3 - 0.1**3) / 1.2) < 5 * error


@both
def test_new_queries_keep_the_contexts_and_the_waves(task):
    prompts = task.sample(5, seed=3)
    asked = task.requery(prompts, n_queries=9, seed=7)
    n = prompts.n_examples
    assert (asked.n_queries, asked.n_examples) == (9, n)
    for name in ("xs", "ys"):
        assert torch.equal(getattr(asked, name)[:, :n], getattr(prompts, name)[:, :n])
    assert torch.equal(asked.function, prompts.function)


def test_new_queries_are_new_and_a_function_of_the_seed():
    prompts = FREE.sample(5, seed=3)
    asked, again, other = (FREE.requery(prompts, 8, seed=seed) for seed in (3, 3, 4))
    n = prompts.n_examples
    assert torch.equal(asked.xs, again.xs)
    assert not torch.isclose(asked.xs[:, n:], other.xs[:, n:]).any()
    assert not torch.isin(asked.xs[:, n:], prompts.xs).any()


def test_new_queries_of_chosen_prompts_and_of_single_queries_follow_their_own_wave():
    prompts = FREE.sample(6, seed=0, n_queries=3)
    chosen = prompts[torch.tensor([4, 1])].one_query_each()
    asked = FREE.requery(chosen, 5, seed=1)
    assert asked.function is not None
    assert prompts.function is not None
    assert torch.equal(asked.function, prompts.function[[4, 4, 4, 1, 1, 1]])
    assert_close(asked.ys.double(), true_targets(asked), rtol=0, atol=EPS)


def test_new_queries_of_double_precision_prompts_stay_exact():
    asked = FREE.requery(FREE.sample(4).to(dtype=torch.float64), n_queries=3)
    assert_close(asked.ys[:, -3:], true_targets(asked)[:, -3:], rtol=0, atol=1e-15)


def test_new_queries_need_the_wave():
    prompts = FREE.sample(3)
    with raises_exactly(
        ValueError,
        "New queries need amplitude and phase to be answered, and these prompts have none (`function` is None). "
        "Sample the prompts from the task, or give as many queries per prompt as the analysis needs.",
    ):
        FREE.requery(Prompts(xs=prompts.xs, ys=prompts.ys), n_queries=2)


def test_linear_regression_has_no_answer_to_queries_of_a_wave():
    with raises_exactly(
        ValueError,
        "New queries need the hidden weights to be answered, and these prompts have none (`w` is None). "
        "Sample the prompts from the task, or give as many queries per prompt as the analysis needs.",
    ):
        LinearRegression(dim=1).requery(FREE.sample(3), n_queries=2)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_points": 0}, "`n_points` must be at least 1, got 0."),
        ({"low": 5.0}, "`low` must lie below `high`, both finite; got 5.0 and 5.0."),
        ({"low": float("nan")}, "`low` must lie below `high`, both finite; got nan and 5.0."),
        ({"high": float("inf")}, "`low` must lie below `high`, both finite; got -5.0 and inf."),
    ],
    ids=str,
)
def test_sizes_below_1_and_empty_ranges_are_refused(changes, message):
    with raises_exactly(ValueError, message):
        replace(SineWaves(), **changes)


@pytest.mark.parametrize(("n_prompts", "n_queries"), [(0, 1), (1, 0)])
def test_a_sample_has_at_least_one_prompt_and_one_query(n_prompts, n_queries):
    with raises_exactly(ValueError, f"Ask for at least one prompt and one query, got {n_prompts} and {n_queries}."):
        SineWaves().sample(n_prompts, n_queries=n_queries)
