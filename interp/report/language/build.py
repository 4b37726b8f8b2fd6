"""From a language model to its report."""

import time
from collections.abc import Callable

from transformer_lens.model_bridge import TransformerBridge

from interp._progress import track
from interp._records import to_record
from interp.attribution.language import study_heads
from interp.models.folders import describe_model
from interp.models.language import evaluation_sequences
from interp.report.chapter import Chapter, count_of
from interp.report.document import Report
from interp.report.language.carried import write_carried
from interp.report.language.formed import write_formed
from interp.report.language.heads import write_heads
from interp.report.language.learned import write_repeats
from interp.report.language.needed import write_needed
from interp.report.language.options import LanguageReportOptions
from interp.report.provenance import describe_environment, describe_origin


def build_language(
    bridge: TransformerBridge,
    *,
    options: LanguageReportOptions | None = None,
    command: str = "interp.report.build_language",
) -> Report:
    """Analyse a language model: which heads move tokens, what they carry, what breaks without them, when they formed.

    ``command`` is noted in the provenance. Raises ValueError for models whose heads cannot be read and for sequences
    beyond the model's context.
    """
    options = options or LanguageReportOptions()
    began = time.monotonic()
    n = options.n_sequences
    study = study_heads(bridge, n_sequences=n, period=options.period, seed=options.seed)
    # The study found heads on the first half of these sequences and intervened on the second; so does the report.
    both = evaluation_sequences(bridge, n_sequences=2 * n, period=options.period, seed=options.seed)
    finding, testing = both[:n], both[n:]
    writers: tuple[Callable[[], Chapter | None], ...] = (
        lambda: write_repeats(bridge, finding, study),
        lambda: write_heads(study),
        lambda: write_carried(study),
        lambda: write_needed(bridge, finding, testing, study),
        lambda: write_formed(bridge, finding, study),
    )
    chapters: list[Chapter] = []
    with track("report", len(writers)) as tracker:
        for write in writers:
            chapter = write()
            chapters += [] if chapter is None else [chapter]
            tracker.advance()
    cfg = bridge.cfg
    ours = hasattr(bridge, "token_config")
    summary = (
        f"a language model of {count_of(cfg.n_layers, 'layer')}, {count_of(cfg.n_heads, 'head')} each, width "
        f"{cfg.d_model}, with {cfg.d_vocab} tokens and a context of {cfg.n_ctx}."
    )
    return Report(
        model=describe_origin(
            describe_model(bridge),
            summary,
            to_record(bridge.token_config) if ours else None,
            to_record(bridge.task) if ours else None,
        ),
        environment=describe_environment(
            command,
            began,
            next(bridge.parameters()).device,
            sequences=f"{n} to find heads on, {n} to confirm them on",
            period=options.period,
            sequence_seed=options.seed,
        ),
        findings=tuple(finding for chapter in chapters for finding in chapter.findings),
        tables={name: table for chapter in chapters for name, table in chapter.tables.items()},
        sections=tuple(chapter.section for chapter in chapters),
    )
