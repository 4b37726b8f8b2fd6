"""The command line: what it writes, what it refuses, and the one message it fails with."""

import csv
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import jaxtyping
import pytest
import torch

from interp import __version__, cli
from interp.commands import zoo as zoo_command
from interp.models import LSTMConfig, RegressionLSTM, save_folder
from interp.models.zoo import zoo_entries
from interp.tasks import LinearRegression, TokenLayout
from interp.training import checkpoint_steps
from tests.models.garg_runs import write_run
from tests.report.reading import read_json, read_page

TINY = ("train", "lsa-1layer", "--steps", "20", "--batch-size", "16")
FEW = ("--n-prompts", "16", "--n-queries", "4")


@dataclass(frozen=True)
class Result:
    """How a command line ended and what it said."""

    status: int
    out: str
    error: str


Run = Callable[..., Result]


@pytest.fixture
def run(capsys, monkeypatch, tmp_path) -> Run:
    """Run a command line in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(cli.DEBUG, raising=False)

    def run(*arguments: object) -> Result:
        status = cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return Result(status, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory) -> Path:
    """A run folder of 20 updates. Tests that change it copy it first."""
    folder = tmp_path_factory.mktemp("runs") / "tiny"
    assert cli.main([*TINY, "--out", str(folder), "--seed", "3"]) == 0
    return folder


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """The run folder, to be damaged."""
    return Path(shutil.copytree(trained, tmp_path / "copied"))


def assert_fails(result: Result, message: str, status: int = cli.FAILED) -> None:
    """One line on standard error, that message, and nothing else."""
    assert (result.status, result.out, result.error) == (status, "", f"interp: {message}\n")


# Help and names


@pytest.mark.parametrize("option", ["--help", "-h"])
def test_help_lists_every_command(run, option):
    result = run(option)
    assert (result.status, result.error) == (0, "")
    for name, text in cli.COMMANDS.items():
        assert f"  {name}" in result.out
        assert text in result.out


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_command_has_help(run, name):
    result = run(name, "--help")
    assert (result.status, result.error) == (0, "")
    assert result.out.startswith(f"usage: interp {name}")


def test_a_recipe_lists_its_fields(run):
    result = run("train", "lsa-1layer", "--help")
    assert (result.status, result.error) == (0, "")
    for option in ("--steps", "--batch-size", "--lr", "--model.n-layers", "--task.noise-std", "--out", "--resume"):
        assert option in result.out


def test_no_command_at_all_is_bad_usage_and_shows_the_help(run):
    result = run()
    assert result.status == 2
    assert "usage: interp COMMAND" in result.out


@pytest.mark.parametrize("option", ["--version", "-V"])
def test_the_version_is_the_packages(run, option):
    assert run(option) == Result(0, f"interp {__version__}\n", "")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["reprot", "lsa-1layer"],
            "Unknown command 'reprot'; known are bench, heads, import-garg, match, probe, report, reproduce, sweep, "
            "train, zoo. Did you mean 'report'?",
        ),
        (
            ["report", "lsa-1layr"],
            "Unknown model 'lsa-1layr'; known are {models}. Did you mean 'lsa-1layer'?",
        ),
        (
            ["heads", "untrained:newtn,seed=3"],
            "Unknown model 'newtn'; known are {models}. Did you mean 'newton'?",
        ),
        (
            ["heads", "gd:stepz=3"],
            "Unknown parameter of 'gd' 'stepz'; known are clamp, dim, lr, noise_std, points, steps. "
            "Did you mean 'steps'?",
        ),
        (["train", "lsa-1layr"], "Unknown recipe 'lsa-1layr'; known are {recipes}. Did you mean 'lsa-1layer'?"),
        (
            ["match", "gd", "--solvers", "gd", "newtn", *FEW],
            "Unknown solver 'newtn'; known are {solvers}. Did you mean 'newton'?",
        ),
        (
            ["probe", "gd", "--targets", "next_z", *FEW],
            "Unknown target 'next_z'; known are next_y, w, w_ols, xty. Did you mean 'next_y'?",
        ),
        (
            ["heads", "gd", "--device", "cud"],
            "Unknown device 'cud'; known are auto, cpu, cuda. Did you mean 'cuda'?",
        ),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_an_unknown_name_is_bad_usage_and_answered_with_the_nearest(run, arguments, message):
    from interp.models import CONSTRUCTIONS
    from interp.solvers import SOLVERS
    from interp.training import RECIPES

    message = message.format(
        models=", ".join(sorted([*zoo_entries(), *CONSTRUCTIONS])),
        recipes=", ".join(sorted(RECIPES)),
        solvers=", ".join(sorted(SOLVERS)),
    )
    assert_fails(run(*arguments), message, cli.BAD_USAGE)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            ["bench", "solvers", "--figure", "growth.svg"],
            "--figure draws part growth, which is not among those to measure: solvers.",
        ),
        (
            ["bench", "growth", "--figure", "g.svg", "--out", "g.svg"],
            "CSV and figure would both be g.svg; give them different paths.",
        ),
        (
            ["match", "gd", "--solvers", "gd:lr", *FEW],
            "Cannot read 'lr' in 'gd:lr'; expected key=value pairs divided by commas.",
        ),
        (["match", "gd", "--solvers", "gd:lr=abc", *FEW], "Hyperparameter 'lr' of solver 'gd' is a number, got 'abc'."),
        (["match", "gd", "--solvers", "gd", "gd", *FEW], "The same candidate is named twice among ['gd', 'gd']."),
        (
            ["match", "gd", "--precision", "tf32", *FEW],
            "Precision 'tf32' is a mode of CUDA's matrix units, and the device is 'cpu'; use fp32 or bf16 there.",
        ),
        (
            ["heads", "gd", "--period", "3", "--no-effects"],
            "Options that mean nothing to models of in-context regression were given; leave out --period, "
            "--no-effects.",
        ),
        (
            ["report", "gd", "--n-sequences", "32"],
            "Options that mean nothing to models of in-context regression were given; leave out --n-sequences.",
        ),
        (["train", "lsa-1layer", "--seeds", "3-1"], "Seeds '3-1' go down; write 1-3."),
        (
            ["train", "lsa-1layer", "--seeds", ""],
            "Cannot read seeds ''; expected numbers and ranges, such as 0-9 or 0,3,5-7.",
        ),
        (
            ["train", "lsa-1layer", "--seeds", "0-1", "--seed", "0"],
            "--seed is one seed and --seeds are several; give one of them.",
        ),
        (
            ["train", "lsa-1layer", "--resume", "--force"],
            "--resume goes on with a run and --force replaces it; give one of them.",
        ),
    ],
    ids=lambda value: " ".join(value[:4]) if isinstance(value, list) else "",
)
def test_options_that_contradict_each_other_or_cannot_be_read_are_bad_usage(run, tmp_path, arguments, message):
    assert_fails(run(*arguments), message, cli.BAD_USAGE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["report"], "MODEL"),
        (["report", "gd", "--n-promts", "32"], "--n-prompts"),
        (["report", "gd", "--n-prompts", "many"], "'many'"),
        (["match", "gd", "--measure", "error"], "errors"),
        (["train", "lsa-1layer", "--stepz", "3"], "--steps"),
        (["train"], "Recipes: "),
        (["zoo", "lsa-1layer"], "lsa-1layer"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_bad_usage_says_what_was_expected_without_a_traceback(run, arguments, said):
    result = run(*arguments)
    assert (result.status, result.out) == (2, "")
    assert said in result.error
    assert "Traceback" not in result.error


def test_the_module_is_the_command():
    result = subprocess.run(
        [sys.executable, "-m", "interp", "zo"],
        capture_output=True,
        text=True,
        cwd=Path(cli.__file__).parents[1],
        check=False,
    )
    message = (
        "Unknown command 'zo'; known are bench, heads, import-garg, match, probe, report, reproduce, sweep, train, "
        "zoo. Did you mean 'zoo'?"
    )
    assert (result.returncode, result.stdout, result.stderr) == (2, "", f"interp: {message}\n")


# Failures


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
@pytest.mark.parametrize("command", [["heads", "gd"], ["match", "gd"], ["report", "gd"], [*TINY, "--out", "run"]])
def test_a_device_that_is_not_there_is_named(run, tmp_path, command):
    assert_fails(
        run(*command, "--device", "cuda"),
        f"Device 'cuda' needs a CUDA device, and PyTorch {torch.__version__} finds none that it can use. "
        "Use device 'cpu', or 'auto' to take a CUDA device only where there is one.",
    )
    assert list(tmp_path.iterdir()) == []


def test_a_run_folder_that_does_not_exist_is_named(run):
    assert_fails(
        run("heads", "runs/none"),
        "runs/none is not a folder; expected a run folder, or a Hugging Face folder on this machine (nothing is "
        "downloaded).",
    )


def test_an_unfinished_run_is_named(run, copied):
    (copied / "model.safetensors").unlink()
    assert_fails(run("heads", copied), f"{copied} has no model.safetensors; it may be an unfinished run.")


@pytest.mark.parametrize("command", ["report", "match", "probe", "heads"])
def test_truncated_weights_are_named(run, copied, command):
    path = copied / "model.safetensors"
    path.write_bytes(path.read_bytes()[:-100])
    result = run(command, copied)
    assert (result.status, result.out) == (1, "")
    assert result.error.startswith(f"interp: {path} is truncated or not a safetensors file (")
    assert result.error.endswith("); restore it, or train again.\n")
    assert result.error.count("\n") == 1


def test_a_model_without_heads_is_named(run, tmp_path):
    cfg = LSTMConfig(dim=2, width=4, layout=TokenLayout(kind="interleaved"))
    save_folder(tmp_path / "lstm", RegressionLSTM(cfg, LinearRegression(dim=2, n_points=4)))
    assert_fails(
        run("heads", "lstm", "--n-prompts", 4),
        "The model has no attention heads (cfg.n_heads is 0); token_dependency, which needs none, shows what moves "
        "between its positions.",
    )


def test_a_truncated_config_is_named(run, copied):
    path = copied / "config.json"
    path.write_text(path.read_text()[:50])
    result = run("heads", copied)
    assert (result.status, result.out) == (1, "")
    assert result.error.startswith(f"interp: {path} is not valid JSON (")
    assert result.error.endswith("); restore it, or train again.\n")
    assert result.error.count("\n") == 1


def test_a_config_of_another_schema_is_named(run, copied):
    path = copied / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "schema": "interp-run/9"}))
    assert_fails(
        run("heads", copied),
        f"{path} has schema 'interp-run/9', this version reads 'interp-run/1'. "
        "Open it with the version of interp that wrote it, or train again.",
    )


class Trap:
    """Unpickling it is a test failure."""

    def __reduce__(self):
        return pytest.fail, ("a pickle was opened",)


def test_a_pickle_is_never_opened(run, copied):
    path = copied / "model.safetensors"
    path.write_bytes(pickle.dumps(Trap()))
    assert_fails(
        run("heads", copied), f"{path} is a pickle under another name. Pickles can run code and are never opened."
    )
    path.rename(copied / "model.pt")
    assert_fails(
        run("heads", copied),
        f"{copied} has no model.safetensors; it may be an unfinished run. It holds model.pt, a pickle: those can run "
        "code and are never opened here.",
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["report"], "A report needs at least 16 prompts to select and to estimate on, got 2."),
        (
            ["match", "--solvers", "gd"],
            "A split into a selection and an estimation half needs at least 4 prompts, got 2. Sample more prompts.",
        ),
        (["probe"], "Readouts need at least 8 prompts (half to fit, a quarter of it held out), got 2."),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_too_few_prompts_for_a_split_are_refused(run, tmp_path, arguments, message):
    command, *options = arguments
    assert_fails(run(command, "gd", "--n-prompts", 2, *options), message)
    assert list(tmp_path.iterdir()) == []


def test_one_prompt_is_too_few_for_an_interval(run):
    message = "An interval over prompts needs at least 2 prompts, got 1. Give more prompts."
    assert_fails(run("heads", "gd", "--n-prompts", 1), message)


def failing_with(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let ``interp zoo`` fail."""

    def fail(arguments: object) -> None:
        raise error

    monkeypatch.setattr(zoo_command, "run", fail)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ValueError("Expected this, got that."), "Expected this, got that."),
        (FileNotFoundError("The folder x does not exist."), "The folder x does not exist."),
        (PermissionError(13, "Permission denied", "/x/y"), "/x/y: Permission denied."),
        (OSError(28, "No space left on device"), "No space left on device."),
        (KeyboardInterrupt(), "Interrupted; what was written before stays."),
        (
            RuntimeError("a bug"),
            "An unexpected RuntimeError stopped the command: a bug. This is a bug in interp; run again with "
            "INTERP_DEBUG=1 to see where, and report it.",
        ),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else "",
)
def test_whatever_fails_ends_in_one_message(run, monkeypatch, error, message):
    failing_with(error, monkeypatch)
    assert_fails(run("zoo"), message)


