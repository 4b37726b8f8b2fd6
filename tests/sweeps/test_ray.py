"""Sweeps on a Ray cluster of two nodes, with workers and drivers that are killed in the middle."""

import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import jaxtyping
import pandas as pd
import pytest

from interp import cli
from interp.models.folders import WEIGHTS
from interp.sweeps import Sweep, SweepResult, cluster, make_sweep, run, run_sweep
from interp.sweeps.cluster import Resources, check_answers, ray_cluster
from interp.sweeps.lock import owners
from interp.training import checkpoint_steps
from interp.training.checkpoints import checkpoint_path
from tests.errors import raises_exactly
from tests.sweeps.sweep_files import FEW, write_toml

ray = pytest.importorskip("ray")
pytestmark = pytest.mark.xdist_group("ray")  # one cluster at a time on a machine

LONG = {"steps": 800, "resume_every": 50, "task.dim": 3, "model.dim": 3, "batch_size": 16}
CONTENT = {
    "name": "small",
    "recipe": "lsa-1layer",
    "seeds": [0, 1],
    "fields": {**LONG, "lr": 1e-2},
    "grid": {"model.n_layers": [1, 2]},
    "analyses": ["loss", "match"],
    "options": FEW,
}
KILLED_AT = 100
"""Updates after whose checkpoint a process is killed."""


@pytest.fixture(scope="module")
def two_nodes():
    """A cluster of two nodes on this machine, each with one core, and this process in it."""
    from ray.cluster_utils import Cluster

    size = {"num_cpus": 1, "object_store_memory": cluster.STORE_BYTES}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        nodes = Cluster(initialize_head=True, head_node_args={**size, "include_dashboard": False})
        nodes.add_node(**size)
        ray.init(address=nodes.address, **cluster.QUIETLY)
        yield nodes
        ray.shutdown()
        nodes.shutdown()


@pytest.fixture(scope="module")
def undisturbed(two_nodes, tmp_path_factory) -> SweepResult:
    """A sweep that nothing went wrong with."""
    return run_sweep(make_sweep(CONTENT), tmp_path_factory.mktemp("sweeps") / "undisturbed")


def when(condition: Callable[[], bool], patience: float = 120) -> None:
    """Wait for something to become true."""
    last = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < last, "waited in vain"
        time.sleep(0.01)


def owner_of(lock: Path) -> int:
    """The process that took a lock last."""
    return int(re.findall(r"process (\d+) ", owners(lock)[-1])[0])


def trains_beyond(folder: Path, update: int) -> bool:
    """Whether a run has got so far, and is not finished."""
    return checkpoint_steps(folder)[-1:] > [update] and not (folder / WEIGHTS).exists()


def times_begun(folder: Path) -> dict[str, int]:
    """How many workers have begun, or gone on with, each run."""
    return {path.stem: len(owners(path)) for path in sorted((folder / "state").glob("*.lock"))}


def assert_same(ours: SweepResult, theirs: SweepResult) -> None:
    """To the last digit, and to the last byte on disk."""
    pd.testing.assert_frame_equal(ours.results, theirs.results, check_exact=True)
    assert set(ours.tables) == set(theirs.tables)
    for kind, table in ours.tables.items():
        pd.testing.assert_frame_equal(table, theirs.tables[kind], check_exact=True)
    for path in ours.folder.glob("*.csv"):
        assert path.read_bytes() == (theirs.folder / path.name).read_bytes()
    for path in ours.folder.glob(f"runs/*/{WEIGHTS}"):
        assert path.read_bytes() == (theirs.folder / "runs" / path.parent.name / WEIGHTS).read_bytes()


@pytest.mark.slow
def test_every_run_is_in_the_table_once(undisturbed):
    results = undisturbed.results
    assert list(results["run"]) == [f"n_layers={layers},seed={seed}" for layers in (1, 2) for seed in (0, 1)]
    assert list(results["model.n_layers"]) == [1, 1, 2, 2]
    assert set(results["status"]) == {"finished"}
    assert results["loss"].between(0, 1).all()
    assert set(times_begun(undisturbed.folder).values()) == {1}
    assert len(undisturbed.tables["match"]) == 1 + 1 + 2 + 2


