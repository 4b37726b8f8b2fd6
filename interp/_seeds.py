"""Independent random streams, each a pure function of the words that name it."""

import hashlib

import torch


def derive_seed(*words: int | str) -> int:
    """A 63-bit seed that depends on every word and on their order.

    Streams named by different words are independent for all practical purposes, so that the data of training
    step s can be drawn from ``derive_seed(seed, "data", s)`` without drawing those of the steps before.
    """
    digest = hashlib.blake2b(repr(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def make_generator(*words: int | str) -> torch.Generator:
    """A CPU generator at the start of the stream that ``words`` name."""
    return torch.Generator().manual_seed(derive_seed(*words))
