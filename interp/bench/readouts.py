"""Readouts of all layers in closed form, against one readout per layer trained by Adam on the frozen model."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from interp._seeds import derive_seed
from interp.bench.comparison import Comparison, require_agreement
from interp.bench.options import BenchOptions
from interp.bench.plain_readouts import PlainReadout, train_on_states, train_on_the_model
from interp.bench.timing import cpu_threads, side_by_side
from interp.matching.readouts import layer_states, problems_of
from interp.models.loading import load_regression
from interp.models.regressor import RegressionModel
from interp.tasks import Prompts
from probes import LinearProbes, fit_on_prompts

REQUIRED_RATIO = 50.0
TOLERANCE = 0.01
"""How much higher than the trained readouts' our held-out error may be, as a share of it: sampling noise."""


@dataclass(frozen=True, kw_only=True)
class Workload:
    """What is read, and how long Adam takes over it."""

    model: str = "garg-tiny"
    n_prompts: int = 2048
    """Prompts that the closed form is fitted to; Adam draws batches of its own."""
    batch_size: int = 64
    n_steps: int = 2000
    """Updates of each readout (Fu et al. 2023 take 500 000)."""
    timed_steps: int = 20
    """Updates that are timed, per layer, and scaled to all."""
    lr: float = 1e-2


def compare(options: BenchOptions, workload: Workload | None = None) -> list[Comparison]:
    """Seconds for the readouts of all layers, on one CPU thread, the model's passes included.

    Ours keeps moments of every layer's states from one pass over the prompts and solves for all penalties. The plain
    way runs the frozen model on a new batch at every update of every layer's readout; a sample of its updates is timed
    and scaled. Raises ValueError where our held-out error is higher than the trained readouts' at any layer, by more
    than `TOLERANCE`.
    """
    workload = workload or Workload()
    model = load_regression(workload.model).to(options.device)
    prompts, held_out = (
        model.task.sample(workload.n_prompts, seed=derive_seed(0, name)) for name in ("fit", "held out")
    )
    n_layers = model.cfg.n_layers + 1
    with cpu_threads(1):
        excess = _excess_error(model, prompts, held_out, workload)
        require_agreement("The held-out error of the closed form and that of trained readouts", excess, TOLERANCE)
        seconds = side_by_side(
            {
                "ours": lambda: read_all_layers(model, prompts),
                "plain": lambda: [
                    train_on_the_model(
                        model, layer, steps=workload.timed_steps, batch_size=workload.batch_size, lr=workload.lr
                    )
                    for layer in range(n_layers)
                ],
            },
            options.repeats,
            options.device,
            "readouts",
        )
    scale = workload.n_steps / workload.timed_steps
    return [
        Comparison(
            part="readouts",
            unit="model",
            reference_name="Adam",
            ours_runs=seconds["ours"],
            reference_runs=tuple(scale * run for run in seconds["plain"]),
            required_ratio=REQUIRED_RATIO,
            largest_difference=excess,
            device=options.device.type,
            n_threads=1,
            note=(
                f"{n_layers} layers of {workload.model}, {workload.n_prompts} prompts in closed "
                f"form against {workload.n_steps} updates on batches of {workload.batch_size} for each layer, of which "
                f"{workload.timed_steps} were timed and scaled; the difference is the largest excess of our held-out "
                "error over theirs, as a share, below 0 where ours is lower at every layer"
            ),
        )
    ]


def read_all_layers(model: RegressionModel, prompts: Prompts) -> LinearProbes:
    """Readouts of y from every layer at every predicted point, in closed form, from one pass of the model."""
    states = layer_states(model, prompts)
    return fit_on_prompts(states, problems_of(model, prompts).targets[..., None].to(states.device))


def _excess_error(model: RegressionModel, prompts: Prompts, held_out: Prompts, workload: Workload) -> float:
    """The largest excess of our held-out error over the trained readouts', as a share of theirs, over the layers."""
    targets = problems_of(model, held_out).targets.to(next(model.parameters()).device)
    there = layer_states(model, held_out)
    ours = _error(read_all_layers(model, prompts)(there)[..., 0], targets)
    states, ys = layer_states(model, prompts), problems_of(model, prompts).targets.to(there)
    readouts = [
        train_on_states(states[layer], ys, steps=workload.n_steps, batch_size=workload.batch_size, lr=workload.lr)
        for layer in range(len(states))
    ]
    theirs = _error(
        torch.stack([_read(readout, state) for readout, state in zip(readouts, there, strict=True)]), targets
    )
    return float((ours / theirs - 1).max())


@torch.no_grad()
def _read(readout: PlainReadout, states: Tensor) -> Tensor:
    return readout(states)


def _error(answers: Float[Tensor, "layer prompt column"], targets: Float[Tensor, "prompt column"]) -> Tensor:
    return (answers.double() - targets.double()).square().mean((1, 2))
