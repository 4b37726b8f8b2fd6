"""Published figures, computed anew: each with its data, its drawing and a verdict on what the paper claims."""

from interp.reproduce.lab import Lab
from interp.reproduce.registry import FIGURES, reproduce
from interp.reproduce.reproduction import Reproduction

__all__ = ["FIGURES", "Lab", "Reproduction", "reproduce"]