def test_in_debugging_errors_come_through(run, monkeypatch):
    failing_with(RuntimeError("a bug"), monkeypatch)
    monkeypatch.setenv(cli.DEBUG, "1")
    with pytest.raises(RuntimeError, match=r"^a bug$"):
        run("zoo")


# Commands


def test_train_writes_a_run_folder_and_says_where(run, tmp_path):
    result = run(*TINY, "--out", "run")
    assert (result.status, result.error) == (0, "")
    assert result.out == "Wrote run. See it with: interp report run\n"
    content = read_json(tmp_path / "run" / "config.json")
    assert (content["recipe"]["steps"], content["recipe"]["batch_size"], content["seed"]) == (20, 16, 0)
    assert run("heads", "run", "--n-prompts", 4).status == 0


def test_train_names_the_folder_after_recipe_and_seed(run, tmp_path):
    assert run(*TINY, "--seed", 5).status == 0
    assert (tmp_path / "runs" / "lsa-1layer-seed5" / "model.safetensors").is_file()


def test_train_trains_several_seeds_at_once(run, tmp_path):
    result = run(*TINY, "--seeds", "0-1,4", "--out", "all")
    assert (result.status, result.error) == (0, "")
    assert sorted(path.name for path in (tmp_path / "all").iterdir()) == [f"lsa-1layer-seed{k}" for k in (0, 1, 4)]
    assert "lsa-1layer, 3 seeds" in result.out
    assert result.out.count("finished") == 3
    assert_fails(
        run(*TINY, "--seeds", "1", "--out", "all"),
        "all/lsa-1layer-seed1 holds a run already; --resume goes on with it, --force replaces it.",
    )
    assert run(*TINY, "--seeds", "0-2", "--out", "all", "--resume").status == 0
    assert (tmp_path / "all" / "lsa-1layer-seed2" / "model.safetensors").is_file()


