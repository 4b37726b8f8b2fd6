from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from torch.testing import assert_close

from interp.tasks import ConditionNumber, Eigenvalues, InputLaw, Isotropic, LinearRegression, Prompts, Task
from tests.errors import raises_exactly
from tests.tasks.means import SIGMAS, assert_mean

FIXED = Eigenvalues(values=(4.0, 2.0, 1.0, 0.5), rotation="fixed")
TASKS = {
    "uniform": LinearRegression(dim=4, n_points=7),
    "gaussian": LinearRegression(dim=4, n_points=7, inputs="gaussian", input_scale=2.0, weight_scale=3.0),
    "noisy": LinearRegression(dim=4, n_points=7, noise_std=0.5),
    "rotated": LinearRegression(dim=4, n_points=7, covariance=ConditionNumber(value=9.0)),
    "fixed": LinearRegression(dim=4, n_points=7, covariance=FIXED),
    "exponential": LinearRegression(dim=4, n_points=7, inputs="exponential", input_scale=0.5),
    "laplace": LinearRegression(dim=4, n_points=7, inputs="laplace"),
    "rotated exponential": LinearRegression(
        dim=4, n_points=7, inputs="exponential", covariance=ConditionNumber(value=9.0)
    ),
    "fixed exponential": LinearRegression(dim=4, n_points=7, inputs="exponential", covariance=FIXED),
    "batch": LinearRegression(dim=4, n_points=7, covariance=ConditionNumber(value=9.0, rotation="batch")),
    "subspace": LinearRegression(dim=4, n_points=7, inputs="gaussian", subspace=3),
    "rotated exponential subspace": LinearRegression(
        dim=4, n_points=7, inputs="exponential", covariance=ConditionNumber(value=9.0), subspace=2
    ),
    "normalized subspace": LinearRegression(dim=4, n_points=7, subspace=2, normalize_context=True),
    "orthants": LinearRegression(dim=4, n_points=7, inputs="gaussian", input_scale=2.0, orthants=True),
    "normalized": LinearRegression(dim=4, n_points=7, inputs="laplace", input_scale=2.0, normalize_context=True),
    "rotated normalized": LinearRegression(
        dim=4, n_points=7, normalize_context=True, covariance=ConditionNumber(value=9.0)
    ),
}
DISTRACTED = LinearRegression(dim=4, n_points=7, inputs="exponential", weight_scale=3.0, distractors=2)
LAWS: list[InputLaw] = ["uniform", "gaussian", "exponential", "laplace"]
every_task = pytest.mark.parametrize("task", [*TASKS.values(), DISTRACTED], ids=[*TASKS, "distracted"])
every_task_without_distractors = pytest.mark.parametrize("task", TASKS.values(), ids=TASKS.keys())


@every_task
def test_the_same_arguments_give_the_same_prompts_bit_for_bit(task):
    first, second = (task.sample(5, seed=3, n_queries=2) for _ in range(2))
    for name in ("xs", "ys", "w"):
        assert torch.equal(getattr(first, name), getattr(second, name))


@every_task
def test_plain_prompts_are_drawn_in_place_as_they_are_sampled_and_others_are_refused(task):
    xs, ys = torch.full((30, 7, 4), 9.0), torch.full((30, 7), 9.0)
    if not task.is_plain:
        with raises_exactly(
            ValueError, f"Only plain prompts are drawn in place, and these take more than that; sample {task}."
        ):
            task.fill(xs, ys, seed=3)
        assert xs.eq(9).all()
        return
    task.fill(xs, ys, seed=3)
    sampled = task.sample(30, seed=3)
    assert torch.equal(xs, sampled.xs)
    assert torch.equal(ys, sampled.ys)


def test_plain_are_those_that_add_nothing_to_inputs_and_weights():
    assert {name for name, task in TASKS.items() if task.is_plain} == {"uniform", "gaussian", "exponential", "laplace"}
    assert not DISTRACTED.is_plain


