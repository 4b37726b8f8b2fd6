import pytest
import torch

from interp._devices import resolve_device


@pytest.mark.parametrize(("available", "expected"), [(True, "cuda"), (False, "cpu")])
def test_auto_takes_cuda_where_there_is_one(available, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: available)
    assert resolve_device("auto") == torch.device(expected)
    assert resolve_device("cpu") == torch.device("cpu")


def test_cuda_without_a_device_says_what_to_do(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    message = (
        r"^Device 'cuda' needs a CUDA device, and PyTorch \S+ finds none that it can use\. "
        r"Use device 'cpu', or 'auto' to take a CUDA device only where there is one\.$"
    )
    with pytest.raises(ValueError, match=message):
        resolve_device("cuda")


def test_an_unknown_device_is_named_with_the_known_ones():
    message = r"^Unknown device 'mps'; known are auto, cpu, cuda\."
    with pytest.raises(ValueError, match=message):
        resolve_device("mps")
