"""What counts as copying: the parts of the evidence, their controls and how high they must reach."""

import pandas as pd

PARTS = ("attention", "carried", "restored", "swapped")
"""What is measured of every way of copying; see `copying_scores`."""
ENDS = ("", "_low", "_high")
"""A value and the ends of its interval, as columns are named."""
CONTROLS = {
    "attention": ("random_init",),
    "carried": ("random_init", "wrong"),
    "restored": ("elsewhere",),
    "swapped": ("rest",),
}
"""What each part is held against."""
BARS = {"attention": 0.5, "carried": 0.5, "restored": 0.1, "swapped": 0.0}
"""What each part must exceed whatever its controls: most of the attention to other tokens, most of the variance of what
the neighbour holds, a tenth of the damage (other heads may pass the rest on), and no rise of the loss at all."""


def clears_bar(scores: pd.DataFrame, part: str) -> "pd.Series[bool]":
    """Which rows of `copying_scores` are above the bar in a part, with their whole interval."""
    return scores[f"{part}_low"] > _bar(scores, part)


def misses_bar(scores: pd.DataFrame, part: str) -> "pd.Series[bool]":
    """Which rows are not above the bar anywhere in their interval."""
    return scores[f"{part}_high"] <= _bar(scores, part)


def _bar(scores: pd.DataFrame, part: str) -> "pd.Series[float]":
    """The part's own bar, or the highest upper end of its controls."""
    return scores[[f"{part}_{control}_high" for control in CONTROLS[part]]].max(axis=1).clip(lower=BARS[part])
