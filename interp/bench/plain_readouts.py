"""A readout per layer as one would train it: Adam on the frozen model, batch by batch."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from interp.models.regressor import RegressionModel


class PlainReadout(nn.Module):
    """One affine map from a layer's state to a prediction."""

    def __init__(self, width: int, generator: torch.Generator) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(width, generator=generator) / width)
        self.bias = nn.Parameter(torch.zeros(1))

    def forward(self, states: Float[Tensor, "... d_model"]) -> Float[Tensor, " ..."]:
        """The prediction."""
        return states @ self.weight + self.bias


def train_on_the_model(model: RegressionModel, layer: int, *, steps: int, batch_size: int, lr: float) -> PlainReadout:
    """Train the readout of one layer: at each update new prompts, a pass of the frozen model, a step of Adam."""
    device = next(model.parameters()).device
    readout = PlainReadout(model.cfg.d_model, torch.Generator().manual_seed(layer)).to(device)
    optimizer = torch.optim.Adam(readout.parameters(), lr=lr)
    name = f"blocks.{layer - 1}.hook_resid_post" if layer else "blocks.0.hook_resid_pre"
    for step in range(steps):
        prompts = model.task.sample(batch_size, seed=step)
        tokens = model.tokens(prompts)
        with torch.no_grad():
            _, cache = model.run_with_cache(tokens, names_filter=name)
        states = cache[name][:, model.prediction_positions(tokens.shape[1])]
        _update(readout, optimizer, states, prompts.ys.to(states))
    return readout


def train_on_states(
    states: Float[Tensor, "prompt column d_model"],
    targets: Float[Tensor, "prompt column"],
    *,
    steps: int,
    batch_size: int,
    lr: float,
) -> PlainReadout:
    """The same from states that were kept, in batches drawn with replacement; its rate falls to 0 for a fair end."""
    generator = torch.Generator().manual_seed(0)
    readout = PlainReadout(states.shape[-1], generator).to(states.device)
    optimizer = torch.optim.Adam(readout.parameters(), lr=lr)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    for _ in range(steps):
        drawn = torch.randint(len(states), (batch_size,), generator=generator).to(states.device)
        _update(readout, optimizer, states[drawn], targets[drawn])
        schedule.step()
    return readout


def _update(readout: PlainReadout, optimizer: torch.optim.Optimizer, states: Tensor, targets: Tensor) -> None:
    loss = (readout(states) - targets).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
