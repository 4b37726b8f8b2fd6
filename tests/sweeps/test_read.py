from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from interp._names import UnknownNameError
from interp._records import to_record
from interp.models import TransformerConfig
from interp.sweeps import load_sweep, make_sweep
from interp.sweeps.analyses import BestMatches, HeldOutLoss
from interp.tasks import LinearRegression, ReluNetworks
from interp.training import RECIPES, get_recipe
from interp.training.curriculum import Curriculum, Ramp
from tests.errors import raises_exactly
from tests.sweeps.sweep_files import write_toml

ROOT = Path(__file__).parents[2]
LEAST = {"name": "a", "recipe": "lsa-1layer"}
NAMES = [run.name for run in make_sweep({**LEAST, "grid": {"steps": [10, 20]}, "seeds": "3-4"}).runs]


def test_a_file_becomes_its_runs(tmp_path):
    sweep = load_sweep(
        write_toml(
            tmp_path,
            """
            name = "mine"
            recipe = "lsa-1layer"
            seeds = [5, 1]
            analyses = ["match", "loss"]
            [fields]
            "task.noise_std" = 0.1
            model.init_variance = 0.5
            steps = 100
            [grid]
            "model.n_layers" = [1, 2]
            lr = [0.1, 1]
            [options.match]
            solvers = ["gd", "newton"]
            n_prompts = 32
            """,
        )
    )
    base = get_recipe("lsa-1layer")
    assert isinstance(base.task, LinearRegression)
    assert isinstance(base.model, TransformerConfig)
    assert (sweep.name, sweep.recipe, sweep.swept) == ("mine", base, ("model.n_layers", "lr"))
    assert sweep.analyses == (BestMatches(solvers=("gd", "newton"), n_prompts=32), HeldOutLoss())
    assert [(run.name, run.fields, run.seed) for run in sweep.runs] == [
        (f"n_layers={layers},lr={lr},seed={seed}", {"model.n_layers": layers, "lr": lr}, seed)
        for layers in (1, 2)
        for lr in (0.1, 1.0)
        for seed in (5, 1)
    ]
    assert sweep.runs[-1].recipe == replace(
        base,
        task=replace(base.task, noise_std=0.1),
        model=replace(base.model, init_variance=0.5, n_layers=2),
        steps=100,
        lr=1.0,
    )


def test_the_grid_is_a_product_and_multiplies_the_rows():
    sweep = make_sweep(
        {
            **LEAST,
            "runs": [{"lr": 0.1}, {"schedule": "constant"}],
            "grid": {"steps": [10, 20, 30], "batch_size": [4, 8]},
            "seeds": "0-1",
        }
    )
    assert sweep.swept == ("lr", "schedule", "steps", "batch_size")
    assert len(sweep.runs) == 2 * 3 * 2 * 2
    assert {(run.recipe.lr, run.recipe.schedule) for run in sweep.runs} == {(0.1, "cosine"), (0.001, "constant")}
    assert sweep.runs[0].name == "lr=0.1,schedule=cosine,steps=10,batch_size=4,seed=0"


def test_a_row_may_change_several_fields_at_once_and_overrides_the_fixed_ones():
    sweep = make_sweep(
        {
            **LEAST,
            "fields": {"lr": 0.5},
            "runs": [{"model.dim": 3, "task.dim": 3}, {"task": {"noise_std": 0.5}, "lr": 1}],
        }
    )
    tasks = [run.recipe.task for run in sweep.runs]
    assert [task.dim for task in tasks if isinstance(task, LinearRegression)] == [3, 10]
    assert [run.recipe.lr for run in sweep.runs] == [0.5, 1.0]
    assert [run.name for run in sweep.runs] == [
        "model.dim=3,task.dim=3,noise_std=0.0,lr=0.5,seed=0",
        "model.dim=10,task.dim=10,noise_std=0.5,lr=1.0,seed=0",
    ]


def test_without_fields_or_seeds_a_sweep_is_the_recipe_with_seed_0_and_its_loss():
    sweep = make_sweep(LEAST)
    assert [(run.name, run.recipe, run.seed) for run in sweep.runs] == [("seed=0", RECIPES["lsa-1layer"], 0)]
    assert sweep.analyses == (HeldOutLoss(),)


