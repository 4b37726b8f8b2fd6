"""Taking times."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import torch

from interp._progress import track

WARM_UPS = 3
"""Calls after which what is compiled runs as it will: the first compiles, the second records CUDA's graph."""


@contextmanager
def cpu_threads(n: int) -> Iterator[None]:
    """Give PyTorch ``n`` CPU threads for the time being."""
    before = torch.get_num_threads()
    torch.set_num_threads(n)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def side_by_side(
    works: Mapping[str, Callable[[], object]], repeats: int, device: torch.device, what: str
) -> dict[str, tuple[float, ...]]:
    """Seconds of every repetition of each of ``works``, by name.

    Each repetition runs all of them in turn, so that a machine that slows down meanwhile does so for all.
    ``what`` names the measurement on the progress bar. Warm up first: the first run counts like the others.
    """
    seconds: dict[str, list[float]] = {name: [] for name in works}
    with track(f"bench {what}", total=repeats * len(works)) as tracker:
        for _ in range(repeats):
            for name, work in works.items():
                seconds[name].append(_seconds(work, device))
                tracker.advance(note=name)
    return {name: tuple(runs) for name, runs in seconds.items()}


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    _wait_for(device)
    start = time.perf_counter()
    work()
    _wait_for(device)
    return time.perf_counter() - start


def _wait_for(device: torch.device) -> None:
    """CUDA work is queued: a clock that does not wait for it measures the queueing."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
