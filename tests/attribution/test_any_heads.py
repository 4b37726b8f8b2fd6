"""One function scores the heads of either sort of model, and says so where model and data do not go together."""

import pandas as pd

from interp.attribution import heads, score_heads
from interp.attribution.language import score_language_heads
from tests.attribution.language.models import native, sequences
from tests.errors import raises_exactly
from tests.models.tiny import FULL, tiny_model


def test_a_regression_model_is_scored_by_offset():
    model = tiny_model(**FULL)
    prompts = model.task.sample(4)
    pd.testing.assert_frame_equal(score_heads(model, prompts), heads.score_heads(model, prompts))


def test_a_language_model_is_scored_by_its_tokens():
    bridge, batch = native(), sequences()
    pd.testing.assert_frame_equal(score_heads(bridge, batch), score_language_heads(bridge, batch))
    drawn = score_heads(bridge, n_sequences=3, period=9, seed=2)
    pd.testing.assert_frame_equal(drawn, score_language_heads(bridge, n_sequences=3, period=9, seed=2))


def test_a_regression_model_needs_prompts():
    model = tiny_model()
    for wrong, name in ((None, "NoneType"), (sequences(), "TokenSequences")):
        message = (
            f"A model of in-context regression needs prompts to score its heads on, got {name}; draw them by "
            "model.task.sample(n_prompts)."
        )
        with raises_exactly(TypeError, message):
            score_heads(model, wrong)


def test_a_language_model_takes_no_prompts():
    message = "A language model needs TokenSequences to score its heads on, or none to draw them; got Prompts."
    with raises_exactly(TypeError, message):
        score_heads(native(), tiny_model().task.sample(4))
