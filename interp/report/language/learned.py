"""What a language model makes of tokens that come again."""

import numpy as np
from transformer_lens.model_bridge import TransformerBridge

from interp.attribution.language import HeadStudy
from interp.attribution.language.losses import parts_of
from interp.attribution.language.observe import observe
from interp.models.language_twins import untrained_language_twin
from interp.report.chapter import Chapter
from interp.report.document import Figure, Section
from interp.report.finding import Finding
from interp.report.language.figures import draw_positions
from interp.report.render import to_svg
from interp.tasks import TokenSequences
from probes import Interval, bootstrap_ratio

N_TWINS = 3


def write_repeats(bridge: TransformerBridge, sequences: TokenSequences, study: HeadStudy) -> Chapter:
    """Loss by position, and how much lower it is on tokens that can be looked up."""
    ours = _ratio(bridge, sequences)
    twins = [_ratio(untrained_language_twin(bridge, seed), sequences) for seed in range(N_TWINS)]
    below = ours.high < min([1.0, *(twin.low for twin in twins)])
    repeats = study.repeats.set_index("part")["loss"]
    finding = Finding(
        id="learned.repeats",
        claim="It predicts random tokens better when they come again: it copies from its context",
        statistic="loss_on_repeats_relative_to_the_first_pass",
        estimate=ours.estimate,
        ci=(ours.low, ours.high),
        controls={"random_init": float(np.mean([twin.estimate for twin in twins]))},
        verdict="supported" if below else "refuted" if ours.low > 1.0 else "inconclusive",
        reason="nothing but the tokens before it predicts a random token; supported when the interval lies below 1 and "
        "below every untrained twin's",
        details={
            "loss on the first pass": float(repeats["first"]),
            "loss on repeats": float(repeats["repeat"]),
            "guessing": float(np.log(bridge.cfg.d_vocab)),
        },
    )
    figure = Figure(
        title="Loss by position",
        caption=f"Next-token loss on {len(sequences)} sequences of random tokens that come twice, with 95 % intervals "
        "over sequences. Shaded: the tokens that can be looked up in the first pass. Dashed: guessing among all tokens "
        "of the vocabulary.",
        svg=to_svg(draw_positions(study.positions, bridge.cfg.d_vocab)),
        table="positions",
    )
    return Chapter(
        section=Section(
            title="What it makes of repeats",
            introduction="Random tokens cannot be predicted, unless they have come before.",
            figures=(figure,),
            tables=("repeats",),
        ),
        findings=(finding,),
        tables={"positions": study.positions, "repeats": study.repeats},
    )


def _ratio(bridge: TransformerBridge, sequences: TokenSequences) -> Interval:
    parts = parts_of(observe(bridge, sequences), sequences)
    return bootstrap_ratio(parts["repeat"], parts["first"])
