"""Training one layer of linear attention as one would write it down in plain PyTorch, without hooks."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Self

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interp.models.transformer import RegressionTransformer
from interp.training import Recipe

Batch = tuple[Float[Tensor, "prompt pos d_token"], Float[Tensor, " prompt"]]
"""Tokens, and the query's target."""


class PlainLinearAttention(nn.Module):
    """One head, in which the query attends to the context; predicts minus the query's last coordinate."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.W_Q = nn.Parameter(torch.empty(width, width))
        self.W_K = nn.Parameter(torch.empty(width, width))
        self.W_V = nn.Parameter(torch.empty(width, width))
        self.W_O = nn.Parameter(torch.empty(width, width))

    @classmethod
    def like(cls, model: RegressionTransformer) -> Self:
        """With the weights of a model of one layer and one head."""
        plain = cls(model.cfg.d_model).to(model.W_Q.device)
        with torch.no_grad():
            for name, parameter in plain.named_parameters():
                parameter.copy_(getattr(model, name)[0, 0])
        return plain

    def forward(self, tokens: Float[Tensor, "prompt pos d_token"]) -> Float[Tensor, " prompt"]:
        """Predictions of the query's y, of which only the query's own output is computed."""
        context, query = tokens[:, :-1], tokens[:, -1:]
        scores = (query @ self.W_Q) @ (context @ self.W_K).transpose(1, 2)
        out = query + scores @ (context @ self.W_V) @ self.W_O
        return -out[:, 0, -1]


def plain_batches(recipe: Recipe, seed: int, device: torch.device) -> Iterator[Batch]:
    """Batches for ever: uniform inputs, normal weights, no noise, drawn on the device from one generator."""
    task = recipe.task
    generator = torch.Generator(device).manual_seed(seed)
    while True:
        xs = torch.rand(recipe.batch_size, task.n_points, task.dim, generator=generator, device=device) - 0.5
        w = torch.randn(recipe.batch_size, task.dim, generator=generator, device=device)
        ys = torch.einsum("pti,pi->pt", xs, w)
        tokens = torch.cat([xs, ys[..., None]], dim=-1)
        tokens[:, -1, -1] = 0
        yield tokens, ys[:, -1]


def train_plainly(model: nn.Module, recipe: Recipe, batches: Iterable[Batch]) -> None:
    """``recipe.steps`` updates with the recipe's loss, clipping, optimiser and learning rates."""
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.lr, betas=recipe.betas, weight_decay=recipe.weight_decay, fused=True
    )
    for step, (tokens, targets) in enumerate(islice(batches, recipe.steps)):
        loss = 0.5 * (model(tokens) - targets).square().mean()
        optimizer.zero_grad()
        loss.backward()
        if recipe.clip_norm is not None:
            torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        for group in optimizer.param_groups:
            group["lr"] = recipe.lr_at(step)
        optimizer.step()
