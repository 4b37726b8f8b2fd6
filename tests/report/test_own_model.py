"""A model of a researcher's own is analysed as far as its hooks go."""

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

from interp.report import build
from interp.report.tokens import write_tokens
from interp.tasks import LinearRegression, Prompts, TokenLayout
from tests.errors import raises_exactly


class OwnBlock(torch.nn.Module):
    """Linear attention from the examples to every position; nothing in it is hooked but the stream."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.mix = torch.nn.Linear(width, width, bias=False)
        self.hook_resid_pre = HookPoint()
        self.hook_resid_post = HookPoint()

    def forward(self, resid: torch.Tensor) -> torch.Tensor:
        resid = self.hook_resid_pre(resid)
        scores = resid @ resid[:, :-1].transpose(1, 2)
        return self.hook_resid_post(resid + scores @ self.mix(resid[:, :-1]))


class OwnModel(HookedRootModule):
    """One block, the prediction in the last coordinate."""

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.task = LinearRegression(dim=2, n_points=5)
        self.cfg = SimpleNamespace(n_layers=1, n_heads=1, d_model=3)
        self.predicted_points = (4,)
        self.blocks = torch.nn.ModuleList([OwnBlock(3)])
        self.setup()

    def tokens(self, prompts: Prompts) -> torch.Tensor:
        return TokenLayout().tokens(prompts)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        return self.blocks[0](tokens)[:, -1:, -1]

    def untrained_twin(self, seed: int) -> "OwnModel":
        return OwnModel(seed)


def test_without_hooked_heads_tokens_are_mapped_and_heads_passed_over():
    model = OwnModel()
    prompts = model.task.sample(8)
    chapter = write_tokens(model, prompts, prompts, seed=0)
    assert [finding.id for finding in chapter.findings] == ["token.query_reads_examples"]
    assert set(chapter.tables) == {"token_dependency", "dependency_by_offset"}
    assert [figure.table for figure in chapter.section.figures] == ["token_dependency"]
    assert "heads are not hooked" in chapter.section.introduction
    table = chapter.tables["token_dependency"]
    from_query = table[(table["layer"] == 1) & (table["input"] == 4) & (table["output"] < 4)]
    assert (from_query["dependency"] == 0).all()


@pytest.mark.usefixtures("unchecked")
def test_a_model_that_is_no_regressor_is_refused():
    message = (
        "Linear is no model of in-context regression: it has no task, predicted_points, tokens (see "
        "interp.models.HookedRegressor). Of a language model it is the heads that can be studied here: "
        "interp.attribution.score_heads, interp.report.build_language."
    )
    no_regressor: Any = torch.nn.Linear(2, 1)
    with raises_exactly(ValueError, message):
        build(no_regressor)
