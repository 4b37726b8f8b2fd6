"""``interp heads``."""

from collections.abc import Sequence
from typing import Annotated

import tyro

from interp.commands._common import (
    CsvPath,
    Device,
    Force,
    JsonPath,
    Model,
    Period,
    Seed,
    Sequences,
    check_outputs,
    load_any_on,
    refuse_options,
)
from interp.commands.regression_heads import regression_heads
from interp.models.regressor import RegressionModel

N_PROMPTS, N_SEQUENCES, PERIOD = 512, 8, 50
"""What options are unless they are given."""


def heads(
    model: Model,
    n_prompts: Annotated[int, tyro.conf.arg(help="Models of in-context regression: number of prompts.")] = N_PROMPTS,
    n_sequences: Sequences = N_SEQUENCES,
    period: Period = PERIOD,
    draws: Annotated[int, tyro.conf.arg(help="Random perturbations that each ablation is held against.")] = 20,
    effects: Annotated[
        bool, tyro.conf.arg(help="Language models: ablate labelled heads and cut edges, which takes longest.")
    ] = True,
    seed: Seed = 0,
    device: Device = "cpu",
    out: CsvPath = None,
    json: JsonPath = None,
    force: Force = False,
) -> None:
    """Score where attention heads look, and measure what breaks without them."""
    check_outputs(out, json, force=force)
    subject = load_any_on(model, device)
    if isinstance(subject, RegressionModel):
        of_language = {"--n-sequences": n_sequences != N_SEQUENCES, "--period": period != PERIOD}
        refuse_options("models of in-context regression", {**of_language, "--no-effects": not effects})
        regression_heads(subject, n_prompts=n_prompts, draws=draws, seed=seed, out=out, json=json)
        return
    refuse_options("language models", {"--n-prompts": n_prompts != N_PROMPTS})
    from interp.commands.language_heads import language_heads  # takes seconds to import

    language_heads(
        subject,
        n_sequences=n_sequences,
        period=period,
        draws=draws,
        effects=effects,
        seed=seed,
        out=out,
        json=json,
    )


def run(arguments: Sequence[str]) -> None:
    """Parse the arguments and run."""
    tyro.cli(heads, prog="interp heads", args=arguments)