def test_seeds_that_diverge_are_named_and_the_others_finish(run, tmp_path):
    wild = ("--lr", "1e20", "--clip-norm", "None")
    result = run(*TINY, *wild, "--seeds", "0-1")
    assert result.status == cli.FAILED
    assert result.out.count("Training diverged") == 2
    assert result.error == "interp: Diverged: seeds 0, 1 of lsa-1layer. Lower `lr` or `clip_norm` for these.\n"


def test_one_seed_and_several_are_not_given_at_once(run):
    assert_fails(
        run(*TINY, "--seeds", "0-1", "--seed", 3),
        "--seed is one seed and --seeds are several; give one of them.",
        cli.BAD_USAGE,
    )


def test_train_computes_in_the_precision_asked_for(run, tmp_path):
    assert run(*TINY, "--precision", "bf16", "--out", "run").status == 0
    assert read_json(tmp_path / "run" / "config.json")["precision"] == "bf16"
    assert_fails(
        run(*TINY, "--precision", "tf32"),
        "Precision 'tf32' is a mode of CUDA's matrix units, and the device is 'cpu'; use fp32 or bf16 there.",
        cli.BAD_USAGE,
    )


def test_fields_within_fields_are_options_too(run, tmp_path):
    assert run(*TINY, "--out", "run", "--model.dim", 3, "--task.dim", 3, "--task.noise-std", 0.5).status == 0
    content = read_json(tmp_path / "run" / "config.json")
    assert (content["model"]["dim"], content["task"]["dim"], content["task"]["noise_std"]) == (3, 3, 0.5)


