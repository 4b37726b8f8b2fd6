"""From a model to its report."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd
import torch

from interp._progress import track
from interp._records import to_record
from interp.matching.families import DEFAULT_FAMILIES
from interp.matching.memory import shared_memory
from interp.matching.readouts import ask_many_queries
from interp.models.folders import describe_model
from interp.models.lstm import RegressionLSTM
from interp.models.protocol import HookedRegressor, require_regressor
from interp.models.regressor import RegressionModel
from interp.models.transformer import RegressionTransformer
from interp.report.algorithm import write_algorithm
from interp.report.chapter import Chapter, count_of
from interp.report.copying import write_copying
from interp.report.document import Report
from interp.report.layers import write_layers
from interp.report.learned import write_learned
from interp.report.provenance import describe_environment, describe_origin
from interp.report.tokens import write_tokens
from interp.report.training import write_training
from interp.tasks import Prompts

LEAST_PROMPTS = 16


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What a report is made with. Raises ValueError for fewer than 16 prompts, too few to select and estimate on."""

    n_prompts: int = 512
    """Contexts, half to select on and half to estimate on."""
    n_queries: int = 32
    """Queries asked of each context, for models that predict the query alone."""
    seed: int = 0
    solvers: tuple[str, ...] = DEFAULT_FAMILIES
    """Candidates of the match: names, or names with fixed parameters such as ``gd:lr=0.02,normalize=sum``."""

    def __post_init__(self) -> None:
        _require_prompts(self.n_prompts)


def build(
    model: HookedRegressor,
    prompts: Prompts | None = None,
    *,
    options: ReportOptions | None = None,
    command: str = "interp.report.build",
) -> Report:
    """Analyse a model and gather what was found, with evidence.

    ``prompts`` are drawn from the model's task unless given. ``command`` is noted in the provenance. Raises ValueError
    for prompts that do not fit the model or are too few, and for what is no model of in-context regression: a language
    model has `build_language`.
    """
    require_regressor(model)
    options = options or ReportOptions()
    began = time.monotonic()
    drawn = prompts is None
    if prompts is None:
        prompts = model.task.sample(options.n_prompts, seed=options.seed)
    _require_prompts(len(prompts))
    asked = ask_many_queries(model, prompts, options.n_queries, options.seed)
    single = prompts if prompts.n_queries == 1 else prompts.one_query_each()[:: prompts.n_queries]
    writers: tuple[Callable[[], Chapter | None], ...] = (
        lambda: write_learned(model, asked),
        lambda: write_training(model, asked),
        lambda: write_layers(model, asked, options.seed),
        lambda: write_algorithm(model, asked, options.seed, options.solvers),
        lambda: write_tokens(model, single, asked, options.seed),
        lambda: write_copying(model, single, _table("ablation", chapters), options.seed),
    )
    chapters: list[Chapter] = []
    with shared_memory(), track("report", len(writers)) as tracker:
        for write in writers:
            chapter = write()
            chapters += [] if chapter is None else [chapter]
            tracker.advance()
    tables = {name: table for chapter in chapters for name, table in chapter.tables.items()}
    environment = describe_environment(
        command,
        began,
        _device_of(model),
        prompts=len(prompts),
        queries_per_prompt=asked.n_queries,
        prompt_seed=options.seed if drawn else "prompts were given",
    )
    return Report(
        model=_describe(model),
        environment=environment,
        findings=tuple(finding for chapter in chapters for finding in chapter.findings),
        tables=tables,
        sections=tuple(chapter.section for chapter in chapters),
    )


def _table(name: str, chapters: Sequence[Chapter]) -> pd.DataFrame | None:
    """A table of the chapters written so far, if one of them has it."""
    return next((chapter.tables[name] for chapter in chapters if name in chapter.tables), None)


def _require_prompts(count: int) -> None:
    if count < LEAST_PROMPTS:
        raise ValueError(f"A report needs at least {LEAST_PROMPTS} prompts to select and to estimate on, got {count}.")


def _describe(model: HookedRegressor) -> dict[str, Any]:
    cfg, ours = model.cfg, isinstance(model, RegressionModel)
    summary = (
        f"{_layers_of(model)}, width {cfg.d_model}, on in-context regression with inputs of dim {model.task.dim} and "
        f"up to {model.task.n_points - 1} examples."
    )
    config, task = (to_record(cfg), to_record(model.task)) if ours else (None, None)
    return describe_origin(describe_model(model), summary, config, task)


def _layers_of(model: HookedRegressor) -> str:
    """What the layers are, in words."""
    cfg = model.cfg
    if isinstance(model, RegressionLSTM):
        return count_of(cfg.n_layers, "LSTM layer")
    layers, heads = count_of(cfg.n_layers, "layer"), count_of(cfg.n_heads, "head")
    if isinstance(model, RegressionTransformer):
        layers += " of " + "/".join(dict.fromkeys(model.cfg.attention_kinds)) + " attention"
    return f"{layers}, {heads} each" if cfg.n_heads else layers


def _device_of(model: HookedRegressor) -> torch.device:
    return next(model.parameters()).device if isinstance(model, torch.nn.Module) else torch.device("cpu")
