"""Models of one architecture, trained as one."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value, vmap

from interp.models.compiled import compiler_options
from interp.models.folders import named_parameters
from interp.models.regressor import RegressionModel
from interp.training.loop import make_optimizer, trained_parameters
from interp.training.objective import regression_loss
from interp.training.recipe import Recipe


@dataclass(frozen=True)
class Member:
    """One model of a stack, with its optimiser."""

    model: RegressionModel
    optimizer: torch.optim.Optimizer

    @classmethod
    def of(cls, model: RegressionModel, recipe: Recipe) -> "Member":
        """The model with the recipe's optimiser, its frozen parameters frozen."""
        return cls(model, make_optimizer(trained_parameters(model, recipe), recipe))


class Stack:
    """Several models as one: every weight, and every number of the optimiser, has a first axis over members.

    Members meet in no operation, so that each is updated as it would be alone, within the rounding of float32.
    """

    def __init__(self, members: Sequence[Member], recipe: Recipe) -> None:
        self.recipe = recipe
        self._model = members[0].model
        each = [named_parameters(member.model) for member in members]
        stacked = {name: torch.stack([own[name].detach() for own in each]) for name in each[0]}
        learns = {name for name, parameter in each[0].items() if parameter.requires_grad}
        self._frozen = {name: values for name, values in stacked.items() if name not in learns}
        states = {
            name: [member.optimizer.state[own[name]] for member, own in zip(members, each, strict=True)]
            for name in learns
        }
        self._set(
            {name: values for name, values in stacked.items() if name in learns},
            {name: _stacked_state(own) for name, own in states.items()},
        )
        self._losses_and_gradients = vmap(grad_and_value(self._loss))

    def __len__(self) -> int:
        return len(next(iter(self._trained.values())))

    def compile(self) -> None:
        """Compile losses and gradients, as `compile_model` does a model."""
        device, width = next(iter(self._trained.values())).device, self._model.cfg.d_model
        self._losses_and_gradients = torch.compile(self._losses_and_gradients, options=compiler_options(device, width))

    def gradients(
        self, tokens: Float[Tensor, "member prompt pos d_token"], ys: Float[Tensor, "member prompt point"]
    ) -> tuple[dict[str, Tensor], Float[Tensor, " member"]]:
        """Gradients of every trained weight, and the losses."""
        with torch.no_grad():
            weights = {name: parameter.detach() for name, parameter in self._trained.items()}
            gradients, losses = self._losses_and_gradients(weights, self._frozen, tokens, ys)
        return gradients, losses

    def update(self, gradients: dict[str, Tensor], lr: float) -> None:
        """Clip each member's gradients by their own norm, and take a step of the optimiser."""
        if self.recipe.clip_norm is not None:
            norms = torch.stack([own.flatten(1).norm(dim=1) for own in gradients.values()]).norm(dim=0)
            shares = (self.recipe.clip_norm / (norms + 1e-6)).clamp(max=1.0)  # as torch's clip_grad_norm_
            for own in gradients.values():
                own.mul_(shares.view(-1, *[1] * (own.ndim - 1)))
        for name, parameter in self._trained.items():
            parameter.grad = gradients[name].contiguous()  # the fused optimiser reads memory in the weights' order
        for group in self._optimizer.param_groups:
            group["lr"] = lr
        self._optimizer.step()

    def weights_of(self, member: int) -> dict[str, Tensor]:
        """A member's weights by name."""
        return {name: values[member].detach() for name, values in {**self._trained, **self._frozen}.items()}

    def state_of(self, member: int) -> dict[str, dict[str, Tensor]]:
        """What the optimiser holds of a member, by name of the parameter."""
        return self._states_at(member)

    def keep(self, members: Sequence[int]) -> None:
        """Leave all other members out."""
        chosen = list(members)
        self._frozen = {name: values[chosen] for name, values in self._frozen.items()}
        states = self._states_at(chosen)
        self._set({name: values.detach()[chosen] for name, values in self._trained.items()}, states)

    def _states_at(self, members: int | list[int]) -> dict[str, dict[str, Tensor]]:
        """The optimiser's state of these members, by name of the parameter; the number of updates is everyone's."""
        return {
            name: {
                key: values[members] if values.ndim else values for key, values in self._optimizer.state[own].items()
            }
            for name, own in self._trained.items()
        }

    def _set(self, trained: dict[str, Tensor], states: dict[str, dict[str, Tensor]]) -> None:
        self._trained = {name: nn.Parameter(values) for name, values in trained.items()}
        self._optimizer = make_optimizer(list(self._trained.values()), self.recipe)
        for name, parameter in self._trained.items():
            if states[name]:
                self._optimizer.state[parameter] = states[name]

    def _loss(self, trained: dict[str, Tensor], frozen: dict[str, Tensor], tokens: Tensor, ys: Tensor) -> Tensor:
        return regression_loss(functional_call(self._model, {**trained, **frozen}, (tokens,)), ys)


def _stacked_state(states: Sequence[dict[str, Any]]) -> dict[str, Tensor]:
    """The optimiser's state of one parameter over members; the number of updates is the same for all."""
    return {
        key: torch.stack([own[key] for own in states]) if values.ndim else values for key, values in states[0].items()
    }