def test_none_is_written_as_text_where_a_field_may_be_none_and_nowhere_else():
    sweep = make_sweep({**LEAST, "fields": {"clip_norm": "none"}, "grid": {"model.clamp": ["none", 10.0]}})
    assert [run.recipe.clip_norm for run in sweep.runs] == [None, None]
    assert [run.name for run in sweep.runs] == ["clamp=none,seed=0", "clamp=10.0,seed=0"]
    assert make_sweep({**LEAST, "fields": {"model.mlp": "none"}}).runs[0].recipe == RECIPES["lsa-1layer"]


def test_a_table_with_a_kind_or_where_there_is_none_is_one_value():
    networks = {"kind": "relu_networks", "dim": 10, "n_points": 11}
    ramps = {"dims": {"start": 2}, "points": {"start": 3, "step": 2}}
    (run,) = make_sweep({**LEAST, "fields": {"task": networks}}).runs
    assert run.recipe.task == ReluNetworks(dim=10, n_points=11)
    (run,) = make_sweep({**LEAST, "fields": {"curriculum": ramps}}).runs
    assert getattr(run.recipe, "curriculum") == Curriculum(dims=Ramp(start=2), points=Ramp(start=3, step=2))  # noqa: B009


def test_a_grid_names_the_fields_of_what_a_fixed_field_put_there():
    networks = {"kind": "relu_networks", "dim": 10, "n_points": 11}
    content = {**LEAST, "fields": {"task": networks}, "grid": {"task.hidden": [3, 4]}}
    tasks = [run.recipe.task for run in make_sweep(content).runs]
    assert tasks == [ReluNetworks(dim=10, n_points=11, hidden=hidden) for hidden in (3, 4)]
    assert networks == {"kind": "relu_networks", "dim": 10, "n_points": 11}


def test_a_language_model_is_swept_alike():
    sweep = make_sweep({"name": "a", "recipe": "induction-2layer", "grid": {"model": {"n_heads": [4, 8]}}})
    assert [getattr(run.recipe.model, "n_heads", None) for run in sweep.runs] == [4, 8]
    assert [run.name for run in sweep.runs] == ["n_heads=4,seed=0", "n_heads=8,seed=0"]


def test_what_all_runs_share_is_their_recipe_without_the_swept_fields():
    networks = {"kind": "relu_networks", "dim": 10, "n_points": 11}
    sweep = make_sweep({**LEAST, "fields": {"lr": 0.5}, "grid": {"task": [networks], "model.n_layers": [1, 2]}})
    shared = to_record(replace(RECIPES["lsa-1layer"], lr=0.5))
    del shared["task"], shared["model"]["n_layers"]
    assert sweep.shared == shared


def test_fields_that_only_change_together_are_one_axis_that_begins_with_a_number():
    rows = [
        {"task.inputs": inputs, "task.dim": dim, "model.dim": dim, "lr": 0.1}
        for inputs, dim in (("uniform", 3), ("gaussian", 4))
    ]
    assert make_sweep({**LEAST, "runs": rows, "grid": {"steps": [1, 2]}}).axes == (
        ("task.dim", "model.dim", "task.inputs"),
        ("lr",),
        ("steps",),
    )
    apart = [{"lr": 0.1, "steps": 1}, {"lr": 0.2, "steps": 1}, {"lr": 0.3, "steps": 2}]
    assert make_sweep({**LEAST, "runs": apart}).axes == (("lr",), ("steps",))


def test_lists_are_values_of_a_grid_too():
    sweep = make_sweep({**LEAST, "grid": {"betas": [[0.9, 0.98], [0.5, 0.5]]}})
    assert [run.recipe.betas for run in sweep.runs] == [(0.9, 0.98), (0.5, 0.5)]
    assert [run.name for run in sweep.runs] == ["betas=0.9+0.98,seed=0", "betas=0.5+0.5,seed=0"]


