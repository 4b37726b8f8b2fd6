"""Layers against solver iterates: what each layer predicts, and which algorithm's iterates predict the same."""

from interp.matching.alignment import Alignment, align
from interp.matching.circuits import EffectiveStep, effective_steps, interpolate_with_gd
from interp.matching.families import Family, make_family
from interp.matching.induced import InducedWeights, fitted_weights, sensitivities
from interp.matching.match import CONTROLS, Measure, match_layers
from interp.matching.readouts import layer_states, native_predictions
from interp.matching.similarity import prediction_r2, similarity_of_errors, similarity_of_weights
from interp.matching.verdict import LayerVerdict, judge_layers

__all__ = [
    "CONTROLS",
    "Alignment",
    "EffectiveStep",
    "Family",
    "InducedWeights",
    "LayerVerdict",
    "Measure",
    "align",
    "effective_steps",
    "fitted_weights",
    "interpolate_with_gd",
    "judge_layers",
    "layer_states",
    "make_family",
    "match_layers",
    "native_predictions",
    "prediction_r2",
    "sensitivities",
    "similarity_of_errors",
    "similarity_of_weights",
]
