"""Which tokens the model moves, and which heads it needs."""

import numpy as np
import pandas as pd
from torch import Tensor

from interp.attribution import ablation_effects, dependency_profile, score_heads, token_dependencies
from interp.matching.twins import make_twins
from interp.matching.verdict import Verdict
from interp.models.protocol import HookedRegressor
from interp.report.chapter import Chapter
from interp.report.document import Figure, Section
from interp.report.figures import draw_ablation, draw_dependency
from interp.report.finding import Finding
from interp.report.render import to_svg
from interp.tasks import Prompts
from probes import Interval, bootstrap_ratio

TITLE = "Which tokens it moves"
DEPENDENCY_PROMPTS = 64
LAYERS_DRAWN = 4
HEADS_NAMED = 16
"""Most heads that get a finding each; beyond, those whose ablation costs most."""


def write_tokens(model: HookedRegressor, single: Prompts, prompts: Prompts, seed: int) -> Chapter:
    """Dependency maps, and for models with hooked heads their scores and ablations.

    ``single`` holds prompts with one query each, for the maps; ``prompts`` those of the loss.
    """
    norms = token_dependencies(model, single[:DEPENDENCY_PROMPTS]).cpu()
    twin_norms = [token_dependencies(twin, single[:DEPENDENCY_PROMPTS]).cpu() for twin in make_twins(model)]
    maps = norms.mean(1)
    dependency = _tidy_maps(maps)
    profile = pd.concat(
        [dependency_profile(matrix).assign(layer=layer) for layer, matrix in enumerate(maps)], ignore_index=True
    )[["layer", "offset", "dependency", "n_pairs"]]
    drawn = np.unique(np.linspace(1, model.cfg.n_layers, LAYERS_DRAWN).round().astype(int))
    map_figure = Figure(
        title="Which input token moves which position",
        caption="Frobenius norm of the Jacobian of each position's stream with respect to each input token, averaged "
        "over prompts. Row: the position whose state it is; column: the token it depends on. Before the first layer "
        "only the diagonal is not 0; what layers move stands off it. The last row is the query.",
        svg=to_svg(draw_dependency(dependency[dependency["layer"].isin(drawn)])),
        table="token_dependency",
    )
    reach = _reach_finding(norms, twin_norms)
    tables = {"token_dependency": dependency, "dependency_by_offset": profile}
    if not has_hooked_heads(model):
        introduction = (
            "Where information travels between positions. The model's heads are not hooked (attn.hook_pattern, "
            "attn.hook_z and W_O by the canonical names), so nothing is said of them."
        )
        section = Section(
            title=TITLE, introduction=introduction, figures=(map_figure,), tables=("dependency_by_offset",)
        )
        return Chapter(section=section, findings=(reach,), tables=tables)
    effects = ablation_effects(model, prompts, seed=seed)
    ablation_figure = Figure(
        title="What breaks without each head",
        caption="Rise of the loss when a head is silenced (zero), replaced by its mean, and, as control, when a random "
        "vector of the head's own norm is taken away instead (random; the bar spans 95 % of the draws).",
        svg=to_svg(draw_ablation(effects)),
        table="ablation",
    )
    return Chapter(
        section=Section(
            title=TITLE,
            introduction="Where information travels between positions, and which heads carry what the answer needs.",
            figures=(map_figure, ablation_figure),
            tables=("head_scores", "dependency_by_offset"),
        ),
        findings=(reach, *_head_findings(effects)),
        tables={**tables, "head_scores": score_heads(model, single), "ablation": effects},
    )


def has_hooked_heads(model: HookedRegressor) -> bool:
    """Whether heads can be looked at and silenced: pattern and z are hooked, and W_O has TransformerLens's layout."""
    hooks = getattr(model, "hook_dict", {})
    named = all(f"blocks.0.attn.{name}" in hooks for name in ("hook_pattern", "hook_z"))
    return named and hasattr(model.blocks[0].attn, "W_O")  # type: ignore[attr-defined]  # hooks say there are blocks


def _tidy_maps(maps: Tensor) -> pd.DataFrame:
    array = np.asarray(maps)
    layer, output, source = (axis.ravel() for axis in np.indices(array.shape))
    return pd.DataFrame({"layer": layer, "output": output, "input": source, "dependency": array.ravel()})


def _share_from_others(norms: Tensor) -> Interval:
    """Share of the last position's total dependence, after the last layer, that falls on tokens other than itself."""
    last = np.asarray(norms)[-1, :, -1]  # [prompt input]
    return bootstrap_ratio(last[:, :-1].sum(-1), last.sum(-1))


def _reach_finding(norms: Tensor, twins: list[Tensor]) -> Finding:
    share = _share_from_others(norms)
    controls = [_share_from_others(twin) for twin in twins]
    highest = max(control.high for control in controls)
    verdict: Verdict = (
        "supported"
        if share.low > highest
        else "refuted"
        if share.high < min(c.low for c in controls)
        else "inconclusive"
    )
    return Finding(
        id="token.query_reads_examples",
        claim="Training made the query's state depend more on the examples than random weights make it",
        statistic="share_of_dependence_on_other_tokens",
        estimate=share.estimate,
        ci=(share.low, share.high),
        controls={"random_init": float(np.mean([control.estimate for control in controls]))},
        verdict=verdict,
        reason="untrained attention moves tokens too; supported when the share is above that of every untrained twin",
    )


def _head_findings(effects: pd.DataFrame) -> list[Finding]:
    zero = effects[effects["intervention"] == "zero"].set_index(["layer", "head"])
    random = effects[effects["intervention"] == "random"].set_index(["layer", "head"])
    named = sorted(zero["increase"].nlargest(HEADS_NAMED).index)
    return [_head_finding(layer, head, zero.loc[(layer, head)], random.loc[(layer, head)]) for layer, head in named]


def _head_finding(layer: int, head: int, ablated: "pd.Series[float]", random: "pd.Series[float]") -> Finding:
    verdict: Verdict = "inconclusive"
    if ablated["ci_low"] > max(0.0, random["ci_high"]):
        verdict = "supported"
    elif ablated["ci_high"] <= 0:
        verdict = "refuted"
    return Finding(
        id=f"head.layer{layer}.head{head}",
        claim=f"The answer needs head {head} of layer {layer}: silencing it costs more than random "
        "perturbations of its size",
        statistic="rise_of_the_loss_when_ablated",
        estimate=float(ablated["increase"]),
        ci=(float(ablated["ci_low"]), float(ablated["ci_high"])),
        controls={"random_direction": float(random["increase"])},
        verdict=verdict,
        reason="supported when its interval is above 0 and above 95 % of the random perturbations, refuted when it is "
        "not above 0 at all",
        details={"loss without it": float(ablated["loss"])},
    )
