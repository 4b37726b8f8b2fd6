"""In-context regression on sine waves."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator
from interp.tasks.prompts import Prompts
from interp.tasks.task import check_counts

AMPLITUDES = (0.1, 0.5)
"""Range of the amplitudes."""
PHASES = (0.0, math.pi)
"""Range of the phases, in radians."""


@dataclass(frozen=True, kw_only=True)
class SineWaves:
    """Prompts whose targets are ``y = amplitude sin(x + phase)`` of a scalar x, amplitude and phase drawn for each.

    Inputs are uniform on [``low``, ``high``], amplitudes on [0.1, 0.5] and phases on [0, pi], without noise (von Oswald
    et al. 2022, section 4, after Finn et al. 2017). Prompts hold amplitude and phase, in this order, in ``function``;
    their ``w`` is None. Raises ValueError for fewer than 1 point and a range that is empty or not finite.
    """

    n_points: int = 11
    """Points of a prompt, the query included: one more than the number of examples it is answered from."""
    low: float = -5.0
    high: float = 5.0
    coupled: bool = False
    """Whether the phase fixes the amplitude, 0.1 + 0.4 phase / pi. The released code does this, since it draws both
    from the same random key: its waves are a one-parameter family. The paper's words are independent draws."""
    kind: Literal["sine_waves"] = "sine_waves"

    def __post_init__(self) -> None:
        if self.n_points < 1:
            raise ValueError(f"`n_points` must be at least 1, got {self.n_points}.")
        if not -math.inf < self.low < self.high < math.inf:
            raise ValueError(f"`low` must lie below `high`, both finite; got {self.low} and {self.high}.")

    @property
    def dim(self) -> int:
        """Number of input coordinates: 1."""
        return 1

    def sample(self, n_prompts: int, seed: int = 0, n_queries: int = 1) -> Prompts:
        """Draw ``n_prompts`` prompts of ``n_points - 1`` examples and ``n_queries`` queries, in float32 on the CPU.

        The same arguments give the same prompts, bit for bit. Inputs, amplitudes and phases come from separate
        streams, so that coupling changes the amplitudes alone.
        """
        check_counts(n_prompts, n_queries)
        xs = self._draw_inputs((n_prompts, self.n_points - 1 + n_queries, 1), seed, "inputs")
        u = torch.rand(n_prompts, generator=make_generator(seed, "phases"))
        v = u if self.coupled else torch.rand(n_prompts, generator=make_generator(seed, "amplitudes"))
        function = torch.stack([_within(AMPLITUDES, v), _within(PHASES, u)], dim=1)
        return Prompts(xs=xs, ys=wave(xs, function), n_queries=n_queries, function=function)

    def requery(self, prompts: Prompts, n_queries: int, seed: int = 0) -> Prompts:
        """The same contexts and waves with ``n_queries`` fresh queries each.

        Raises ValueError for prompts that do not hold their waves, whose answers nobody knows.
        """
        if prompts.function is None:
            raise ValueError(
                "New queries need amplitude and phase to be answered, and these prompts have none (`function` is "
                "None). Sample the prompts from the task, or give as many queries per prompt as the analysis needs."
            )
        xs = self._draw_inputs((len(prompts), n_queries, 1), seed, "more inputs").to(prompts.xs)
        return prompts.with_queries(xs, wave(xs, prompts.function))

    def _draw_inputs(self, shape: tuple[int, int, int], seed: int, stream: str) -> Float[Tensor, "prompt point dim"]:
        return _within((self.low, self.high), torch.rand(shape, generator=make_generator(seed, stream)))


def _within(ends: tuple[float, float], shares: Tensor) -> Tensor:
    low, high = ends
    return low + (high - low) * shares


def wave(
    xs: Float[Tensor, "prompt point 1"], function: Float[Tensor, "prompt parameter"]
) -> Float[Tensor, "prompt point"]:
    """``amplitude sin(x + phase)`` at the inputs, amplitude and phase from each prompt's ``function``."""
    amplitude, phase = function[:, :, None].unbind(1)
    return amplitude * torch.sin(xs[..., 0] + phase)