def test_a_recipe_that_contradicts_itself_is_refused(run, tmp_path):
    assert_fails(
        run(*TINY, "--out", "run", "--model.dim", 3),
        "Recipe 'lsa-1layer': the model reads inputs of dim 3, the task draws them of dim 10; change both.",
        cli.BAD_USAGE,
    )
    assert list(tmp_path.iterdir()) == []


def test_a_run_is_not_replaced_unasked(run, copied):
    before = (copied / "model.safetensors").read_bytes()
    assert_fails(
        run(*TINY, "--out", copied),
        f"{copied} holds a run already; --resume goes on with it, --force replaces it.",
    )
    assert (copied / "model.safetensors").read_bytes() == before


def test_force_replaces_a_run(run, copied):
    before = (copied / "model.safetensors").read_bytes()
    assert run(*TINY, "--out", copied, "--seed", 4, "--force").status == 0
    assert (copied / "model.safetensors").read_bytes() != before
    assert read_json(copied / "config.json")["seed"] == 4


def test_resume_goes_on_to_the_same_weights(run, copied):
    weights = (copied / "model.safetensors").read_bytes()
    (copied / "model.safetensors").unlink()
    for step in (20, 18):
        (copied / "checkpoints" / f"step-{step:08d}.safetensors").unlink()
    assert checkpoint_steps(copied)[-1] == 13
    assert run(*TINY, "--out", copied, "--seed", 3, "--resume").status == 0
    assert (copied / "model.safetensors").read_bytes() == weights


