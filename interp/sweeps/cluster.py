"""Ray: a cluster of this machine's own, or one that is there."""

import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from interp._devices import usable_cores
from interp.sweeps.plan import PlannedRun

RETRIES = 3
"""Times that a run is begun again, from its last checkpoint, after its worker died."""
CONNECTING, JOINING = 5.0, 60.0
"""Seconds for an address to answer, and for Ray to let us in."""
STORE_BYTES = 80 * 2**20
"""Memory for Ray's objects, of which a sweep has next to none; Ray takes no less than 75 MiB."""

QUIETLY: dict[str, Any] = {"log_to_driver": False, "logging_level": "ERROR"}


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What runs may take. Raises ValueError for numbers out of range."""

    jobs: int = 0
    """Runs at a time; 0 for as many as the machines hold."""
    cpus: int = 1
    """Cores, and threads, of one run."""
    gpus: float = 0.0
    """GPUs of one run; below 1, runs share one."""

    def __post_init__(self) -> None:
        if self.jobs < 0:
            raise ValueError(f"`jobs` must be at least 0 (as many as fit), got {self.jobs}.")
        if self.cpus < 1:
            raise ValueError(f"A run needs at least 1 core, got {self.cpus}.")
        if self.gpus < 0 or (self.gpus > 1 and self.gpus != int(self.gpus)):
            raise ValueError(f"A run takes a share of a GPU up to 1, or whole ones; got {self.gpus}.")


@contextmanager
def ray_cluster(address: str | None, resources: Resources) -> Iterator[Any]:
    """Ray, started on this machine or joined at ``address`` (``host:port``, or ``auto`` for one that runs here).

    A session that is open already is used and left open. Raises ValueError where Ray is not installed, for an
    address that does not answer or is not that of the open session, and for a cluster without a machine that holds a
    run.
    """
    ray = require_ray()
    started = not ray.is_initialized()
    if started:
        _start(ray, address, resources)
    else:
        _check_is_open_at(ray, address)
    try:
        _check_holds_a_run(ray, resources)
        yield ray
    finally:
        if started:
            ray.shutdown()


def require_ray() -> Any:
    """The package. Raises ValueError where it is not installed, and says how to install it."""
    try:
        import ray
    except ImportError:
        raise ValueError(
            "Sweeps run on Ray, and the package ray is not installed; install it with: pip install 'interp[ray]'"
        ) from None
    return ray


def _start(ray: Any, address: str | None, resources: Resources) -> None:
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # runs on the CPU look at no GPU anyway
    os.environ.setdefault("RAY_task_oom_retries", str(RETRIES))  # without end by default
    if address is not None:
        check_answers(address)
        ray.init(address=address, **QUIETLY)
        return
    at_once = resources.jobs or max(1, usable_cores() // resources.cpus)
    ray.init(
        address="local",
        num_cpus=at_once * resources.cpus,
        include_dashboard=False,
        object_store_memory=STORE_BYTES,
        **QUIETLY,
    )


def check_answers(address: str) -> None:
    """Raise ValueError unless a Ray cluster lets us in at ``address``, within about a minute.

    Ray itself tries for minutes, and then ends the process; so a process of its own asks first.
    """
    advice = "Give the host:port that `ray start --head` printed, or leave --address out to run on this machine alone."
    if match := re.fullmatch(r"(?:ray://)?\[?([^\s/]+?)\]?:(\d+)", address):
        try:
            socket.create_connection((match[1], int(match[2])), timeout=CONNECTING).close()
        except (OSError, OverflowError) as error:
            raise ValueError(f"Nothing answers at the Ray address {address!r} ({error}). {advice}") from None
    elif address != "auto":
        raise ValueError(f"Cannot read the Ray address {address!r}; expected host:port or auto. {advice}")
    ask = "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR')"
    try:
        asked = subprocess.run(
            [sys.executable, "-c", ask, address], capture_output=True, text=True, timeout=JOINING, check=False
        )
    except subprocess.TimeoutExpired:
        raise ValueError(f"No Ray cluster answered at {address!r} within {JOINING:.0f} s. {advice}") from None
    if asked.returncode != 0:
        said = (asked.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        raise ValueError(f"Ray cannot join a cluster at {address!r}: {said.rstrip('.')}. {advice}")


def _check_is_open_at(ray: Any, address: str | None) -> None:
    """Raise ValueError where another cluster is asked for than the open session's."""
    there = ray.get_runtime_context().gcs_address
    if address not in (None, "auto", there):
        raise ValueError(
            f"This process is in a Ray cluster at {there!r} already, and cannot join {address!r}; call ray.shutdown() "
            "first, or give no address."
        )


def _check_holds_a_run(ray: Any, resources: Resources) -> None:
    """Raise ValueError where no machine of the cluster is large enough, on which Ray would wait for ever."""
    machines = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, kind, wanted in (("CPU", "cores", resources.cpus), ("GPU", "GPUs", resources.gpus)):
        most = max((machine.get(name, 0) for machine in machines), default=0)
        if most < wanted:
            raise ValueError(
                f"A run was to have {wanted:g} {kind}, and no machine of the Ray cluster has more than {most:g}; ask "
                "for fewer."
            )
    if not any(
        machine.get("CPU", 0) >= resources.cpus and machine.get("GPU", 0) >= resources.gpus for machine in machines
    ):
        raise ValueError(
            f"A run was to have {resources.cpus} cores and {resources.gpus:g} GPUs, and no one machine of the Ray "
            "cluster has both; ask for fewer."
        )


def do_all(
    ray: Any, runs: Sequence[PlannedRun], resources: Resources, task: Callable[..., None], *arguments: Any
) -> Generator[tuple[PlannedRun, str]]:
    """Run ``task(run, *arguments)`` for all runs, and give back each as it ends, with what went wrong if it did.

    A task whose worker dies is begun again up to `RETRIES` times. Runs in hand are stopped when the caller stops.
    """
    remote = ray.remote(num_cpus=resources.cpus, num_gpus=resources.gpus, max_retries=RETRIES)(task)
    waiting = list(reversed(runs))
    in_hand: dict[Any, PlannedRun] = {}
    try:
        while waiting or in_hand:
            while waiting and (not resources.jobs or len(in_hand) < resources.jobs):
                run = waiting.pop()
                in_hand[remote.remote(run, *arguments)] = run
            done, _ = ray.wait(list(in_hand), num_returns=1)
            for reference in done:
                run = in_hand.pop(reference)
                try:
                    ray.get(reference)
                except ray.exceptions.RayTaskError as error:
                    yield run, str(error.cause)
                except ray.exceptions.RayError as error:
                    yield run, f"its worker died {RETRIES + 1} times ({type(error).__name__}); see the logs of Ray"
                else:
                    yield run, ""
    finally:
        for reference in in_hand:
            with suppress(ray.exceptions.RayError):  # it may be over, or its machine gone
                ray.cancel(reference, force=True)