@pytest.mark.slow
def test_a_sweep_whose_worker_is_killed_ends_with_the_table_of_one_that_was_left_alone(
    undisturbed, two_nodes, tmp_path
):
    name = "n_layers=2,seed=0"
    seen: dict[Path, int] = {}

    def kill() -> None:
        place = tmp_path / "runs" / name
        when(lambda: trains_beyond(place, KILLED_AT))
        os.kill(owner_of(tmp_path / "state" / f"{name}.lock"), signal.SIGKILL)
        for step in checkpoint_steps(place):
            if step <= KILLED_AT:
                seen[checkpoint_path(place, step)] = checkpoint_path(place, step).stat().st_mtime_ns

    killer = threading.Thread(target=kill)
    killer.start()
    disturbed = run_sweep(make_sweep(CONTENT), tmp_path)
    killer.join()
    assert times_begun(tmp_path) == {run: 2 if run == name else 1 for run in disturbed.results["run"]}
    # It went on from its last checkpoint: those before were not written again.
    assert len(seen) > 10
    assert {path: path.stat().st_mtime_ns for path in seen if path.exists()}.items() <= seen.items()
    assert checkpoint_path(tmp_path / "runs" / name, 0) in seen
    assert_same(disturbed, undisturbed)


@pytest.mark.slow
def test_what_is_finished_is_never_run_again(undisturbed, monkeypatch):
    """Not even Ray is started."""
    monkeypatch.setattr(run, "ray_cluster", None)
    begun = times_begun(undisturbed.folder)
    written = {path: path.stat().st_mtime_ns for path in undisturbed.folder.glob("runs/**/*")}
    again = run_sweep(make_sweep(CONTENT), undisturbed.folder)
    assert times_begun(undisturbed.folder) == begun
    assert {path: path.stat().st_mtime_ns for path in undisturbed.folder.glob("runs/**/*")} == written
    assert_same(again, undisturbed)


SWEEP_FILE = """
name = "small"
recipe = "lsa-1layer"
seeds = "0-1"
analyses = ["loss", "match"]
[fields]
steps = 800
resume_every = 50
task.dim = 3
model.dim = 3
batch_size = 16
lr = 1e-2
[grid]
model.n_layers = [1, 2]
[options.loss]
n_prompts = 64
[options.match]
n_prompts = 16
n_queries = 4
solvers = ["gd"]
steps = [1, 2]
"""


@pytest.mark.slow
def test_a_sweep_that_is_killed_as_a_whole_does_only_the_rest_when_it_is_started_again(
    undisturbed, two_nodes, tmp_path
):
    """The command line with a Ray of its own, and the worker that it has, killed without a chance to clean up."""
    folder, file = tmp_path / "s", write_toml(tmp_path, SWEEP_FILE)
    arguments = ["sweep", str(file), "--out", str(folder), "--jobs", "1"]
    command = subprocess.Popen([sys.executable, "-m", "interp", *arguments], stderr=subprocess.PIPE, text=True)
    first, second, *rest = [run.name for run in make_sweep(CONTENT).runs]
    when(lambda: (folder / "runs" / first / "analyses" / "match.json").exists())
    when(lambda: trains_beyond(folder / "runs" / second, KILLED_AT))
    worker = owner_of(folder / "state" / f"{second}.lock")
    command.kill()
    os.kill(worker, signal.SIGKILL)
    command.communicate()
    assert trains_beyond(folder / "runs" / second, KILLED_AT)
    assert not (folder / "results.csv").exists()
    resumed = run_sweep(make_sweep(CONTENT), folder)
    assert times_begun(folder) == {first: 1, second: 2, **dict.fromkeys(rest, 1)}
    assert_same(resumed, undisturbed)


@pytest.mark.slow
def test_runs_that_diverge_or_raise_stop_no_others(two_nodes, tmp_path):
    content = {
        **CONTENT,
        "seeds": [0],
        "grid": {},
        "runs": [
            {"lr": 1e20, "clip_norm": "none", "schedule": "constant"},
            {"steps": 3},
            {"steps": 3, "task.n_points": 1},
        ],
    }
    del content["grid"]
    result = run_sweep(make_sweep(content), tmp_path)
    assert list(result.results["status"]) == ["diverged", "finished", "failed"]
    diverged, finished, failed = result.results["reason"]
    assert diverged.startswith("Training diverged: the loss is ")
    assert finished == ""
    assert failed
    assert result.results["loss"].notna().tolist()[:2] == [False, True]