def test_resume_refuses_another_recipe(run, copied):
    assert_fails(
        run(*TINY, "--out", copied, "--seed", 3, "--lr", 0.5, "--resume"),
        f"{copied} holds a run of another recipe, seed or precision (lr 0.001 there, 0.5 here); "
        "resume with the same ones, or give another --out.",
    )


@pytest.fixture
def published(tmp_path) -> Path:
    """A run folder of Garg et al.'s released code."""
    write_run(tmp_path / "published")
    return tmp_path / "published"


def test_import_garg_writes_a_run_folder_that_every_command_reads(run, published, tmp_path):
    result = run("import-garg", published, "--out", "deep/ours")
    assert result == Result(0, "Wrote deep/ours. See it with: interp report deep/ours\n", "")
    assert sorted(path.name for path in (tmp_path / "deep" / "ours").iterdir()) == ["config.json", "model.safetensors"]
    content = read_json(tmp_path / "deep" / "ours" / "config.json")
    assert (content["source"], content["seed"], content["recipe"]["train_step"]) == ("import", None, 500000)
    for command in ("match", "probe", "heads"):
        few = ("--n-prompts", 16, *(("--solvers", "gd:lr=0.1") if command == "match" else ()))
        assert run(command, "deep/ours", *few).status == 0


@pytest.mark.usefixtures("quick_search")
def test_an_imported_model_has_a_report(run, published, tmp_path):
    run("import-garg", published, "--out", "ours")
    result = run("report", "ours", *FEW)
    assert (result.status, result.error) == (0, "")
    described = read_json(tmp_path / "report.json")["model"]
    assert described["source"] == "import"
    assert described["summary"].startswith("A trained model imported from a run of other code: 2 layers of softmax")
    assert described["recipe"]["training"]["task"] == "linear_regression"
    assert "torch" in described["imported with"]
    assert "trained with" not in described
    assert "import-garg" in (tmp_path / "report.html").read_text()


def test_an_imported_run_is_not_one_to_go_on_with(run, published, tmp_path):
    run("import-garg", published, "--out", "ours")
    result = run("train", "lsa-1layer", "--out", "ours", "--resume")
    assert result.status == 1
    assert result.error.startswith(
        "interp: ours holds a run of another recipe, seed or precision (seed None there, 0 here;"
    )


