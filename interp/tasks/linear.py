"""In-context linear regression."""

import math
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from interp._seeds import make_generator
from interp.tasks.choices import choose
from interp.tasks.contexts import distracted, in_one_orthant, normalized
from interp.tasks.covariance import Covariance, Isotropic, input_maps
from interp.tasks.laws import MOMENTS, InputLaw, draw_inputs, fill_inputs
from interp.tasks.prompts import Prompts
from interp.tasks.queries import QueryLaw, check_queries, place_queries
from interp.tasks.subspace import subspace_maps
from interp.tasks.task import check_counts


@dataclass(frozen=True, kw_only=True)
class LinearRegression:
    """Prompts whose targets are linear in the inputs: ``y = w . x + noise``, with w drawn for each prompt.

    Hidden weights are normal with standard deviation ``weight_scale``. Inputs are uniform on
    [-1/2, 1/2] (von Oswald et al. 2022, section 3) or standard normal (Garg et al. 2022), times ``input_scale``,
    then shaped by ``covariance``. Standard exponential (not centred) and standard Laplace inputs, normalised contexts
    and distractors are the prompts on which von Oswald et al. test what they trained on uniform ones; subspaces,
    orthants and queries of other laws those of Garg et al. for normal ones (`interp.tasks.garg_shifts`).

    Raises ValueError for sizes below 1, scales below 0, more distractors than examples, and fields that leave no
    prompt to draw: no example to normalise by or to ask about, no direction that is orthogonal to all examples,
    orthants of a subspace.
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
    subspace: int = 0
    """Dimensions of a random subspace, each prompt's own, onto which its inputs are projected; they are scaled by
    sqrt(dim / subspace) to keep their mean square norm. 0 for no projection."""
    orthants: bool = False
    """Whether all examples of a prompt lie in one orthant: each coordinate has the same random sign in all of them.
    Queries have signs of their own, so that theirs is another with probability 1 - 2^-dim."""
    query: QueryLaw = "fresh"
    """``fresh``: queries have the law of the examples. ``orthogonal``: of a fresh query, what lies outside the span of
    the examples, lengthened to the query's norm. ``example``: one of the examples at random, with a true target of its
    own. A model that predicts at every point sees this law at the last one alone."""
    weight_scale: float = 1.0
    sparsity: int = 0
    """How many coordinates of the hidden weights, at random places, are not zero; the law of the others is as it was
    (Garg et al. 2022, section 5). 0 for all of them."""
    noise_std: float = 0.0
    """Standard deviation of the noise on every target, the query's included."""
    distractors: int = 0
    """How many examples of each prompt, at random places, have a standard normal number in place of their target.
    Queries keep theirs."""
    kind: Literal["linear_regression"] = "linear_regression"

    def __post_init__(self) -> None:
        for name in ("dim", "n_points"):
            if getattr(self, name) < 1:
                raise ValueError(f"`{name}` must be at least 1, got {getattr(self, name)}.")
        for name in ("input_scale", "weight_scale", "noise_std"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"`{name}` must be finite and not negative, got {getattr(self, name)}.")
        for name, what in (("subspace", "no projection"), ("sparsity", "dense weights")):
            if not 0 <= getattr(self, name) <= self.dim:
                raise ValueError(
                    f"`{name}` must lie in 1..{self.dim} (dim), or be 0 for {what}; got {getattr(self, name)}."
                )
        self._check_examples()

    def _check_examples(self) -> None:
        n = self.n_points - 1
        if self.normalize_context and n == 0:
            raise ValueError(
                "`normalize_context` divides by the norm of the examples, and with n_points=1 there are none; "
                "use n_points=2 or more."
            )
        if not 0 <= self.distractors < self.n_points:
            raise ValueError(
                f"`distractors` replace targets of examples, of which there are {n} (n_points - 1): "
                f"it must lie in 0..{n}, got {self.distractors}."
            )
        if self.orthants and self.subspace:
            raise ValueError(
                f"`orthants` would move the examples out of their subspace (subspace={self.subspace}); "
                "use one of the two."
            )
        check_queries(self.query, n, self.subspace or self.dim)

    @property
    def input_variance(self) -> float:
        """Mean square of a coordinate of the examples, ``E|x|^2 / dim``, so that n have E tr(S) = n dim times this.

        It is the variance of every law but the exponential one, whose mean is not 0: there the variance is 1 and this
        is 2 (for isotropic inputs of scale 1), and S has one large eigenvalue along the mean. Rotations of the
        covariance are averaged over, unless fixed, and so are subspaces. With ``normalize_context`` it is
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

        The same arguments give the same prompts, bit for bit. Inputs, rotations, subspaces, signs, choices of queries,
        weights, their places, noise and distractors come from separate streams, so that changing the noise leaves the
        inputs as they were, distractors leave all but the targets that they replace, and queries leave the examples.
        """
        check_counts(n_prompts, n_queries)
        n = self.n_points - 1
        raw = draw_inputs(self.inputs, (n_prompts, n + n_queries, self.dim), make_generator(seed, "inputs"))
        maps = self._maps(raw[:, :n], seed)
        shaped = self._shaped(raw, maps)
        xs = self._placed(shaped[:, :n], shaped[:, n:], seed) if self.orthants or self.query != "fresh" else shaped
        w = self._draw_weights(n_prompts, seed)
        ys = self._answer(xs, w, seed, "noise")
        if self.distractors > 0:
            ys = torch.cat([distracted(ys[:, :n], self.distractors, seed), ys[:, n:]], dim=1)
        return Prompts(xs=xs, ys=ys, w=w, n_queries=n_queries, input_map=maps)

    @property
    def is_plain(self) -> bool:
        """Whether inputs and hidden weights, independent numbers times a scale, are all there is to a prompt."""
        return self == LinearRegression(
            dim=self.dim,
            n_points=self.n_points,
            inputs=self.inputs,
            input_scale=self.input_scale,
            weight_scale=self.weight_scale,
        )

    def fill(self, xs: Float[Tensor, "prompt point dim"], ys: Float[Tensor, "prompt point"], seed: int = 0) -> None:
        """Write what `sample` draws into given memory, which is contiguous, for as many prompts as it holds.

        Raises ValueError for a task that is not plain (see `is_plain`), and for values that are not finite.
        """
        if not self.is_plain:
            raise ValueError(f"Only plain prompts are drawn in place, and these take more than that; sample {self}.")
        fill_inputs(self.inputs, xs, make_generator(seed, "inputs"))
        if self.input_scale != 1:
            xs *= self.input_scale
        w = self._draw_weights(len(xs), seed)
        torch.bmm(xs, w[..., None], out=ys[..., None])
        if not ys.sum().isfinite():  # as it is where an input or a weight is not
            Prompts(xs=xs, ys=ys, w=w)  # raises, and says what is not finite

    def requery(self, prompts: Prompts, n_queries: int, seed: int = 0) -> Prompts:
        """The same contexts and hidden weights with ``n_queries`` fresh queries each, under the task's law of queries.

        Raises ValueError for prompts without hidden weights, whose answers nobody knows; for a task of normalised
        contexts or of subspaces, prompts that do not say what to divide their queries by or where these lie; and for
        contexts that leave no query of the law, as too many examples do where it is to be orthogonal to them.
        """
        if prompts.w is None:
            raise ValueError(
                "New queries need the hidden weights to be answered, and these prompts have none (`w` is None). "
                "Sample the prompts from the task, or give as many queries per prompt as the analysis needs."
            )
        if prompts.input_map is None and (self.normalize_context or self.subspace):
            must = (
                "be divided by what their context was divided by"
                if self.normalize_context
                else "lie in the subspace of their context"
            )
            raise ValueError(
                f"New queries must {must}, and these prompts do not say (`input_map` is None). Sample the prompts from "
                "the task, or give as many queries per prompt as the analysis needs."
            )
        check_queries(self.query, prompts.n_examples, self.subspace or self.dim)
        raw = draw_inputs(self.inputs, (len(prompts), n_queries, self.dim), make_generator(seed, "more inputs"))
        fresh = self._shaped(raw, prompts.input_map).to(prompts.xs)
        context = prompts.xs[:, : prompts.n_examples]
        xs = place_queries(self.query, context, fresh, seed, "more queries").to(prompts.xs)
        return prompts.with_queries(xs, self._answer(xs, prompts.w, seed, "more noise"))

    def _maps(self, context: Tensor, seed: int) -> Float[Tensor, "prompt dim dim"] | None:
        """What the inputs are multiplied by, for these isotropic inputs of the examples; None for the identity."""
        maps = input_maps(self.covariance, self.dim, len(context), seed)
        if self.subspace:
            onto = subspace_maps(self.subspace, self.dim, len(context), seed)
            maps = onto if maps is None else maps @ onto
        return normalized(maps, context) if self.normalize_context else maps

    def _shaped(self, raw: Tensor, maps: Tensor | None) -> Float[Tensor, "prompt point dim"]:
        shaped = raw if maps is None else raw @ maps.to(raw)
        return shaped if self.input_scale == 1 else self.input_scale * shaped

    def _placed(self, context: Tensor, fresh: Tensor, seed: int) -> Float[Tensor, "prompt point dim"]:
        """Examples in their orthants, and queries where their law wants them."""
        context = in_one_orthant(context, seed) if self.orthants else context
        queries = place_queries(self.query, context, fresh, seed, "queries").to(context)
        return torch.cat([context, queries], dim=1)

    def _draw_weights(self, n_prompts: int, seed: int) -> Float[Tensor, "prompt dim"]:
        w = self.weight_scale * torch.randn(n_prompts, self.dim, generator=make_generator(seed, "weights"))
        if not self.sparsity:
            return w
        return w * choose(self.sparsity, (n_prompts, self.dim), make_generator(seed, "places of the weights"))

    def _answer(self, xs: Tensor, w: Tensor, seed: int, stream: str) -> Float[Tensor, "prompt point"]:
        ys = torch.einsum("ptd,pd->pt", xs, w)
        if self.noise_std > 0:
            noise = torch.randn(ys.shape, generator=make_generator(seed, stream))
            ys = ys + self.noise_std * noise.to(ys)
        return ys
