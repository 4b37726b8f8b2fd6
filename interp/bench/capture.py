"""What looking costs: capturing every layer's stream, and hook points that nobody uses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from interp.bench.comparison import Comparison, require_agreement
from interp.bench.options import BenchOptions
from interp.bench.plain_training import PlainLinearAttention
from interp.bench.plain_transformer import PlainTransformer, plain_weights
from interp.bench.timing import cpu_threads, side_by_side
from interp.bench.updates import Batch
from interp.matching.readouts import layer_states
from interp.models.transformer import RegressionTransformer

CAPTURE_RATIO = 0.87
"""A forward pass over a capture: capturing takes at most 1.15 times as long."""
HOOKS_RATIO = 0.95
TOLERANCE = 1e-4
"""Largest difference allowed between the model's answers and those read from its captured last layer, in float32."""
THREADS = (1, 2)


@dataclass(frozen=True, kw_only=True)
class Case:
    """What is run."""

    recipe: str
    n_prompts: int
    times: int = 1
    """Passes, or updates, of a run: several, where one is over at once."""


CAPTURED = Case(recipe="garg-standard", n_prompts=32, times=2)
UNUSED = (
    Case(recipe="garg-tiny", n_prompts=64, times=5),
    Case(recipe="garg-small", n_prompts=64, times=1),
    Case(recipe="garg-standard", n_prompts=32, times=1),
    Case(recipe="lsa-1layer", n_prompts=2048, times=50),
)


def compare(
    options: BenchOptions, captured: Case = CAPTURED, unused: Sequence[Case] = UNUSED, threads: Sequence[int] = THREADS
) -> list[Comparison]:
    """Seconds per pass, and per update, with one CPU thread and with two.

    A capture is held against a pass of the same model that keeps nothing; a model whose hook points nobody uses,
    against the same network written without them. Raises ValueError where captured and own answers differ, or
    predictions or gradients of the two networks.
    """
    comparisons = [_compare_capture(captured, n_threads, options) for n_threads in threads]
    for case in unused:
        for n_threads in threads:
            comparisons += _compare_hooks(case, n_threads, options)
    return comparisons


def _compare_capture(case: Case, n_threads: int, options: BenchOptions) -> Comparison:
    batch = Batch.of(case.recipe, case.n_prompts, options.device)
    model, prompts = batch.model, batch.model.task.sample(case.n_prompts, seed=0)

    def capture() -> Tensor:
        return layer_states(model, prompts, batch_size=case.n_prompts)

    @torch.no_grad()
    def answer() -> Tensor:
        return model(model.tokens(prompts))

    with cpu_threads(n_threads):
        difference = require_agreement(
            "The model's answers and those read from its captured last layer",
            float((model.decode(capture()[-1]) - answer()).detach().abs().max()),
            TOLERANCE,
        )
        seconds = _seconds(
            {"ours": capture, "plain": answer}, case, options, f"capture of {case.recipe}, {n_threads} threads"
        )
    return Comparison(
        part="capture",
        unit=f"every residual of {case.recipe}",
        reference_name="pass that keeps nothing",
        ours_runs=seconds["ours"],
        reference_runs=seconds["plain"],
        required_ratio=CAPTURE_RATIO,
        largest_difference=difference,
        device=options.device.type,
        n_threads=n_threads,
        note=(
            f"{model.cfg.n_layers + 1} layers at {len(model.predicted_points)} points of {case.n_prompts} prompts; the "
            "difference is between the model's answers and those read from the last layer captured"
        ),
    )


def _compare_hooks(case: Case, n_threads: int, options: BenchOptions) -> list[Comparison]:
    batch = Batch.of(case.recipe, case.n_prompts, options.device)
    plain, weights = _without_hooks(batch.model)
    name = f"{case.recipe}, {n_threads} threads"
    with cpu_threads(n_threads):
        difference = batch.require_same(plain, weights, "the network without hook points")
        passes = _seconds(
            {"ours": batch.predicting(batch.model), "plain": batch.predicting(plain)}, case, options, f"pass of {name}"
        )
        updates = _seconds(
            {"ours": batch.updating(batch.model, 1), "plain": batch.updating(plain, 1)},
            case,
            options,
            f"update of {name}",
        )
    return [
        Comparison(
            part="capture",
            unit=f"{unit} of {case.recipe}",
            reference_name="network without hook points",
            ours_runs=seconds["ours"],
            reference_runs=seconds["plain"],
            required_ratio=HOOKS_RATIO,
            largest_difference=difference,
            device=options.device.type,
            n_threads=n_threads,
            note=(
                f"{what} on one batch of {case.n_prompts} prompts, drawn before; the difference is of predictions and "
                "gradients in double precision"
            ),
        )
        for unit, what, seconds in (
            ("pass", "predictions without gradients", passes),
            ("update", "loss, gradients and fused AdamW", updates),
        )
    ]


def _without_hooks(
    model: RegressionTransformer,
) -> tuple[nn.Module, Callable[[RegressionTransformer], Mapping[str, Tensor]]]:
    """The same network in plain modules, and how to name a model's gradients by its parameters."""
    if model.cfg.mlp == "none":
        return PlainLinearAttention.like(model), _gradients_of_one_layer
    return PlainTransformer.like(model), lambda ours: plain_weights(ours, gradients=True)


def _gradients_of_one_layer(model: RegressionTransformer) -> dict[str, Tensor]:
    attention = model.blocks[0].attn
    return {name: parameter.grad[0] for name, parameter in attention.named_parameters() if parameter.grad is not None}


def _seconds(
    works: Mapping[str, Callable[[], object]], case: Case, options: BenchOptions, what: str
) -> dict[str, tuple[float, ...]]:
    """Seconds per run of every work, each warmed up first and run ``case.times`` times in a repetition."""

    def repeated(work: Callable[[], object]) -> Callable[[], object]:
        return lambda: [work() for _ in range(case.times)]

    for work in works.values():
        work()
    runs = side_by_side({name: repeated(work) for name, work in works.items()}, options.repeats, options.device, what)
    return {name: tuple(run / case.times for run in taken) for name, taken in runs.items()}