@pytest.mark.parametrize("place", ["notes.txt", "published", "folder"])
def test_import_garg_writes_into_no_foreign_place(run, published, tmp_path, place):
    (tmp_path / "notes.txt").write_text("years of work")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.txt").write_text("years of work")
    for force in ((), ("--force",)):
        assert_fails(
            run("import-garg", published, "--out", place, *force),
            f"{place} exists and is not a run of ours; give another --out.",
        )
    assert sorted(path.name for path in published.iterdir()) == ["config.yaml", "state.pt"]
    assert (tmp_path / "notes.txt").read_text() == (tmp_path / "folder" / "notes.txt").read_text() == "years of work"


def test_import_garg_replaces_a_run_of_ours_only_if_forced(run, published, copied):
    before = (copied / "model.safetensors").read_bytes()
    assert_fails(run("import-garg", published, "--out", copied), f"{copied} holds a run already; --force replaces it.")
    assert (copied / "model.safetensors").read_bytes() == before
    assert run("import-garg", published, "--out", copied, "--force").status == 0
    assert checkpoint_steps(copied) == []
    assert not (copied / "metrics.jsonl").exists()
    assert run("heads", copied, "--n-prompts", 4).status == 0


def test_an_import_that_fails_leaves_the_earlier_run(run, published, copied):
    (published / "state.pt").write_bytes(pickle.dumps(Trap()))
    before = sorted((path.name, path.stat().st_mtime_ns) for path in copied.rglob("*"))
    result = run("import-garg", published, "--out", copied, "--force")
    assert (result.status, result.out) == (1, "")
    assert result.error.startswith(f"interp: {published / 'state.pt'} ")
    assert "nothing in it was executed" in result.error
    assert result.error.count("\n") == 1
    assert sorted((path.name, path.stat().st_mtime_ns) for path in copied.rglob("*")) == before