def test_a_seed_means_the_prompts_that_it_has_always_meant():
    """Figures from the first version of this module: another value here makes every seed in a report mean another."""
    plain = LinearRegression(dim=2, n_points=2).sample(1, seed=5)
    assert_close(plain.xs[0], torch.tensor([[0.3407279, -0.3836032], [-0.3568121, 0.2049762]]), rtol=0, atol=1e-6)
    assert_close(plain.w, torch.tensor([[-1.1396616, 1.3315203]]), rtol=0, atol=1e-6)
    shaped = LinearRegression(dim=2, n_points=2, inputs="gaussian", covariance=ConditionNumber(value=9.0))
    assert_close(
        shaped.sample(1, seed=5).xs[0],
        torch.tensor([[0.1748925, -0.4962380], [0.2397226, 1.9506061]]),
        rtol=0,
        atol=1e-5,
    )
    noisy = LinearRegression(dim=2, n_points=2, noise_std=1.0)
    asked = noisy.requery(noisy.sample(1, seed=5), 1, seed=6)
    assert_close(asked.xs[0, 1], torch.tensor([-0.2562833, -0.3252140]), rtol=0, atol=1e-6)
    assert_close(asked.ys[0], torch.tensor([1.9278420, 1.0789528]), rtol=0, atol=1e-5)


@every_task
def test_another_seed_gives_other_inputs_weights_and_targets(task):
    first, second = task.sample(5, seed=3), task.sample(5, seed=4)
    for name in ("xs", "ys", "w"):
        assert not torch.isclose(getattr(first, name), getattr(second, name)).any()


@every_task_without_distractors
def test_targets_are_linear_in_the_inputs_up_to_the_noise(task):
    prompts = task.sample(1000, seed=0)
    residual = prompts.ys - torch.einsum("ptd,pd->pt", prompts.xs, prompts.w)
    if task.noise_std == 0:
        assert_close(residual, torch.zeros_like(residual), rtol=0, atol=1e-5)
    else:
        assert_mean(residual, 0.0)
        assert_mean(residual.square(), task.noise_std**2)


def test_noise_leaves_inputs_and_weights_untouched():
    clean, noisy = (TASKS[name].sample(6, seed=2) for name in ("uniform", "noisy"))
    assert torch.equal(clean.xs, noisy.xs)
    assert clean.w is not None
    assert noisy.w is not None
    assert torch.equal(clean.w, noisy.w)
    assert not torch.isclose(clean.ys, noisy.ys).any()


def test_the_query_is_as_noisy_as_the_examples():
    prompts = TASKS["noisy"].sample(4000, seed=1)
    residual = prompts.ys[:, -1] - torch.einsum("pd,pd->p", prompts.xs[:, -1], prompts.w)
    assert_mean(residual.square(), 0.25)


def test_weights_are_normal_with_the_given_scale():
    w = TASKS["gaussian"].sample(4000, seed=0).w
    assert w is not None
    assert_mean(w, 0.0)
    assert_mean(w.square(), 9.0)
    assert_mean(w**4, 3 * 9.0**2)


def test_uniform_inputs_fill_the_unit_cube_with_variance_one_twelfth():
    xs = LinearRegression().sample(2000, seed=0).xs
    assert -0.5 <= xs.min() < -0.4999
    assert 0.4999 < xs.max() <= 0.5
    assert_mean(xs, 0.0)
    assert_mean(xs.square(), 1 / 12)


def test_the_loss_of_predicting_0_is_five_twelfths():
    prompts = LinearRegression(dim=10).sample(20_000, seed=0)
    assert_mean(0.5 * prompts.ys[:, -1].square(), 5 / 12)


@every_task
def test_the_stated_input_variance_is_the_mean_square_of_the_examples(task):
    squares = task.sample(4000, seed=0).xs[:, :-1].square().mean(dim=(1, 2))
    if task.normalize_context:
        assert_close(squares, torch.full_like(squares, task.input_variance), rtol=1e-5, atol=0)
    else:
        assert_mean(squares, task.input_variance)


