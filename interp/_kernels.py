"""Which implementation of an operation PyTorch takes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.nn.attention import SDPBackend, sdpa_kernel


@contextmanager
def plain_kernels() -> Iterator[None]:
    """Attention and recurrences from plain operations, for the time being.

    The CPU's fused kernels for them have neither a forward-mode derivative nor a rule for torch.func.vmap.
    """
    fused = torch.backends.mkldnn.enabled
    torch.backends.mkldnn.enabled = False  # type: ignore[assignment]  # annotated as the property that guards it
    try:
        with sdpa_kernel([SDPBackend.MATH]):
            yield
    finally:
        torch.backends.mkldnn.enabled = fused
