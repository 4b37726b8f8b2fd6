import pytest

from tests.sweeps.sweep_files import put_recipe


@pytest.fixture
def tiny(monkeypatch):
    """The recipe ``tiny`` of `tests.training.recipes`, as one of the toolkit's."""
    return put_recipe(monkeypatch)