@pytest.mark.parametrize(
    ("inputs", "law"),
    [
        ("uniform", stats.uniform(-0.5, 1)),
        ("gaussian", stats.norm),
        ("exponential", stats.expon),
        ("laplace", stats.laplace),
    ],
)
def test_inputs_follow_their_law(inputs, law):
    xs = LinearRegression(inputs=inputs).sample(2000, seed=0).xs.double().flatten()
    assert stats.kstest(xs.numpy(), law.cdf).pvalue > 1e-3
    for power in (1, 2, 3):
        assert_mean(xs**power, law.moment(power))


def test_only_exponential_inputs_are_not_centred():
    means = {inputs: LinearRegression(inputs=inputs).sample(2000, seed=0).xs.mean().item() for inputs in LAWS}
    assert means == pytest.approx({"uniform": 0, "gaussian": 0, "exponential": 1, "laplace": 0}, abs=0.05)


@pytest.mark.parametrize("inputs", LAWS)
def test_coordinates_of_a_point_are_independent(inputs):
    xs = LinearRegression(dim=3, inputs=inputs).sample(2000, seed=0).xs.double().flatten(0, 1)
    correlations = torch.corrcoef(xs.T) - torch.eye(3)
    assert correlations.abs().max() < SIGMAS / len(xs) ** 0.5


def test_every_task_follows_the_protocol():
    assert all(isinstance(task, Task) for task in TASKS.values())


@every_task
def test_new_queries_keep_the_contexts_and_the_hidden_weights(task):
    prompts = task.sample(5, seed=3)
    asked = task.requery(prompts, n_queries=8, seed=7)
    assert (asked.n_queries, asked.n_examples) == (8, prompts.n_examples)
    assert torch.equal(asked.xs[:, : asked.n_examples], prompts.xs[:, : prompts.n_examples])
    assert torch.equal(asked.ys[:, : asked.n_examples], prompts.ys[:, : prompts.n_examples])
    assert torch.equal(asked.w, prompts.w)


@every_task
def test_new_queries_are_new_and_a_function_of_the_seed(task):
    prompts = task.sample(5, seed=3)
    asked, again, other = (task.requery(prompts, 8, seed=seed) for seed in (3, 3, 4))
    assert torch.equal(asked.xs, again.xs)
    assert torch.equal(asked.ys, again.ys)
    n = prompts.n_examples
    assert not torch.isclose(asked.xs[:, n:], other.xs[:, n:]).any()
    distances = torch.cdist(asked.xs[:, n:].flatten(0, 1), prompts.xs.flatten(0, 1))
    assert distances.min() > 1e-3


def test_new_queries_follow_the_law_of_their_own_prompt():
    task = LinearRegression(dim=3, n_points=4, covariance=ConditionNumber(value=100.0))
    asked = task.requery(task.sample(200, seed=0), n_queries=50, seed=1)
    cube = asked.xs[:, asked.n_examples :] @ torch.linalg.inv(asked.input_map)
    assert cube.abs().max() <= 0.5 + 1e-4  # float32 through an inverse of condition 10
    assert_mean(cube.square(), 1 / 12)


def test_new_queries_are_answered_by_the_hidden_weights_with_the_tasks_noise():
    task = TASKS["noisy"]
    asked = task.requery(task.sample(500, seed=0), n_queries=20, seed=0)
    residual = (asked.ys - torch.einsum("ptd,pd->pt", asked.xs, asked.w))[:, asked.n_examples :]
    assert_mean(residual.square(), 0.25)


def test_new_queries_of_double_precision_prompts_stay_exact():
    task = TASKS["uniform"]
    asked = task.requery(task.sample(4).to(dtype=torch.float64), n_queries=3)
    exact = torch.einsum("ptd,pd->pt", asked.xs, asked.w)[:, asked.n_examples :]
    assert_close(asked.ys[:, asked.n_examples :], exact, rtol=0, atol=1e-15)


