"""What every test runs under: one thread, no display, annotations checked at run time, the same examples each time."""

import os

os.environ["MPLBACKEND"] = "Agg"
os.environ["OMP_NUM_THREADS"] = "1"  # for the processes that tests start

import jaxtyping
import pytest
import torch
from hypothesis import settings

import tests.checking  # the hook looks it up as an attribute of `tests`

jaxtyping.install_import_hook(["interp", "probes"], f"{tests.checking.__name__}.typechecked")
torch.set_num_threads(1)

settings.register_profile("suite", deadline=None, derandomize=True, max_examples=25, database=None)
settings.load_profile("suite")


def pytest_collection_modifyitems(config, items):
    slow_wanted = "slow" in config.getoption("markexpr")
    for item in items:
        if "gpu" in item.keywords and not torch.cuda.is_available():
            item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))
        if "slow" in item.keywords and not slow_wanted:
            item.add_marker(pytest.mark.skip(reason="ask for it with -m slow"))


@pytest.fixture
def unchecked(monkeypatch):
    """Annotations are not checked, so that a wrong argument reaches the message that a user would see."""
    monkeypatch.setattr(jaxtyping.config, "jaxtyping_disable", True)


@pytest.fixture
def xs():
    """Inputs of 6 prompts of 9 points in 4 dimensions: prefixes with fewer and with more examples than coordinates."""
    return torch.randn(6, 9, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.fixture
def ys():
    """Targets for `xs` that no weight vector fits."""
    return torch.randn(6, 9, generator=torch.Generator().manual_seed(1), dtype=torch.float64)


@pytest.fixture(scope="session")
def short_run():
    """The recipe lsa-1layer with a quarter of its updates, an eighth of its batch and ten times its rate: 2 seconds."""
    from dataclasses import replace

    from interp.training import get_recipe, train

    recipe = replace(get_recipe("lsa-1layer"), steps=800, batch_size=256, lr=1e-2)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jaxtyping.config, "jaxtyping_disable", True)
        return train(recipe, seed=0)
