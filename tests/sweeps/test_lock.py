import os
import re
import signal
import subprocess
import sys
import time

import pytest

from interp.sweeps import lock
from interp.sweeps.lock import TakenError, locked, owners

HOLD = """
import runpy, sys, time
from pathlib import Path
locked = runpy.run_path(sys.argv[2])["locked"]
with locked(Path(sys.argv[1]), "The run"):
    print("held", flush=True)
    time.sleep(60)
"""


@pytest.fixture
def held(tmp_path):
    """A lock that another process holds, and that process."""
    path = tmp_path / "a.lock"
    process = subprocess.Popen([sys.executable, "-c", HOLD, path, lock.__file__], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    yield path, process
    process.kill()
    process.wait()
    process.stdout.close()


def test_a_lock_that_another_process_holds_is_refused_by_its_name(held):
    path, process = held
    message = (
        rf"^The sweep is being written by process {process.pid} on \S+ since \S+; wait until it is done, or give "
        r"another folder\.$"
    )
    with pytest.raises(TakenError, match=message), locked(path, "The sweep"):
        raise AssertionError("two hold it")
    assert len(owners(path)) == 1


def test_the_lock_of_a_killed_process_is_free(held):
    path, process = held
    process.send_signal(signal.SIGKILL)
    process.wait()
    with locked(path, "The sweep"):
        pass
    assert [int(re.findall(r"process (\d+)", line)[0]) for line in owners(path)] == [process.pid, os.getpid()]


def test_who_waits_gets_it_when_the_owner_is_gone(held):
    path, process = held
    process.kill()
    began = time.monotonic()
    with locked(path, "The sweep", patience=30):
        assert time.monotonic() - began < 30


def test_one_process_cannot_hold_it_twice(tmp_path):
    path = tmp_path / "a.lock"
    with locked(path, "It"), pytest.raises(TakenError), locked(path, "It", patience=0.1):
        raise AssertionError("held twice")
    with locked(path, "It"):
        pass
    assert len(owners(path)) == 2


def test_nobody_owned_what_is_not_there(tmp_path):
    assert owners(tmp_path / "a.lock") == []
