import pytest
import torch

from interp.bench.comparison import require_agreement
from interp.bench.timing import cpu_threads, side_by_side


def test_repetitions_alternate_between_the_works():
    calls = []
    works = {name: lambda name=name: calls.append(name) for name in ("ours", "plain")}
    seconds = side_by_side(works, 3, torch.device("cpu"), "test")
    assert calls == ["ours", "plain"] * 3
    assert {name: len(runs) for name, runs in seconds.items()} == {"ours": 3, "plain": 3}


def test_threads_come_back_after_an_error():
    before = torch.get_num_threads()
    inside = []

    def fail() -> None:
        with cpu_threads(before + 1):
            inside.append(torch.get_num_threads())
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert inside == [before + 1]
    assert torch.get_num_threads() == before


def test_agreement_within_the_tolerance_passes_the_difference_on():
    assert require_agreement("Two ways", 1e-5, 1e-4) == 1e-5


@pytest.mark.parametrize("difference", [2e-4, float("nan"), float("inf")])
def test_a_larger_difference_is_refused(difference):
    with pytest.raises(ValueError, match=r"^Two ways disagree: expected a largest difference of at most 0\.0001, got "):
        require_agreement("Two ways", difference, 1e-4)
