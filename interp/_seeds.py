"""Independent random streams, each a pure function of the words that name it."""

import hashlib

import torch

from interp._usage import UsageError


def derive_seed(*words: int | str) -> int:
    """A 63-bit seed that depends on every word and on their order.

    Streams named by different words are independent for all practical purposes, so that the data of training
    step s can be drawn from ``derive_seed(seed, "data", s)`` without drawing those of the steps before.
    """
    digest = hashlib.blake2b(repr(words).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def parse_seeds(text: str) -> list[int]:
    """Read ``0-9``, ``3`` or ``0-2,7``: numbers from 0 up and ranges of them, both ends included.

    Raises UsageError, a ValueError, for anything else, for a range that goes down and for a seed that is named twice.
    """
    seeds: list[int] = []
    for part in text.split(","):
        first, dash, last = (piece.strip() for piece in part.partition("-"))
        if not (first.isdecimal() and (last.isdecimal() if dash else not last)):
            raise UsageError(f"Cannot read seeds {text!r}; expected numbers and ranges, such as 0-9 or 0,3,5-7.")
        found = range(int(first), int(last if dash else first) + 1)
        if not found:
            raise UsageError(f"Seeds {part.strip()!r} go down; write {last}-{first}.")
        seeds += found
    if len(set(seeds)) < len(seeds):
        raise UsageError(f"Seeds {text!r} name a seed twice; its two runs would share a folder.")
    return seeds


def make_generator(*words: int | str) -> torch.Generator:
    """A generator at the start of the stream that ``words`` name, on PyTorch's default device.

    That is the CPU unless someone says otherwise, as ``with torch.device("cuda"):`` does; each kind of device draws
    other numbers.
    """
    return torch.Generator(torch.get_default_device()).manual_seed(derive_seed(*words))
