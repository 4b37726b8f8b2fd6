"""The figures that can be reproduced, by name."""

from importlib import import_module
from typing import Protocol, cast

from interp._names import unknown_name
from interp.reproduce.lab import Lab
from interp.reproduce.reproduction import Reproduction

FIGURES = {
    "oswald-fig2": "One layer of linear attention learns one step of gradient descent.",
    "oswald-fig3": "Several layers: from GD to GD++, five layers, and a layer applied 50 times.",
    "oswald-fig4": "Sine waves: GD on the output layer of an MLP.",
    "oswald-weights": "Trained weights beside the construction, and the path between them.",
    "oswald-ood": "Out of distribution, the model errs as its algorithm does.",
    "oswald-softmax": "Softmax attention: two heads align better than one.",
    "oswald-curvature": "How GD++ reshapes the spectrum of X^T X.",
    "oswald-depth": "Two to eight layers, looped and not, against GD and GD++.",
}
"""Name and what it shows, in one line. Each is a module ``PAPER/FIGURE`` with a function ``reproduce(lab)``."""


class _Module(Protocol):
    def reproduce(self, lab: Lab) -> Reproduction: ...


def reproduce(name: str, lab: Lab | None = None) -> Reproduction:
    """Train or load what a figure needs, and compute it.

    Raises ValueError for an unknown name, naming the nearest, and where fewer than 2 runs of a recipe finished.
    """
    if name not in FIGURES:
        raise unknown_name("figure", name, FIGURES)
    paper, figure = name.split("-", 1)
    module = cast(_Module, import_module(f"interp.reproduce.{paper}.{figure}"))
    return module.reproduce(lab or Lab())
