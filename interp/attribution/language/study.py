"""All that is measured about the heads of one language model."""

from dataclasses import dataclass, fields

import pandas as pd
from transformer_lens.model_bridge import TransformerBridge

from interp._progress import track
from interp.attribution.language.ablation import ablation_of_heads
from interp.attribution.language.composition import score_composition
from interp.attribution.language.controls import N_DRAWS
from interp.attribution.language.copying import score_copying
from interp.attribution.language.edge_effects import edge_effects
from interp.attribution.language.labels import label_language_heads, labelled_heads
from interp.attribution.language.losses import table_of_positions, table_of_repeats
from interp.attribution.language.observe import check_sequences, observe
from interp.attribution.language.scores import score_language_heads, table_of_scores
from interp.models.language import evaluation_sequences
from interp.models.language_checks import check_language_model
from interp.models.language_twins import untrained_language_twin

N_UNTRAINED = 3
"""Untrained twins whose scores every label is held against."""


@dataclass(frozen=True, kw_only=True)
class HeadStudy:
    """The tables of one study; each is described where it is made."""

    scores: pd.DataFrame
    """`score_language_heads`."""
    labels: pd.DataFrame
    """`label_language_heads`, with all the evidence there is."""
    copying: pd.DataFrame
    """`score_copying`."""
    repeats: pd.DataFrame
    """`repeat_losses`."""
    positions: pd.DataFrame
    """`position_losses`."""
    composition: pd.DataFrame
    """`score_composition` of all three inputs, from heads labelled previous-token to heads labelled induction."""
    ablation: pd.DataFrame | None
    """`ablation_of_heads`, one set for each label; None if effects were not asked for."""
    edges: pd.DataFrame | None
    """`edge_effects`, from heads labelled previous-token to heads labelled induction; None likewise."""
    untrained: pd.DataFrame
    """`score_language_heads` of the untrained twins, with a column seed."""

    @property
    def tables(self) -> dict[str, pd.DataFrame]:
        """The tables that there are, by name."""
        named = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: table for name, table in named.items() if table is not None}


def study_heads(
    bridge: TransformerBridge,
    *,
    n_sequences: int = 8,
    period: int = 50,
    n_untrained: int = N_UNTRAINED,
    n_draws: int = N_DRAWS,
    effects: bool = True,
    seed: int = 0,
) -> HeadStudy:
    """Score and label all heads of a language model, and measure what breaks without those that bear a label.

    Everything runs on sequences of random tokens, each twice ``period`` long (`evaluation_sequences`): scores, labels
    and losses on ``n_sequences``, the effects of interventions on as many others, so that what finds a head does not
    confirm it. Labels are held against ``n_untrained`` untrained twins on the same sequences. ``effects=False`` leaves
    the interventions out, which take by far the most time. Raises ValueError as the functions it calls do.
    """
    check_language_model(bridge)
    both = evaluation_sequences(bridge, n_sequences=2 * n_sequences, period=period, seed=seed)
    finding, testing = both[:n_sequences], both[n_sequences:]
    check_sequences(bridge, finding)
    observed = observe(bridge, finding)
    scores = table_of_scores(observed)
    twins = [scores.iloc[:0].assign(seed=0)]  # the columns, where no twin is asked for
    with track("untrained twins", n_untrained) as tracker:
        for twin_seed in range(n_untrained):
            of_twin = score_language_heads(untrained_language_twin(bridge, twin_seed), finding)
            twins.append(of_twin.assign(seed=twin_seed))
            tracker.advance()
    untrained = pd.concat(twins, ignore_index=True)
    copying = score_copying(bridge, seed=seed)
    sets = labelled_heads(label_language_heads(scores, untrained=untrained))
    senders, receivers = sets.get("previous-token", []), sets.get("induction", [])
    ablation = (
        ablation_of_heads(bridge, testing, sets, reference=finding, n_draws=n_draws, seed=seed) if effects else None
    )
    edges = edge_effects(bridge, testing, senders, receivers, n_draws=n_draws, seed=seed) if effects else None
    return HeadStudy(
        scores=scores,
        labels=label_language_heads(scores, untrained=untrained, copying=copying, ablation=ablation),
        copying=copying,
        repeats=table_of_repeats(observed, finding, bridge.cfg.d_vocab),
        positions=table_of_positions(observed, finding),
        composition=score_composition(bridge, senders, receivers, inputs=("K", "Q", "V")),
        ablation=ablation,
        edges=edges,
        untrained=untrained,
    )