def test_names_are_fit_for_folders_and_stay_apart():
    kinds = [{"model.attention": ["softmax"] * n, "model.n_layers": n, "model.head_width": 9} for n in (60, 61)]
    names = [run.name for run in make_sweep({**LEAST, "runs": kinds}).runs]
    assert len(set(names)) == 2
    assert all(len(name) < 140 and "/" not in name for name in names)
    odd = {"kind": "linear_regression", "dim": 10, "n_points": 11, "inputs": "uniform"}
    (run,) = make_sweep({**LEAST, "grid": {"task": [odd]}}).runs
    assert set(run.name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._=,+-")


def test_the_example_parses():
    (path,) = (ROOT / "examples").glob("*.toml")
    sweep = load_sweep(path)
    assert len(sweep.runs) == 9
    assert {analysis.kind for analysis in sweep.analyses} == {"loss", "match", "probe"}


def test_a_file_that_is_not_there_and_one_that_is_no_toml(tmp_path):
    path = tmp_path / "a.toml"
    with raises_exactly(FileNotFoundError, f"There is no sweep file {path}; give the path of a TOML file."):
        load_sweep(path)
    path.write_text("name = ")
    with pytest.raises(ValueError, match=rf"^{path} is not valid TOML \(Invalid value .*\); correct it\.$"):
        load_sweep(path)


UNKNOWN: list[tuple[Any, ...]] = [
    (
        {"sedes": [1]},
        "Unknown field in s 'sedes'; known are analyses, compile, fields, grid, name, options, precision, recipe, "
        "runs, seeds. Did you mean 'seeds'?",
    ),
    ({"fields": {"task.noise": 1}}, "Unknown field in s, [fields] 'task.noise'; known are task.", "task.noise_std"),
    ({"grid": {"learning_rate": [1]}}, "Unknown field in s, [grid] 'learning_rate'; known are batch_size, ", None),
    ({"runs": [{}, {"model.layers": 1}]}, "Unknown field in s, row 2 of [[runs]] 'model.layers'; ", "model.n_layers"),
    ({"analyses": ["los"]}, "Unknown analysis in s 'los'; known are heads, loss, match, probe. Did you mean 'loss'?"),
    ({"options": {"match": {}}}, "Unknown analysis in s, [options] 'match'; known are loss."),
    (
        {"options": {"loss": {"prompts": 3}}},
        "Unknown option in s, [options.loss] 'prompts'; known are n_prompts, seed. Did you mean 'n_prompts'?",
    ),
    ({"precision": "fp16"}, "Unknown precision in s 'fp16'; known are bf16, fp32, tf32. Did you mean 'bf16'?"),
    ({"recipe": "lsa-1-layer"}, "Unknown recipe in s 'lsa-1-layer'; known are ", "lsa-1layer"),
]


@pytest.mark.parametrize("case", UNKNOWN, ids=lambda case: str(case[0]))
def test_an_unknown_name_is_answered_with_those_there_are(case):
    content, message, *near = case
    with pytest.raises(UnknownNameError) as caught:
        make_sweep({**LEAST, **content}, where="s")
    said = str(caught.value)
    assert said.startswith(message)
    if not near:
        assert said == message
    elif near[0]:
        assert said.endswith(f" Did you mean {near[0]!r}?")


BAD = {
    "name": (
        {"name": "a/b"},
        "s needs a `name` of letters, digits, dots, hyphens and underscores; got 'a/b'.",
    ),
    "recipe": ({"recipe": 3}, "s needs a `recipe`, the name of one; got 3. Names are listed by: interp train"),
    "empty grid": ({"grid": {}}, "s, [grid] is empty; give a field with a list of values, or leave the table out."),
    "empty table in the grid": (
        {"grid": {"model": {}}},
        "s, [grid] is empty; give a field with a list of values, or leave the table out.",
    ),
    "empty values": (
        {"grid": {"lr": []}},
        "s, [grid] is empty: 'lr' has no values; give at least one, or leave the field out.",
    ),
    "no list": ({"grid": {"lr": 0.1}}, "s, [grid]: 'lr' needs a list of values, got 0.1; one value goes in [fields]."),
    "no table": ({"fields": 3}, "s: `fields` must be a table, [fields], got 3."),
    "no rows": ({"runs": []}, "s: `runs` is empty; give at least one row, or leave it out."),
    "rows": ({"runs": [3]}, "s: `runs` must be a list of tables, [[runs]], got [3]."),
    "own name": ({"fields": {"name": "b"}}, "s, [fields] cannot set 'name': the sweep has a name of its own."),
    "own seed": ({"grid": {"seed": [1]}}, "s, [grid] cannot set 'seed': seeds stand in `seeds`."),
    "twice": (
        {"fields": {"model.dim": 3, "model": {"dim": 4}}},
        "s, [fields] gives the field 'model.dim' twice; give it once.",
    ),
    "two places": (
        {"fields": {"lr": 0.1}, "grid": {"lr": [0.2]}},
        "s gives the field 'lr' in [grid] and in [fields]; give it in one of them.",
    ),
    "two tables": (
        {"runs": [{"lr": 0.1}], "grid": {"lr": [0.2]}},
        "s gives the field 'lr' in [grid] and in [[runs]]; give it in one of them.",
    ),
    "same run": (
        {"grid": {"lr": [1, 1.0]}},
        "s asks for the run lr=1.0,seed=0 twice; give each combination of fields once.",
    ),
    "text for a number": ({"fields": {"steps": "10"}}, "s: the field 'steps' takes 10 rather than '10'; write that."),
    "truth for a number": ({"grid": {"steps": [True]}}, "s: the field 'steps' takes 1 rather than true; write that."),
    "fraction for a count": (
        {"fields": {"steps": 1.5}},
        "s does not describe a valid Recipe: steps: Input should be a valid integer, got a number with a fractional "
        "part.",
    ),
    "not a number": (
        {"fields": {"lr": float("nan")}},
        "s: the field 'lr' takes text, a finite number, true or false, a list or a table of these; got nan.",
    ),
    "no such choice": (
        {"fields": {"schedule": "linear"}},
        "s does not describe a valid Recipe: schedule: Input should be 'constant' or 'cosine'.",
    ),
    "inside none": (
        {"fields": {"curriculum.dims.start": 2}},
        "s: 'curriculum.dims.start' lies in 'curriculum', which is none; give it as a table.",
    ),
    "unknown inside a whole": (
        {"fields": {"task": {"kind": "relu_networks", "dim": 10, "points": 3}}},
        "s has fields that Recipe does not know: task.points.",
    ),
    "seeds": (
        {"seeds": "0..9"},
        "s, `seeds`: Cannot read seeds '0..9'; expected numbers and ranges, such as 0-9 or 0,3,5-7.",
    ),
    "no seeds": (
        {"seeds": []},
        "s: `seeds` must be a list of numbers from 0, such as [0, 1, 2], or a text such as '0-9'; got [].",
    ),
    "compile": ({"compile": 1}, "s: `compile` must be true or false, got 1."),
    "a seed twice": ({"seeds": [1, 1]}, "s: `seeds` names a seed twice, got [1, 1]; give each once."),
    "analyses": (
        {"analyses": "loss"},
        "s: `analyses` must be a list of names from loss, match, probe, heads; got 'loss'.",
    ),
    "an analysis twice": (
        {"analyses": ["loss", "loss"]},
        "s: `analyses` names one twice, got ['loss', 'loss']; give each once.",
    ),
    "option as text": (
        {"options": {"loss": {"n_prompts": "9"}}},
        "s, [options.loss]: 'n_prompts' takes 9 rather than '9'; write that.",
    ),
    "an option's list with text for numbers": (
        {"analyses": ["match"], "options": {"match": {"steps": ["1", 2]}}},
        "s, [options.match]: 'steps' takes [1, 2] rather than ['1', 2]; write that.",
    ),
    "of language models": (
        {"recipe": "induction-2layer", "analyses": ["match"]},
        "s: the analysis 'match' is of models of in-context regression, and recipe 'induction-2layer' trains a "
        "language model; it can have loss, heads.",
    ),
}


@pytest.mark.parametrize(("content", "message"), BAD.values(), ids=BAD)
def test_what_cannot_run_is_refused_in_one_sentence(content, message):
    with raises_exactly(ValueError, message):
        make_sweep({**LEAST, **content}, where="s")


@pytest.mark.parametrize(
    ("kind", "options", "message"),
    [
        ("match", {"solvers": ["gdd"]}, "Unknown solver 'gdd'; known are "),
        ("match", {"solvers": []}, "`number of solvers` of the analysis 'match' must be at least 1, got 0."),
        ("probe", {"targets": ["x"]}, "Unknown target of the analysis 'probe' 'x'; known are next_y, w, w_ols, xty."),
        ("loss", {"n_prompts": 1}, "`n_prompts` of the analysis 'loss' must be at least 2, got 1."),
        ("heads", {"n_prompts": 1}, "`n_prompts` of the analysis 'heads' must be at least 2, got 1."),
    ],
)
def test_options_are_checked_before_anything_runs(kind, options, message):
    with pytest.raises(ValueError, match=rf"^s, \[options\.{kind}\] does not describe a valid ") as caught:
        make_sweep({**LEAST, "analyses": [kind], "options": {kind: options}}, where="s")
    assert message in str(caught.value)


def test_a_recipe_that_contradicts_itself_is_refused_with_its_own_words():
    with pytest.raises(ValueError, match=r"^s does not describe a valid Recipe: ") as caught:
        make_sweep({**LEAST, "grid": {"task.dim": [10, 3]}}, where="s")
    assert "Recipe 'lsa-1layer': the model reads inputs of dim 10, the task draws them of dim 3; change both." in str(
        caught.value
    )