def test_new_queries_need_hidden_weights():
    prompts = TASKS["uniform"].sample(3)
    with raises_exactly(
        ValueError,
        "New queries need the hidden weights to be answered, and these prompts have none (`w` is None). "
        "Sample the prompts from the task, or give as many queries per prompt as the analysis needs.",
    ):
        TASKS["uniform"].requery(Prompts(xs=prompts.xs, ys=prompts.ys), n_queries=2)


@given(
    inputs=st.sampled_from(LAWS),
    covariance=st.sampled_from([Isotropic(), ConditionNumber(value=9.0), ConditionNumber(value=4.0, rotation="fixed")]),
    dim=st.integers(1, 5),
    n_points=st.integers(2, 6),
    n_queries=st.integers(1, 4),
    scale=st.just(0.0) | st.floats(0.01, 10),
    seed=st.integers(0, 100),
)
def test_normalised_prompts_are_the_plain_ones_over_the_norm_of_their_examples(
    inputs, covariance, dim, n_points, n_queries, scale, seed
):
    plain_task = LinearRegression(dim=dim, n_points=n_points, inputs=inputs, covariance=covariance)
    task = replace(plain_task, normalize_context=True, input_scale=scale)
    plain, prompts = (each.sample(3, seed=seed, n_queries=n_queries) for each in (plain_task, task))
    norms = torch.linalg.vector_norm(plain.xs[:, : plain.n_examples], dim=(1, 2), keepdim=True)
    assert_close(prompts.xs, scale * plain.xs / norms, rtol=1e-4, atol=1e-5 * scale)
    assert_close(
        torch.linalg.vector_norm(prompts.xs[:, : prompts.n_examples], dim=(1, 2)), torch.full((3,), scale).float()
    )
    assert prompts.w is not None
    assert plain.w is not None
    assert torch.equal(prompts.w, plain.w)
    # New queries are divided by the same numbers as the old ones.
    plain, prompts = (each.requery(old, 5, seed=seed) for each, old in ((plain_task, plain), (task, prompts)))
    assert_close(prompts.xs, scale * plain.xs / norms, rtol=1e-4, atol=1e-5 * scale)
    assert_close(prompts.ys, torch.einsum("ptd,pd->pt", prompts.xs, prompts.w), rtol=0, atol=1e-5 * scale)


def test_normalised_prompts_that_were_chosen_and_split_are_asked_by_their_own_norms():
    task = TASKS["normalized"]
    prompts = task.sample(4, seed=0, n_queries=2)
    order = torch.tensor([2, 0])
    chosen = prompts[order].one_query_each()
    asked = task.requery(chosen, 6, seed=1)
    raw = task.requery(replace(chosen, input_map=torch.eye(4).expand(4, 4, 4)), 6, seed=1)
    assert prompts.input_map is not None
    norms = 1 / prompts.input_map[:, 0, 0]
    expected = raw.xs[:, asked.n_examples :] / norms[order].repeat_interleave(2)[:, None, None]
    assert_close(asked.xs[:, asked.n_examples :], expected)


def test_new_queries_of_a_normalised_task_need_the_norm():
    prompts = TASKS["normalized"].sample(3)
    with raises_exactly(
        ValueError,
        "New queries must be divided by what their context was divided by, and these prompts do not say (`input_map` "
        "is None). Sample the prompts from the task, or give as many queries per prompt as the analysis needs.",
    ):
        TASKS["normalized"].requery(Prompts(xs=prompts.xs, ys=prompts.ys, w=prompts.w), n_queries=2)


def test_there_must_be_an_example_to_normalise_by():
    with raises_exactly(
        ValueError,
        "`normalize_context` divides by the norm of the examples, and with n_points=1 there are none; "
        "use n_points=2 or more.",
    ):
        LinearRegression(n_points=1, normalize_context=True)


def replaced(task: LinearRegression, n_prompts: int, seed: int = 0) -> torch.Tensor:
    """Which targets of the examples are distractors, [prompt example]; all else is checked to be what it was."""
    prompts = task.sample(n_prompts, seed=seed, n_queries=2)
    clean = replace(task, distractors=0).sample(n_prompts, seed=seed, n_queries=2)
    for name in ("xs", "w", "input_map"):
        here, there = getattr(prompts, name), getattr(clean, name)
        assert here is there is None or torch.equal(here, there)
    changed = prompts.ys != clean.ys
    assert not changed[:, prompts.n_examples :].any()
    return changed[:, : prompts.n_examples]