@pytest.mark.slow
def test_a_worker_that_dies_each_time_is_given_up_and_reported(two_nodes, monkeypatch, tmp_path):
    monkeypatch.setattr(cluster, "RETRIES", 1)
    runs = make_sweep({**CONTENT, "grid": {"lr": [1, 2]}, "seeds": [0], "fields": {}}).runs
    ended = {run.name: failure for run, failure in cluster.do_all(ray, runs, Resources(jobs=1), _die_of_one, tmp_path)}
    assert ended == {
        "lr=1.0,seed=0": "its worker died 2 times (WorkerCrashedError); see the logs of Ray",
        "lr=2.0,seed=0": "",
    }
    assert len((tmp_path / "begun").read_text().splitlines()) == 3


def _die_of_one(run, folder) -> None:
    with (folder / "begun").open("a") as file:
        file.write(f"{run.name}\n")
    if run.recipe.lr == 1:
        os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.slow
def test_a_run_that_no_machine_holds_is_refused_rather_than_waited_for(two_nodes, tmp_path):
    sweep: Sweep = make_sweep(CONTENT)
    with raises_exactly(
        ValueError,
        "A run was to have 2 cores, and no machine of the Ray cluster has more than 1; ask for fewer.",
    ):
        run_sweep(sweep, tmp_path, cpus_per_run=2)
    with raises_exactly(
        ValueError,
        "A run was to have 0.5 GPUs, and no machine of the Ray cluster has more than 0; ask for fewer.",
    ):
        run_sweep(sweep, tmp_path, gpus_per_run=0.5, device="cuda")
    assert not any((tmp_path / "runs").iterdir())


def test_cores_and_gpus_have_to_be_in_one_machine():
    """Ray would wait for ever for a machine that has what two have between them."""
    machines: list[dict[str, float]] = [{"CPU": 16}, {"CPU": 1, "GPU": 4}]
    stand_in = SimpleNamespace(nodes=lambda: [{"Alive": True, "Resources": machine} for machine in machines])
    with raises_exactly(
        ValueError,
        "A run was to have 2 cores and 1 GPUs, and no one machine of the Ray cluster has both; ask for fewer.",
    ):
        cluster._check_holds_a_run(stand_in, Resources(cpus=2, gpus=1))
    cluster._check_holds_a_run(stand_in, Resources(cpus=1, gpus=1))
    cluster._check_holds_a_run(stand_in, Resources(cpus=16))


