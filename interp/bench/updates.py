"""Updates of a network on one batch, and whether two networks are the same function with the same gradients."""

from collections.abc import Callable, Mapping
from copy import deepcopy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interp.bench.comparison import require_agreement
from interp.models.build import build_model
from interp.models.transformer import RegressionTransformer
from interp.training import Recipe, get_recipe

TOLERANCE = 1e-5
"""Largest difference allowed between predictions, and between gradients, of two networks in double precision."""


@dataclass(frozen=True, kw_only=True)
class Batch:
    """A recipe's untrained model, and what it is to learn from one batch."""

    recipe: Recipe
    model: RegressionTransformer
    tokens: Float[Tensor, "prompt pos d_token"]
    targets: Float[Tensor, "prompt point"]

    @classmethod
    def of(cls, recipe: str, n_prompts: int, device: torch.device) -> "Batch":
        """Draw ``n_prompts`` of a recipe's task for its model with initial weights of seed 0."""
        found = get_recipe(recipe)
        model = build_model(found.model, found.task, seed=0).to(device)
        prompts = model.task.sample(n_prompts, seed=0)
        tokens = model.tokens(prompts)
        return cls(
            recipe=found, model=model, tokens=tokens, targets=prompts.ys[:, -len(model.predicted_points) :].to(tokens)
        )

    def loss(self, model: nn.Module) -> Float[Tensor, ""]:
        """Half the mean squared error of the model's predictions, as in training."""
        return 0.5 * (model(self.tokens).view_as(self.targets) - self.targets).square().mean()

    def predicting(self, model: nn.Module) -> Callable[[], object]:
        """A pass of the model without gradients."""

        def predict() -> Tensor:
            with torch.no_grad():
                return model(self.tokens)

        return predict

    def updating(self, model: nn.Module, times: int) -> Callable[[], object]:
        """So many updates of the model: loss, gradients, and the optimiser of `interp.training.train`."""
        recipe = self.recipe
        optimizer = torch.optim.AdamW(
            model.parameters(), lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
        )

        def update() -> None:
            for _ in range(times):
                loss = self.loss(model)
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()

        return update

    def require_same(
        self, other: nn.Module, gradients: Callable[[RegressionTransformer], Mapping[str, Tensor]], name: str
    ) -> float:
        """The largest difference of the other network's predictions and gradients from the model's.

        ``gradients`` gives the model's by the names of the other's parameters. Both are copied to double precision
        first, so that only another function differs. Raises ValueError above `TOLERANCE`, and for a parameter of either
        that has no gradient.
        """
        exact = Batch(
            recipe=self.recipe,
            model=deepcopy(self.model).double(),
            tokens=self.tokens.double(),
            targets=self.targets.double(),
        )
        plain = deepcopy(other).double()
        ours, theirs = (network(exact.tokens).detach().view_as(exact.targets) for network in (exact.model, plain))
        difference = float((ours - theirs).abs().max())
        for network in (exact.model, plain):
            exact.loss(network).backward()
        expected = gradients(exact.model)
        for path, parameter in plain.named_parameters():
            if parameter.grad is None:
                raise ValueError(f"Parameter {path} of {name} takes no part in its predictions; leave it out.")
            difference = max(difference, float((parameter.grad - expected[path]).abs().max()))
        return require_agreement(f"Predictions and gradients of our model and of {name}", difference, TOLERANCE)
