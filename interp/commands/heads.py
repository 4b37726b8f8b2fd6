"""``interp heads``."""

from collections.abc import Sequence
from typing import Annotated

import tyro

from interp.attribution import ablation_effects, score_heads
from interp.commands._common import (
    CsvPath,
    Device,
    Force,
    JsonPath,
    Model,
    Seed,
    check_table_places,
    load_on,
    print_table,
    write_tables,
)


def heads(
    model: Model,
    n_prompts: Annotated[int, tyro.conf.arg(help="Number of prompts.")] = 512,
    draws: Annotated[int, tyro.conf.arg(help="Random perturbations that each ablation is held against.")] = 20,
    seed: Seed = 0,
    device: Device = "cpu",
    out: CsvPath = None,
    json: JsonPath = None,
    force: Force = False,
) -> None:
    """Score where attention heads look, and measure what breaks without them."""
    check_table_places(out, json, force=force)
    subject = load_on(model, device)
    prompts = subject.task.sample(n_prompts, seed=seed)
    scores = score_heads(subject, prompts)
    effects = ablation_effects(subject, prompts, n_draws=draws, seed=seed)
    write_tables({"scores": scores, "ablation": effects}, out, json)
    print_table(scores, "Share of attention")
    print_table(effects, "Rise of the loss without a head")


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""
    tyro.cli(heads, prog="interp heads", args=arguments)