@pytest.mark.slow
def test_a_run_that_memory_does_not_hold_is_given_up(tmp_path):
    """Ray's own default is to begin it again for ever. Here it finds memory full from the start."""
    file = write_toml(tmp_path, 'name = "a"\nrecipe = "lsa-1layer"\n')
    full = {"RAY_memory_usage_threshold": "0.001", "RAY_memory_monitor_refresh_ms": "100"}
    command = [sys.executable, "-m", "interp", "sweep", str(file), "--out", str(tmp_path / "s"), "--jobs", "1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=os.environ | full, timeout=240)
    assert done.returncode == cli.FAILED
    (reason,) = pd.read_csv(tmp_path / "s" / "results.csv")["reason"]
    assert reason == "its worker died 4 times (OutOfMemoryError); see the logs of Ray"


@pytest.mark.slow
def test_the_open_session_is_left_for_no_other(two_nodes):
    with (
        raises_exactly(
            ValueError,
            f"This process is in a Ray cluster at {two_nodes.address!r} already, and cannot join '127.0.0.1:1'; call "
            "ray.shutdown() first, or give no address.",
        ),
        ray_cluster("127.0.0.1:1", Resources()),
    ):
        raise AssertionError("joined")


@pytest.mark.slow
def test_the_command_line_joins_a_cluster_by_its_address(two_nodes, tmp_path):
    file = write_toml(tmp_path, 'name = "a"\nrecipe = "lsa-1layer"\n[fields]\nsteps = 2\nbatch_size = 4\n')
    arguments = ["sweep", str(file), "--out", str(tmp_path / "s"), "--address", two_nodes.address]
    done = subprocess.run([sys.executable, "-m", "interp", *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"1 finished. Wrote {tmp_path / 's' / 'report.html'} and results.csv beside it." in done.stdout
    assert times_begun(tmp_path / "s") == {"seed=0": 1}


@pytest.mark.slow
def test_the_command_line_says_which_runs_failed_and_fails_itself(two_nodes, tmp_path, capsys):
    file = write_toml(
        tmp_path,
        """
        name = "a"
        recipe = "lsa-1layer"
        fields = { steps = 2, batch_size = 4 }
        analyses = ["match"]
        options = { match = { solvers = ["gd"], n_prompts = 16, n_queries = 4 } }
        runs = [{ "task.n_points" = 11 }, { "task.n_points" = 1 }]
        """,
    )
    folder = tmp_path / "s"
    assert cli.main(["sweep", str(file), "--out", str(folder)]) == cli.FAILED
    out, error = capsys.readouterr()
    (failed,) = (line for line in out.splitlines() if line.startswith("n_points=1,seed=0: "))
    reason = failed.removeprefix("n_points=1,seed=0: ")
    assert f"1 finished, 1 failed. Wrote {folder / 'report.html'} and results.csv beside it." in out
    assert error == (
        f"interp: 1 of 2 runs failed, the first, n_points=1,seed=0, with: {reason.rstrip('.')}. Finished runs stay; "
        "the same command tries the failed ones again.\n"
    )
    assert cli.main(["sweep", str(file), "--out", str(folder)]) == cli.FAILED
    assert times_begun(folder) == {"n_points=11,seed=0": 1, "n_points=1,seed=0": 2}


def test_the_command_line_refuses_a_bad_file_and_writes_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = write_toml(tmp_path, 'name = "a"\nrecipe = "lsa-1layer"\n[grid]\n')
    assert cli.main(["sweep", str(file)]) == cli.FAILED
    assert capsys.readouterr() == (
        "",
        f"interp: {file}, [grid] is empty; give a field with a list of values, or leave the table out.\n",
    )
    file.write_text('name = "a"\nrecipe = "lsa-1-layer"\n')
    assert cli.main(["sweep", str(file)]) == cli.BAD_USAGE
    assert [path.name for path in tmp_path.iterdir()] == ["a.toml"]


ADVICE = "Give the host:port that `ray start --head` printed, or leave --address out to run on this machine alone."


def test_an_address_where_nothing_listens_is_refused_at_once():
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    began = time.monotonic()
    with raises_exactly(
        ValueError, f"Nothing answers at the Ray address {address!r} ([Errno 111] Connection refused). {ADVICE}"
    ):
        check_answers(address)
    assert time.monotonic() - began < cluster.CONNECTING


def test_an_address_where_something_else_listens_is_given_up(monkeypatch):
    monkeypatch.setattr(cluster, "JOINING", 4.0)
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
        with raises_exactly(ValueError, f"No Ray cluster answered at {address!r} within 4 s. {ADVICE}"):
            check_answers(address)


@pytest.mark.parametrize("address", ["localhost", "http://localhost", "a b:1"])
def test_an_address_that_is_none_is_refused(address):
    with raises_exactly(ValueError, f"Cannot read the Ray address {address!r}; expected host:port or auto. {ADVICE}"):
        check_answers(address)


def test_without_ray_the_message_says_how_to_install_it(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    file = write_toml(tmp_path, 'name = "a"\nrecipe = "lsa-1layer"\n')
    assert cli.main(["sweep", str(file), "--out", str(tmp_path / "s")]) == cli.FAILED
    assert capsys.readouterr().err == (
        "interp: Sweeps run on Ray, and the package ray is not installed; install it with: pip install 'interp[ray]'\n"
    )


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        ({"jobs": -1}, "`jobs` must be at least 0 (as many as fit), got -1."),
        ({"cpus": 0}, "A run needs at least 1 core, got 0."),
        ({"gpus": 1.5}, "A run takes a share of a GPU up to 1, or whole ones; got 1.5."),
    ],
)
def test_resources_out_of_range_are_refused(numbers, message):
    with raises_exactly(ValueError, message):
        Resources(**numbers)
