import pytest

from interp.models.token_config import TokenModelConfig
from interp.tasks import RepeatedTokens
from tests.errors import raises_exactly


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"d_vocab": 0}, "`d_vocab` must be at least 1, got 0."),
        ({"n_layers": 0}, "`n_layers` must be at least 1, got 0."),
        ({"head_width": -1}, "`head_width` must be at least 0, got -1."),
        (
            {"d_model": 20, "n_heads": 8},
            "A stream of width 20 does not divide into 8 heads; give `head_width`.",
        ),
        (
            {"d_model": 12, "n_heads": 4, "positions": "rotary"},
            "Rotary positions turn pairs of coordinates; give heads an even width, not 3.",
        ),
    ],
)
def test_sizes_that_contradict_each_other_are_refused(options, message):
    with raises_exactly(ValueError, message):
        TokenModelConfig(**options)


def test_a_head_has_its_share_of_the_stream_unless_said():
    assert TokenModelConfig(d_model=24, n_heads=4).d_head == 6
    assert TokenModelConfig(d_model=20, n_heads=8, head_width=5).d_head == 5


@pytest.mark.parametrize(
    ("task", "misfit"),
    [
        (RepeatedTokens(d_vocab=30, n_pos=20, shortest=3, longest=9), ""),
        (RepeatedTokens(d_vocab=12, n_pos=12, shortest=3, longest=9), ""),
        (
            RepeatedTokens(d_vocab=31, n_pos=20, shortest=3, longest=9),
            "the model knows 30 token ids, the task draws from 31; change one of them.",
        ),
        (
            RepeatedTokens(d_vocab=30, n_pos=21, shortest=3, longest=9),
            "the model reads 20 tokens, the task draws sequences of 21; change one of them.",
        ),
    ],
)
def test_a_model_reads_what_its_vocabulary_and_its_positions_hold(task, misfit):
    assert TokenModelConfig(d_vocab=30, n_ctx=20).misfit(task) == misfit
