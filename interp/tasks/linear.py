"""In-context linear regression."""

from dataclasses import dataclass, field, replace
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator
from interp.tasks.covariance import Covariance, Isotropic, input_maps
from interp.tasks.prompts import Prompts


@dataclass(frozen=True, kw_only=True)
class LinearRegression:
    """Prompts whose targets are linear in the inputs: ``y = w . x + noise``, with w drawn for each prompt.

    Hidden weights are normal with standard deviation ``weight_scale``. Inputs are uniform on
    [-1/2, 1/2] (von Oswald et al. 2022, section 3) or standard normal (Garg et al. 2022), times ``input_scale``,
    then shaped by ``covariance``. Raises ValueError for sizes below 1 and scales below 0.
    """

    dim: int = 10
    n_points: int = 11
    """Points of a prompt, the query included: one more than the number of examples it is answered from."""
    inputs: Literal["uniform", "gaussian"] = "uniform"
    input_scale: float = 1.0
    covariance: Covariance = field(default_factory=Isotropic)
    weight_scale: float = 1.0
    noise_std: float = 0.0
    """Standard deviation of the noise on every target, the query's included."""
    kind: Literal["linear_regression"] = "linear_regression"

    def __post_init__(self) -> None:
        for name, least in [("dim", 1), ("n_points", 1)]:
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, got {getattr(self, name)}.")
        for name in ("input_scale", "weight_scale", "noise_std"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"`{name}` must be finite and not negative, got {getattr(self, name)}.")

    @property
    def input_variance(self) -> float:
        """Mean variance of an input coordinate (trace of the covariance over dim)."""
        base = 1 / 12 if self.inputs == "uniform" else 1.0
        shape = self.covariance
        relative = sum(shape.values) / self.dim if shape.kind == "eigenvalues" else 1.0
        return base * relative * self.input_scale**2

    def sample(self, n_prompts: int, seed: int = 0, n_queries: int = 1) -> Prompts:
        """Draw ``n_prompts`` prompts of ``n_points - 1`` examples and ``n_queries`` queries, in float32 on the CPU.

        The same arguments give the same prompts, bit for bit. Inputs, weights, noise and rotations come from
        separate streams, so that changing the noise leaves the inputs as they were.
        """
        if n_prompts < 1 or n_queries < 1:
            raise ValueError(f"Ask for at least one prompt and one query, got {n_prompts} and {n_queries}.")
        maps = input_maps(self.covariance, self.dim, n_prompts, seed)
        n_points = self.n_points - 1 + n_queries
        xs = self._draw_inputs((n_prompts, n_points, self.dim), maps, seed, "inputs")
        w = self.weight_scale * torch.randn(n_prompts, self.dim, generator=make_generator(seed, "weights"))
        ys = self._answer(xs, w, seed, "noise")
        return Prompts(xs=xs, ys=ys, w=w, n_queries=n_queries, input_map=maps)

    def requery(self, prompts: Prompts, n_queries: int, seed: int = 0) -> Prompts:
        """The same contexts and hidden weights with ``n_queries`` fresh queries each.

        Raises ValueError for prompts without hidden weights, whose answers nobody knows.
        """
        if prompts.w is None:
            raise ValueError(
                "New queries need the hidden weights to be answered, and these prompts have none (`w` is None). "
                "Sample the prompts from the task, or give as many queries per prompt as the analysis needs."
            )
        shape = (len(prompts), n_queries, self.dim)
        xs = self._draw_inputs(shape, prompts.input_map, seed, "more inputs").to(prompts.xs)
        ys = self._answer(xs, prompts.w, seed, "more noise")
        n = prompts.n_examples
        return replace(
            prompts,
            xs=torch.cat([prompts.xs[:, :n], xs], dim=1),
            ys=torch.cat([prompts.ys[:, :n], ys], dim=1),
            n_queries=n_queries,
        )

    def _draw_inputs(
        self, shape: tuple[int, int, int], maps: Tensor | None, seed: int, stream: str
    ) -> Float[Tensor, "prompt point dim"]:
        generator = make_generator(seed, stream)
        if self.inputs == "uniform":
            raw = torch.rand(shape, generator=generator) - 0.5
        else:
            raw = torch.randn(shape, generator=generator)
        return self.input_scale * (raw if maps is None else raw @ maps.to(raw))

    def _answer(self, xs: Tensor, w: Tensor, seed: int, stream: str) -> Float[Tensor, "prompt point"]:
        ys = torch.einsum("ptd,pd->pt", xs, w)
        if self.noise_std > 0:
            noise = torch.randn(ys.shape, generator=make_generator(seed, stream))
            ys = ys + self.noise_std * noise.to(ys)
        return ys
