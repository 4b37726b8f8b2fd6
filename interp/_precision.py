"""How precisely numbers are computed, by the names that the command line takes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal, get_args

import torch

from interp._names import unknown_name
from interp._usage import UsageError

Precision = Literal["fp32", "tf32", "bf16"]
"""``fp32``: everything in float32. ``tf32``: products of matrices on a CUDA device in TensorFloat-32, which keeps 10
bits of the 23 after the point. ``bf16``: products, and what attention does, in bfloat16 (7 bits), by torch.autocast;
weights, optimiser state, losses and norms stay in float32."""


def check_precision(precision: str, device: torch.device | str) -> None:
    """Raise ValueError for an unknown precision, and for one that the device does not have."""
    if precision not in get_args(Precision):
        raise unknown_name("precision", precision, get_args(Precision))
    kind = torch.device(device).type
    if precision == "tf32" and kind != "cuda":
        raise UsageError(
            f"Precision 'tf32' is a mode of CUDA's matrix units, and the device is {kind!r}; use fp32 or bf16 there."
        )
    if precision == "bf16" and kind == "cuda" and not torch.cuda.is_bf16_supported(including_emulation=False):
        raise ValueError(
            f"Precision 'bf16' needs a CUDA device of compute capability 8.0 or more; {torch.cuda.get_device_name()} "
            "does not support it. Use fp32."
        )


@contextmanager
def computing_in(precision: Precision, device: torch.device | str) -> Iterator[None]:
    """Compute in a precision for the time being. Raises as `check_precision`."""
    check_precision(precision, device)
    if precision == "bf16":
        with torch.autocast(torch.device(device).type, dtype=torch.bfloat16):
            yield
        return
    # cuDNN, which runs LSTMs, has a switch of its own, and by default it is on.
    before = torch.get_float32_matmul_precision(), torch.backends.cudnn.allow_tf32
    _set_tf32("high" if precision == "tf32" else "highest", in_cudnn=precision == "tf32")
    try:
        yield
    finally:
        _set_tf32(before[0], in_cudnn=before[1])


def _set_tf32(of_products: str, *, in_cudnn: bool) -> None:
    torch.set_float32_matmul_precision(of_products)
    torch.backends.cudnn.allow_tf32 = in_cudnn