@pytest.fixture
def quick_search(monkeypatch):
    """Searches for hyperparameters are cut short: what they find is for the tests of matching."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)
    module = import_module("interp.solvers.search")  # the package has a function of this name
    for name, value in {"FINE": 9, "COARSE": 5, "BESIDE": 2, "REFINED": 1, "EVALUATIONS": 4}.items():
        monkeypatch.setattr(module, name, value)


@pytest.mark.usefixtures("quick_search")
def test_report_analyses_a_run_folder(run, trained, tmp_path):
    arguments = ("report", str(trained), *FEW, "--seed", "7", "--out", "mine.html")
    result = run(*arguments)
    assert (result.status, result.error) == (0, "")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["mine.html", "mine.json"]
    record = read_json(tmp_path / "mine.json")
    assert record["environment"]["command"] == " ".join(["interp", *arguments])
    assert (record["model"]["source"], record["model"]["seed"]) == ("run", 3)
    page = read_page((tmp_path / "mine.html").read_text())
    assert page.all("h1")[0].text == str(trained)
    *lines, last = result.out.splitlines()
    assert [line.split()[0] for line in lines] == [finding["verdict"] for finding in record["findings"]]
    assert all(line.endswith(finding["id"]) for line, finding in zip(lines, record["findings"], strict=True))
    assert last.endswith("Wrote mine.html and mine.json.")


@pytest.mark.parametrize("place", ["report.html", "report.json"])
def test_report_refuses_a_foreign_file_before_any_work(run, tmp_path, place, monkeypatch):
    from interp.commands import report

    monkeypatch.setattr(report, "build", None)
    (tmp_path / place).write_text("years of work")
    assert_fails(run("report", "gd"), f"{place} exists already. Give another path, or --force to replace it.")
    assert [path.read_text() for path in tmp_path.iterdir()] == ["years of work"]


def test_report_refuses_one_path_for_both_files(run, tmp_path):
    message = "The page and its JSON would both be report.json; give them different paths."
    assert_fails(run("report", "gd", "--out", "report.json"), message, cli.BAD_USAGE)
    assert list(tmp_path.iterdir()) == []


TABLES = {
    "match": (
        ["match", "gd:steps=1,dim=2", "--solvers", "gd:lr=0.1", "ridge:alpha=1", "--steps", "1", "2", *FEW],
        {
            "match": {"layer", "solver", "step", "similarity", "ci_low", "ci_high", "random_init", "shuffled_targets"},
            "verdicts": {"layer", "solver", "step", "similarity", "ci_low", "ci_high", "verdict", "alternatives"},
        },
    ),
    "probe": (
        ["probe", "gd:steps=1,dim=2", "--targets", "next_y", *FEW],
        {"readouts": {"layer", "target", "r2", "ci_low", "ci_high", "random_init", "shuffled_targets"}},
    ),
    "heads": (
        ["heads", "gd:steps=1,dim=2", "--n-prompts", "4", "--draws", "2"],
        {
            "scores": {"layer", "head", "score", "value", "ci_low", "ci_high", "chance"},
            "ablation": {"layer", "head", "intervention", "loss", "increase", "ci_low", "ci_high"},
        },
    ),
}


@pytest.mark.parametrize("command", TABLES)
def test_tables_are_shown_and_written(run, tmp_path, command):
    arguments, tables = TABLES[command]
    result = run(*arguments, "--out", "table.csv", "--json", "table.json")
    assert (result.status, result.error) == (0, "")
    record = read_json(tmp_path / "table.json")
    assert list(record) == list(tables)
    for name, columns in tables.items():
        assert record[name], name
        assert all(columns <= set(row) for row in record[name])
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    first = next(iter(record.values()))
    assert [row["layer"] for row in rows] == [str(row["layer"]) for row in first]
    assert set(rows[0]) == set(first[0])
    assert "layer" in result.out


def test_match_compares_what_was_asked_for(run, tmp_path):
    arguments, _ = TABLES["match"]
    run(*arguments, "--json", "table.json")
    rows = read_json(tmp_path / "table.json")["match"]
    fixed = {row["solver"]: row["hyperparameters"] for row in rows}
    assert fixed.keys() == {"gd", "ridge", "zero", "mean"}
    assert "0.1" in fixed["gd"]
    assert {row["step"] for row in rows if row["solver"] == "gd"} == {1, 2}


@pytest.mark.usefixtures("quick_search")
def test_match_follows_training(run, trained, tmp_path):
    result = run("match", trained, "--over-training", *FEW, "--out", "table.csv", "--json", "table.json")
    assert (result.status, result.error) == (0, "")
    record = read_json(tmp_path / "table.json")
    assert list(record) == ["training", "turn"]
    assert [row["update"] for row in record["training"]] == checkpoint_steps(trained)
    assert {row["solver"] for row in record["training"]} == {"gd"}  # one layer
    assert {"loss", "cosine", "cosine_low", "l2", "prediction_difference"} <= set(record["training"][0])
    assert record["turn"] == []
    with (tmp_path / "table.csv").open() as file:
        assert [row["update"] for row in csv.DictReader(file)] == [str(step) for step in checkpoint_steps(trained)]
    assert "Alignment over training" in result.out
    assert "cosine: gd" in result.out


@pytest.mark.usefixtures("unchecked")
def test_match_says_when_the_model_turned(run, tmp_path):
    written = ("--json", "table.json", "--figure", "training.svg")
    result = run("match", "lsa-2layer-looped", "--over-training", "--n-prompts", 64, *written)
    assert (result.status, result.error) == (0, "")
    assert (tmp_path / "training.svg").read_text().startswith("<?xml")
    (turn,) = read_json(tmp_path / "table.json")["turn"]
    assert result.out.endswith(
        f"In training it came close to gd first (update {turn['closest']}, loss {turn['loss_there']:.4g}) and then "
        f"turned to gd++ (between updates {turn['crossing_from']} and {turn['crossing_to']}).\n"
    )
    assert turn["first_there_low"] > turn["second_there_high"]


def test_a_model_without_checkpoints_cannot_be_followed(run):
    assert_fails(
        run("match", "gd", "--over-training", *FEW),
        "gd has no checkpoints to follow training by; give a run folder that `interp train` wrote.",
    )


@pytest.mark.parametrize(
    "option",
    [("--solvers", "gd"), ("--steps", "2"), ("--measure", "weights"), ("--readout", "native"), ("--batch-size", "8")],
)
def test_options_of_the_match_are_refused_over_training(run, trained, option):
    assert_fails(
        run("match", trained, "--over-training", *option),
        "--over-training aligns the last layer with tuned gd and gd++; leave --solvers, --steps, --measure, --readout "
        "and --batch-size out.",
        cli.BAD_USAGE,
    )


@pytest.mark.parametrize("ending", ["svg", "pdf", "png"])
def test_a_match_is_drawn_where_asked(run, tmp_path, ending):
    begins = {"svg": b"<?xml", "pdf": b"%PDF", "png": b"\x89PNG"}[ending]
    arguments, _ = TABLES["match"]
    result = run(*arguments, "--figure", f"match.{ending}")
    assert (result.status, result.error) == (0, "")
    assert (tmp_path / f"match.{ending}").read_bytes().startswith(begins)
    assert_fails(
        run(*arguments, "--figure", f"match.{ending}"),
        f"match.{ending} exists already. Give another path, or --force to replace it.",
    )


def test_other_kinds_of_figure_are_refused_before_the_match(run):
    arguments, _ = TABLES["match"]
    assert_fails(
        run(*arguments, "--figure", "match.jpg"),
        "Figures are drawn as .svg, .pdf, .png, got match.jpg; give one of these endings.",
        cli.BAD_USAGE,
    )


def test_responses_are_matched_where_asked(run, tmp_path):
    result = run("match", "gd:steps=2,dim=3", "--measure", "response", *FEW, "--solvers", "gd", "--json", "table.json")
    assert (result.status, result.error) == (0, "")
    best = {
        row["layer"]: row
        for row in read_json(tmp_path / "table.json")["match"]
        if row["best"] and row["solver"] == "gd"
    }
    assert [best[layer]["step"] for layer in (1, 2)] == [1, 2]
    assert best[2]["similarity"] > 0.999


def test_a_report_has_the_candidates_that_were_asked_for(run, tmp_path):
    result = run("report", "gd:steps=2,dim=3", *FEW, "--solvers", "gd", "cg", "--out", "r.html")
    assert (result.status, result.error) == (0, "")
    table = read_json(tmp_path / "r.json")["tables"]["match_errors"]
    assert {row["solver"] for row in table} == {"gd", "cg", "zero", "mean"}


@pytest.mark.parametrize("option", ["--out", "--json"])
@pytest.mark.parametrize("command", TABLES)
def test_a_file_is_not_overwritten_unasked(run, tmp_path, command, option):
    arguments, _ = TABLES[command]
    place = tmp_path / "table"
    place.write_text("years of work")
    message = f"{place} exists already. Give another path, or --force to replace it."
    assert_fails(run(*arguments, option, place), message)
    assert place.read_text() == "years of work"
    assert run(*arguments, option, place, "--force").status == 0
    assert place.read_text() != "years of work"


@pytest.mark.parametrize("command", TABLES)
def test_one_path_for_both_tables_is_refused(run, tmp_path, command):
    arguments, _ = TABLES[command]
    message = "CSV and JSON would both be table; give them different paths."
    assert_fails(run(*arguments, "--out", "table", "--json", "table"), message, cli.BAD_USAGE)
    assert list(tmp_path.iterdir()) == []


def test_zoo_lists_the_models(run, tmp_path):
    result = run("zoo", "--json", "zoo.json")
    assert (result.status, result.error) == (0, "")
    rows = read_json(tmp_path / "zoo.json")
    assert [row["name"] for row in rows] == list(zoo_entries())
    for row in rows:
        entry = zoo_entries()[row["name"]]
        assert (row["parameters"], row["bytes"], row["seed"]) == (entry.n_parameters, entry.n_bytes, entry.seed)
        assert row["shows"] == entry.shows
        assert row["name"] in result.out
    assert max(map(len, result.out.splitlines())) <= 80
    assert result.out.count("\n") < 4 * len(rows) + 5, "a table that is read, not a column of syllables"


def test_zoo_does_not_overwrite_a_file_unasked(run, tmp_path):
    (tmp_path / "zoo.json").write_text("years of work")
    message = "zoo.json exists already. Give another path, or --force to replace it."
    assert_fails(run("zoo", "--json", "zoo.json"), message)
    assert run("zoo", "--json", "zoo.json", "--force").status == 0
    assert [row["name"] for row in read_json(tmp_path / "zoo.json")] == list(zoo_entries())
