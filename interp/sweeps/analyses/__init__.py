"""What a sweep can measure of every run, one analysis a module."""

from interp.sweeps.analyses.analysis import AbstractAnalysis, Measured
from interp.sweeps.analyses.heads import HeadScores
from interp.sweeps.analyses.loss import HeldOutLoss
from interp.sweeps.analyses.match import BestMatches
from interp.sweeps.analyses.probe import Readouts

ANALYSES: dict[str, type[AbstractAnalysis]] = {
    kind.kind: kind for kind in (HeldOutLoss, BestMatches, Readouts, HeadScores)
}
"""Analyses by name. Their fields are the options that a sweep file may set."""

__all__ = ["ANALYSES", "AbstractAnalysis", "BestMatches", "HeadScores", "HeldOutLoss", "Measured", "Readouts"]
