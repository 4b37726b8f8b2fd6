"""Errors are matched whole: a message that outlives its code is a bug."""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def raises_exactly(kind: type[Exception], message: str) -> Iterator[None]:
    """Expect an error of this kind that says exactly this."""
    with pytest.raises(kind) as caught:
        yield
    assert str(caught.value) == message
