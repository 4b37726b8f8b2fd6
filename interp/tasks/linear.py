"""In-context linear regression."""

from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator
from interp.tasks.covariance import Covariance, Isotropic, input_maps
from interp.tasks.laws import MOMENTS, InputLaw, draw_inputs
from interp.tasks.prompts import Prompts
from interp.tasks.task import check_counts


@dataclass(frozen=True, kw_only=True)
class LinearRegression:
    """Prompts whose targets are linear in the inputs: ``y = w . x + noise``, with w drawn for each prompt.

    Hidden weights are normal with standard deviation ``weight_scale``. Inputs are uniform on
    [-1/2, 1/2] (von Oswald et al. 2022, section 3) or standard normal (Garg et al. 2022), times ``input_scale``,
    then shaped by ``covariance``. Standard exponential (not centred) and standard Laplace inputs, normalised contexts
    and distractors are the prompts on which von Oswald et al. test what they trained on uniform ones.

    Raises ValueError for sizes below 1, scales below 0, more distractors than examples, and no example to normalise by.
    """

    dim: int = 10
    n_points: int = 11
    """Points of a prompt, the query included: one more than the number of examples it is answered from."""
    inputs: InputLaw = "uniform"
    input_scale: float = 1.0
    normalize_context: bool = False
    """Whether all inputs of a prompt, its queries too, are divided by the Frobenius norm of its examples' inputs. That
    of the examples is then ``input_scale``."""
    covariance: Covariance = field(default_factory=Isotropic)
    weight_scale: float = 1.0
    noise_std: float = 0.0
    """Standard deviation of the noise on every target, the query's included."""
    distractors: int = 0
    """How many examples of each prompt, at random places, have a standard normal number in place of their target.
    Queries keep theirs."""
    kind: Literal["linear_regression"] = "linear_regression"

    def __post_init__(self) -> None:
        for name, least in [("dim", 1), ("n_points", 1)]:
            if getattr(self, name) < least:
                raise ValueError(f"`{name}` must be at least {least}, got {getattr(self, name)}.")
        for name in ("input_scale", "weight_scale", "noise_std"):
            if not 0 <= getattr(self, name) < float("inf"):
                raise ValueError(f"`{name}` must be finite and not negative, got {getattr(self, name)}.")
        if self.normalize_context and self.n_points == 1:
            raise ValueError(
                "`normalize_context` divides by the norm of the examples, and with n_points=1 there are none; "
                "use n_points=2 or more."
            )
        if not 0 <= self.distractors < self.n_points:
            raise ValueError(
                f"`distractors` replace targets of examples, of which there are {self.n_points - 1} (n_points - 1): "
                f"it must lie in 0..{self.n_points - 1}, got {self.distractors}."
            )

    @property
    def input_variance(self) -> float:
        """Mean square of an input coordinate, ``E|x|^2 / dim``, so that n examples have E tr(S) = n dim times this.

        It is the variance of every law but the exponential one, whose mean is not 0: there the variance is 1 and this
        is 2 (for isotropic inputs of scale 1), and S has one large eigenvalue along the mean. Rotations of the
        covariance are averaged over, unless fixed. With ``normalize_context`` it is that of the examples,
        ``input_scale^2 / ((n_points - 1) dim)`` in every prompt.
        """
        if self.normalize_context:
            return self.input_scale**2 / ((self.n_points - 1) * self.dim)
        mean, variance = MOMENTS[self.inputs]
        shape = self.covariance
        relative = sum(shape.values) / self.dim if shape.kind == "eigenvalues" else 1.0
        # A map M takes the mean m (1, ..., 1) to m M (1, ..., 1). Its mean square is m^2 times the mean eigenvalue on
        # average over rotations, but not for a given one.
        along_mean = relative
        if mean != 0 and shape.kind != "isotropic" and shape.rotation == "fixed":
            maps = input_maps(shape, self.dim, 1, seed=0)
            assert maps is not None
            along_mean = float(maps.sum(-1).square().mean())
        return (variance * relative + mean**2 * along_mean) * self.input_scale**2

    def sample(self, n_prompts: int, seed: int = 0, n_queries: int = 1) -> Prompts:
        """Draw ``n_prompts`` prompts of ``n_points - 1`` examples and ``n_queries`` queries, in float32 on the CPU.

        The same arguments give the same prompts, bit for bit. Inputs, weights, noise, rotations and distractors come
        from separate streams, so that changing the noise leaves the inputs as they were, and distractors leave all
        but the targets that they replace.
        """
        check_counts(n_prompts, n_queries)
        n = self.n_points - 1
        maps = input_maps(self.covariance, self.dim, n_prompts, seed)
        raw = draw_inputs(self.inputs, (n_prompts, n + n_queries, self.dim), make_generator(seed, "inputs"))
        if self.normalize_context:
            maps = _normalized(maps, raw[:, :n])
        xs = self._shaped(raw, maps)
        w = self.weight_scale * torch.randn(n_prompts, self.dim, generator=make_generator(seed, "weights"))
        ys = self._answer(xs, w, seed, "noise")
        if self.distractors > 0:
            ys = torch.cat([_distracted(ys[:, :n], self.distractors, seed), ys[:, n:]], dim=1)
        return Prompts(xs=xs, ys=ys, w=w, n_queries=n_queries, input_map=maps)

    def requery(self, prompts: Prompts, n_queries: int, seed: int = 0) -> Prompts:
        """The same contexts and hidden weights with ``n_queries`` fresh queries each.

        Raises ValueError for prompts without hidden weights, whose answers nobody knows, and for a task of normalised
        contexts, prompts that do not say what to divide their queries by.
        """
        if prompts.w is None:
            raise ValueError(
                "New queries need the hidden weights to be answered, and these prompts have none (`w` is None). "
                "Sample the prompts from the task, or give as many queries per prompt as the analysis needs."
            )
        if self.normalize_context and prompts.input_map is None:
            raise ValueError(
                "New queries must be divided by what their context was divided by, and these prompts do not say "
                "(`input_map` is None). Sample the prompts from the task, or give as many queries per prompt as the "
                "analysis needs."
            )
        raw = draw_inputs(self.inputs, (len(prompts), n_queries, self.dim), make_generator(seed, "more inputs"))
        xs = self._shaped(raw, prompts.input_map).to(prompts.xs)
        return prompts.with_queries(xs, self._answer(xs, prompts.w, seed, "more noise"))

    def _shaped(self, raw: Tensor, maps: Tensor | None) -> Float[Tensor, "prompt point dim"]:
        return self.input_scale * (raw if maps is None else raw @ maps.to(raw))

    def _answer(self, xs: Tensor, w: Tensor, seed: int, stream: str) -> Float[Tensor, "prompt point"]:
        ys = torch.einsum("ptd,pd->pt", xs, w)
        if self.noise_std > 0:
            noise = torch.randn(ys.shape, generator=make_generator(seed, stream))
            ys = ys + self.noise_std * noise.to(ys)
        return ys


def _normalized(
    maps: Float[Tensor, "prompt dim dim"] | None, context: Float[Tensor, "prompt example dim"]
) -> Float[Tensor, "prompt dim dim"]:
    """The maps, or the identity for None, divided by the Frobenius norm of the context that they make."""
    if maps is None:
        maps = torch.eye(context.shape[-1]).expand(len(context), -1, -1)
    return maps / torch.linalg.vector_norm(context @ maps, dim=(1, 2), keepdim=True)


def _distracted(ys: Float[Tensor, "prompt example"], count: int, seed: int) -> Float[Tensor, "prompt example"]:
    """The targets with ``count`` of them in each prompt replaced; those of a smaller count are among them."""
    generator = make_generator(seed, "distractors")
    rank = torch.rand(ys.shape, generator=generator).argsort(dim=1).argsort(dim=1)
    return torch.where(rank < count, torch.randn(ys.shape, generator=generator), ys)
