from dataclasses import replace

import pytest
import torch

from interp.tasks import ConditionNumber, LinearRegression, Prompts, SineWaves
from tests.errors import raises_exactly

TASK = LinearRegression(dim=3, n_points=5, covariance=ConditionNumber(value=4.0))
WAVES = SineWaves(n_points=5)
OPTIONAL = ("w", "input_map", "function")
"""Fields that some prompts have, one row for each prompt. Between them, TASK and WAVES have them all."""

either_task = pytest.mark.parametrize("task", [TASK, WAVES], ids=lambda task: task.kind)


def fields_of(prompts: Prompts) -> dict[str, torch.Tensor]:
    """The tensors that these prompts hold."""
    values = {name: getattr(prompts, name) for name in ("xs", "ys", *OPTIONAL)}
    return {name: value for name, value in values.items() if value is not None}


def same(a: Prompts, b: Prompts) -> bool:
    one, other = fields_of(a), fields_of(b)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def test_the_tasks_here_have_every_field_between_them():
    assert fields_of(TASK.sample(1)).keys() == {"xs", "ys", "w", "input_map"}
    assert fields_of(WAVES.sample(1)).keys() == {"xs", "ys", "function"}


@either_task
def test_halves_are_disjoint_and_together_the_whole(task):
    prompts = task.sample(7)
    selection, estimation = prompts.halves()
    assert (len(selection), len(estimation)) == (3, 4)
    assert same(prompts[:3], selection)
    assert same(prompts[3:], estimation)


@either_task
def test_a_selection_takes_every_field_along(task):
    prompts = task.sample(5)
    order = torch.tensor([4, 0])
    chosen = fields_of(prompts[order])
    for name, values in fields_of(prompts).items():
        assert torch.equal(chosen[name], values[order])


@either_task
def test_one_query_each_asks_prompt_p_query_q_as_prompt_p_times_n_queries_plus_q(task):
    prompts = task.sample(3, n_queries=4)
    single = prompts.one_query_each()
    assert (len(single), single.n_queries, single.n_examples) == (12, 1, prompts.n_examples)
    for p in range(3):
        for q in range(4):
            row = p * 4 + q
            assert torch.equal(single.xs[row, :-1], prompts.xs[p, : prompts.n_examples])
            assert torch.equal(single.ys[row, :-1], prompts.ys[p, : prompts.n_examples])
            assert torch.equal(single.xs[row, -1], prompts.xs[p, prompts.n_examples + q])
            assert torch.equal(single.ys[row, -1], prompts.ys[p, prompts.n_examples + q])
            for name in fields_of(prompts).keys() & set(OPTIONAL):
                assert torch.equal(getattr(single, name)[row], getattr(prompts, name)[p])


@either_task
def test_other_queries_leave_the_contexts_and_what_generated_them(task):
    prompts = task.sample(3, n_queries=4)
    xs, ys = torch.full((3, 2, prompts.dim), 5.0), torch.full((3, 2), 7.0)
    asked = prompts.with_queries(xs, ys)
    n = prompts.n_examples
    assert (asked.n_queries, asked.n_examples) == (2, n)
    assert torch.equal(asked.xs, torch.cat([prompts.xs[:, :n], xs], dim=1))
    assert torch.equal(asked.ys, torch.cat([prompts.ys[:, :n], ys], dim=1))
    assert all(getattr(asked, name) is getattr(prompts, name) for name in OPTIONAL)
    assert same(asked.with_queries(prompts.xs[:, n:], prompts.ys[:, n:]), prompts)


def test_prompts_with_one_query_already_ask_one_query_each():
    prompts = TASK.sample(3)
    assert prompts.one_query_each() is prompts


@either_task
def test_a_change_of_precision_reaches_every_field(task):
    prompts = task.sample(3).to(dtype=torch.float64)
    assert {values.dtype for values in fields_of(prompts).values()} == {torch.float64}


def test_a_split_needs_four_prompts():
    with raises_exactly(
        ValueError,
        "A split into a selection and an estimation half needs at least 4 prompts, got 3. Sample more prompts.",
    ):
        TASK.sample(3).halves()


@pytest.mark.usefixtures("unchecked")
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"xs": torch.zeros(5, 3)},
            "`xs` needs three axes [prompt point dim], got shape (5, 3). "
            "Add the missing axis, e.g. xs[None] for a single prompt.",
        ),
        (
            {"ys": torch.zeros(2, 4)},
            "`ys` needs one target per point: expected shape (2, 5) to match `xs` of shape (2, 5, 3), got (2, 4).",
        ),
        (
            {"w": torch.zeros(3, 3)},
            "`w` needs one weight vector per prompt: expected shape (2, 3), got (3, 3).",
        ),
        (
            {"input_map": torch.zeros(2, 3, 4)},
            "`input_map` needs one square matrix per prompt: expected shape (2, 3, 3), got (2, 3, 4).",
        ),
        (
            {"function": torch.zeros(3, 2)},
            "`function` needs one row of parameters per prompt: expected shape (2, parameters), got (3, 2).",
        ),
        (
            {"function": torch.zeros(2)},
            "`function` needs one row of parameters per prompt: expected shape (2, parameters), got (2,).",
        ),
        ({"n_queries": 0}, "`n_queries` must lie between 1 and the number of points (5), got 0."),
        ({"n_queries": 6}, "`n_queries` must lie between 1 and the number of points (5), got 6."),
        *(
            (
                {name: torch.full(shape, bad)},
                f"`{name}` holds NaN or infinite values; prompts must be finite. "
                "Drop or mend the prompts that torch.isfinite rejects.",
            )
            for name, shape, bad in [
                ("xs", (2, 5, 3), torch.nan),
                ("ys", (2, 5), torch.inf),
                ("w", (2, 3), -torch.inf),
                ("input_map", (2, 3, 3), torch.nan),
                ("function", (2, 4), torch.inf),
            ]
        ),
    ],
)
def test_prompts_that_do_not_fit_together_or_are_not_finite_are_refused(changes, message):
    whole = Prompts(xs=torch.zeros(2, 5, 3), ys=torch.zeros(2, 5), w=torch.zeros(2, 3))
    with raises_exactly(ValueError, message):
        replace(whole, **changes)
