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
    "oswald-copying": "Interleaved x and y: a plateau, then copying and one step of GD at once.",
    "fu-layers": "Every layer of a transformer improves on its predecessor.",
    "fu-heatmaps": "Layers against steps: Newton's grow linearly, those of GD exponentially.",
    "fu-ill-conditioned": "On ill-conditioned inputs Newton still grows linearly, and GD takes many times the steps.",
    "fu-hidden-size": "A transformer narrower than the inputs does not learn what wider ones do.",
    "fu-noisy": "With noisy targets: Newton's method, and ridge rather than least squares at the end.",
    "fu-lstm": "The layers of an LSTM do not improve alike, and err as online GD does.",
    "fu-quasi-newton": "Newton and BFGS match the layers better than CG and L-BFGS.",
    "fu-spectrum": "Spectral responses of the layers beside those of Newton and GD (ours).",
}
"""Name and what it shows, in one line.

Each is a module ``PAPER/FIGURE``, with ``_`` in place of ``-``, and in it a function ``reproduce(lab)``.
"""


class _Module(Protocol):
    def reproduce(self, lab: Lab) -> Reproduction: ...


def reproduce(name: str, lab: Lab | None = None) -> Reproduction:
    """Train or load what a figure needs, and compute it.

    Raises ValueError for an unknown name, naming the nearest, and where too few runs of a recipe finished or are there.
    """
    if name not in FIGURES:
        raise unknown_name("figure", name, FIGURES)
    paper, figure = name.split("-", 1)
    module = cast(_Module, import_module(f"interp.reproduce.{paper}.{figure.replace('-', '_')}"))
    return module.reproduce(lab or Lab())