@given(
    count=st.integers(0, 6),
    noise_std=st.sampled_from([0.0, 0.5]),
    covariance=st.sampled_from([Isotropic(), ConditionNumber(value=9.0)]),
    normalize_context=st.booleans(),
    seed=st.integers(0, 100),
)
def test_exactly_the_asked_number_of_targets_are_replaced_and_nothing_else(
    count, noise_std, covariance, normalize_context, seed
):
    task = LinearRegression(
        dim=3,
        n_points=7,
        noise_std=noise_std,
        covariance=covariance,
        normalize_context=normalize_context,
        distractors=count,
    )
    assert replaced(task, 5, seed).sum(1).tolist() == [count] * 5


def test_distractors_are_standard_normal_whatever_the_scale_of_the_targets():
    where = replaced(DISTRACTED, 4000)
    values = DISTRACTED.sample(4000, seed=0, n_queries=2).ys[:, :6][where]
    assert stats.kstest(values.double().numpy(), stats.norm.cdf).pvalue > 1e-3
    assert_mean(values, 0.0)
    assert_mean(values.square(), 1.0)


def test_distractors_stand_at_every_place_equally_often():
    shares = replaced(DISTRACTED, 4000).double().mean(0)
    assert_close(shares, torch.full((6,), 2 / 6).double(), rtol=0, atol=SIGMAS * (2 / 9 / 4000) ** 0.5)


def test_distractors_of_another_seed_stand_elsewhere():
    assert not torch.equal(replaced(DISTRACTED, 50, seed=0), replaced(DISTRACTED, 50, seed=1))


def test_fewer_distractors_are_among_more():
    fewer, more = (replace(DISTRACTED, distractors=count) for count in (2, 4))
    assert (replaced(fewer, 50) <= replaced(more, 50)).all()
    both = replaced(fewer, 50)
    values, same = (task.sample(50, seed=0, n_queries=2).ys[:, :6][both] for task in (fewer, more))
    assert torch.equal(values, same)


def test_new_queries_after_distractors_are_answered_truly():
    prompts = DISTRACTED.sample(20, seed=0)
    asked = DISTRACTED.requery(prompts, 5, seed=1)
    assert torch.equal(asked.ys[:, :6], prompts.ys[:, :6])
    truth = torch.einsum("ptd,pd->pt", asked.xs, asked.w)
    assert_close(asked.ys[:, 6:], truth[:, 6:])


@pytest.mark.parametrize("distractors", [-1, 7])
def test_only_examples_can_be_distractors(distractors):
    with raises_exactly(
        ValueError,
        "`distractors` replace targets of examples, of which there are 6 (n_points - 1): "
        f"it must lie in 0..6, got {distractors}.",
    ):
        replace(TASKS["uniform"], distractors=distractors)


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("dim", 0, "`dim` must be at least 1, got 0."),
        ("n_points", 0, "`n_points` must be at least 1, got 0."),
        ("input_scale", -1.0, "`input_scale` must be finite and not negative, got -1.0."),
        ("weight_scale", float("nan"), "`weight_scale` must be finite and not negative, got nan."),
        ("noise_std", float("inf"), "`noise_std` must be finite and not negative, got inf."),
    ],
)
def test_sizes_below_1_and_scales_below_0_are_refused(field, value, message):
    with raises_exactly(ValueError, message):
        replace(LinearRegression(), **{field: value})


@pytest.mark.parametrize(("n_prompts", "n_queries"), [(0, 1), (1, 0)])
def test_a_sample_has_at_least_one_prompt_and_one_query(n_prompts, n_queries):
    with raises_exactly(ValueError, f"Ask for at least one prompt and one query, got {n_prompts} and {n_queries}."):
        LinearRegression().sample(n_prompts, n_queries=n_queries)
