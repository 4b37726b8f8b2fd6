"""Best iterates of several families that are one answer under several names."""

from collections.abc import Sequence
from itertools import combinations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

SAME = 1e-3
"""Two iterates are the same where their answers differ by less than this share of them."""


class Coincidences:
    """For each layer, the families whose best iterates give the same answers, from batches of prompts."""

    def __init__(self, names: Sequence[str], n_layers: int) -> None:
        self._names = names
        self._norms = np.zeros((len(names), n_layers))
        self._gaps = np.zeros((len(names), len(names), n_layers))

    def add(self, answers: Sequence[Float[Tensor, "layer prompt column"]]) -> None:
        """Take each family's best iterate for every layer, on the next prompts."""
        for i, ours in enumerate(answers):
            self._norms[i] += _square_norms(ours)
        for i, j in combinations(range(len(answers)), 2):
            gap = _square_norms(answers[i] - answers[j])
            self._gaps[i, j] += gap
            self._gaps[j, i] += gap

    def found(self) -> dict[tuple[int, int], list[str]]:
        """By (index of a family, layer) the names of the others that answer the same there."""
        # Never where an answer is not a number, nor where it is too large to be squared.
        same = (np.sqrt(self._gaps) <= SAME * np.sqrt(self._norms)[:, None]) & np.isfinite(self._norms)[:, None]
        return {
            (i, layer): [name for j, name in enumerate(self._names) if j != i and same[i, j, layer]]
            for i in range(len(self._names))
            for layer in range(self._norms.shape[1])
        }


def _square_norms(answers: Float[Tensor, "layer prompt column"]) -> Float[np.ndarray, " layer"]:
    return np.asarray(torch.linalg.vector_norm(answers, dim=(1, 2)).square().cpu())
