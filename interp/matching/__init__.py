"""Layers against solver iterates: what each layer predicts, and which algorithm's iterates predict the same."""

from interp.matching.alignment import Alignment, align, align_all
from interp.matching.circuits import EffectiveStep, effective_steps
from interp.matching.convergence import equal_error_steps
from interp.matching.curvature import curvature_table, measured_spectra, reshaped_spectra
from interp.matching.decode import TARGETS, probe_layers
from interp.matching.families import Family, make_family
from interp.matching.growth import GrowthLaw, fit_growth
from interp.matching.induced import InducedWeights, fitted_weights, sensitivities
from interp.matching.interpolation import interpolate_with_gd, loss_along_path
from interp.matching.layer_errors import LayerPredictions, layer_errors, layer_predictions
from interp.matching.match import CONTROLS, Matches, match_layers, match_measures
from interp.matching.observed import Measure
from interp.matching.over_training import Turn, align_over_training, find_turn
from interp.matching.readouts import default_batch_size, layer_states, native_predictions
from interp.matching.response import EigenvalueBins, ResponseSums, response_table, similarity_of_responses
from interp.matching.shifts import Shift, compare_under_shift, shifts_of
from interp.matching.similarity import prediction_r2, similarity_of_errors, similarity_of_weights
from interp.matching.verdict import LayerVerdict, judge_layers

__all__ = [
    "CONTROLS",
    "TARGETS",
    "Alignment",
    "EffectiveStep",
    "EigenvalueBins",
    "Family",
    "GrowthLaw",
    "InducedWeights",
    "LayerPredictions",
    "LayerVerdict",
    "Matches",
    "Measure",
    "ResponseSums",
    "Shift",
    "Turn",
    "align",
    "align_all",
    "align_over_training",
    "compare_under_shift",
    "curvature_table",
    "default_batch_size",
    "effective_steps",
    "equal_error_steps",
    "find_turn",
    "fit_growth",
    "fitted_weights",
    "interpolate_with_gd",
    "judge_layers",
    "layer_errors",
    "layer_predictions",
    "layer_states",
    "loss_along_path",
    "make_family",
    "match_layers",
    "match_measures",
    "measured_spectra",
    "native_predictions",
    "prediction_r2",
    "probe_layers",
    "reshaped_spectra",
    "response_table",
    "sensitivities",
    "shifts_of",
    "similarity_of_errors",
    "similarity_of_responses",
    "similarity_of_weights",
]
