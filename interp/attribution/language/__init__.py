"""Heads of language models: where they look, whether they copy, which compose, and what breaks without them."""

from interp.attribution.language.ablation import ablation_of_heads, heads_ablated, mean_outputs
from interp.attribution.language.composition import score_composition
from interp.attribution.language.copying import score_copying
from interp.attribution.language.edge_effects import edge_effects
from interp.attribution.language.edges import attention_cut, key_input_cut
from interp.attribution.language.labels import KINDS, THRESHOLD, label_language_heads, labelled_heads
from interp.attribution.language.losses import position_losses, repeat_losses
from interp.attribution.language.masks import SCORES, key_masks
from interp.attribution.language.scores import score_language_heads
from interp.attribution.language.study import HeadStudy, study_heads

__all__ = [
    "KINDS",
    "SCORES",
    "THRESHOLD",
    "HeadStudy",
    "ablation_of_heads",
    "attention_cut",
    "edge_effects",
    "heads_ablated",
    "key_input_cut",
    "key_masks",
    "label_language_heads",
    "labelled_heads",
    "mean_outputs",
    "position_losses",
    "repeat_losses",
    "score_composition",
    "score_copying",
    "score_language_heads",
    "study_heads",
]
