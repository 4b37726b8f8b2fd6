"""Which tokens the model moves, and which heads it needs."""

import numpy as np
import pandas as pd
from torch import Tensor

from interp.attribution import ablation_effects, dependency_profile, score_heads, token_dependencies
from interp.attribution.ablation import N_DRAWS
from interp.matching.twins import N_TWINS, make_twins
from interp.matching.verdict import Verdict
from interp.models.protocol import HookedRegressor
from interp.report.chapter import Chapter
from interp.report.document import Figure, Section
from interp.report.effort import affordable_prompts
from interp.report.figures import draw_ablation, draw_dependency
from interp.report.finding import Finding
from interp.report.render import to_svg
from interp.tasks import Prompts
from probes import Interval, bootstrap_ratio

TITLE = "Which tokens it moves"
DEPENDENCY_PROMPTS = 64
LAYERS_DRAWN = 4
LEAST_PROMPTS = 8
"""Fewest prompts of an ablation, and of exact dependency maps."""
HEADS_NAMED = 16
"""Most heads that get a finding each; beyond, those whose ablation costs most."""


def write_tokens(model: HookedRegressor, single: Prompts, prompts: Prompts, seed: int) -> Chapter:
    """Dependency maps, and for models with hooked heads their scores and ablations.

    ``single`` holds prompts with one query each, for the maps, and for the loss of models that take no more; else the
    loss is that on ``prompts``.
    """
    tracked, n_directions = _dependency_effort(model, single)
    norms, *twin_norms = (
        token_dependencies(subject, tracked, n_directions=n_directions, seed=seed).cpu()
        for subject in (model, *make_twins(model))
    )
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
        "only the diagonal is not 0; what layers move stands off it. The last row is the query."
        f"{_as_estimated(tracked, n_directions)}",
        svg=to_svg(draw_dependency(dependency[dependency["layer"].isin(drawn)])),
        table="token_dependency",
    )
    reach = _reach_finding(norms, twin_norms)
    tables = {"token_dependency": dependency, "dependency_by_offset": profile}
    if not has_hooked_heads(model):
        of_heads = (
            "The model has no attention heads."
            if model.cfg.n_heads == 0
            else "The model's heads are not hooked (attn.hook_pattern, attn.hook_z, W_V and W_O by the canonical "
            "names), so nothing is said of them."
        )
        introduction = f"Where information travels between positions. {of_heads}"
        section = Section(
            title=TITLE, introduction=introduction, figures=(map_figure,), tables=("dependency_by_offset",)
        )
        return Chapter(section=section, findings=(reach,), tables=tables)
    n_passes = model.cfg.n_layers * model.cfg.n_heads + HEADS_NAMED * N_DRAWS / 2
    asked = prompts if getattr(model, "asks_in_parallel", False) else single
    ablated = asked[: affordable_prompts(model, asked, n_passes, least=LEAST_PROMPTS, most=len(asked))]
    effects = ablation_effects(model, ablated, n_controlled=HEADS_NAMED, seed=seed)
    named = _named(effects)
    ablation_figure = Figure(
        title="What breaks without each head",
        caption="Rise of the loss when a head is silenced (zero), replaced by its mean, and, as control, when a random "
        "vector of the head's own norm is taken away instead (random; the bar spans 95 % of the draws). "
        f"On {len(ablated)} prompts{_of_all_heads(model)}.",
        svg=to_svg(draw_ablation(named)),
        table="ablation",
    )
    return Chapter(
        section=Section(
            title=TITLE,
            introduction="Where information travels between positions, and which heads carry what the answer needs.",
            figures=(map_figure, ablation_figure),
            tables=("head_scores", "dependency_by_offset"),
        ),
        findings=(reach, *_head_findings(named)),
        tables={**tables, "head_scores": score_heads(model, single), "ablation": effects},
    )


def has_hooked_heads(model: HookedRegressor) -> bool:
    """Whether heads can be looked at and silenced: pattern and z are hooked, W_V and W_O are TransformerLens's."""
    hooks = getattr(model, "hook_dict", {})
    named = all(f"blocks.0.attn.{name}" in hooks for name in ("hook_pattern", "hook_z"))
    # The hooks say that there are blocks.
    return named and all(hasattr(model.blocks[0].attn, name) for name in ("W_V", "W_O"))  # type: ignore[attr-defined]


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


def _dependency_effort(model: HookedRegressor, prompts: Prompts) -> tuple[Prompts, int]:
    """The prompts to follow tokens in, and how many random directions of each token stand for all (0: none do)."""
    tokens = model.tokens(prompts[:1])
    # Forward mode runs the model and its derivative at once; the untrained twins are followed too.
    passes = 2 * (1 + N_TWINS) * tokens.shape[1]
    exact = affordable_prompts(model, prompts, passes * tokens.shape[2], least=0, most=DEPENDENCY_PROMPTS)
    if exact >= LEAST_PROMPTS:
        return prompts[:exact], 0
    return prompts[: affordable_prompts(model, prompts, passes, least=3, most=LEAST_PROMPTS)], 1


def _as_estimated(prompts: Prompts, n_directions: int) -> str:
    if n_directions == 0:
        return f" {len(prompts)} prompts."
    return f" Estimated from {n_directions} random direction of each token's input in {len(prompts)} prompts."


def _named(effects: pd.DataFrame) -> pd.DataFrame:
    """The rows of the heads that have their control."""
    controlled = effects.loc[effects["intervention"] == "random", ["layer", "head"]]
    return effects.merge(controlled, on=["layer", "head"])


def _of_all_heads(model: HookedRegressor) -> str:
    total = model.cfg.n_layers * model.cfg.n_heads
    return "" if total <= HEADS_NAMED else f"; of {total} heads, the {HEADS_NAMED} whose silencing costs most"


def _head_findings(effects: pd.DataFrame) -> list[Finding]:
    zero = effects[effects["intervention"] == "zero"].set_index(["layer", "head"])
    random = effects[effects["intervention"] == "random"].set_index(["layer", "head"])
    return [
        _head_finding(layer, head, zero.loc[(layer, head)], random.loc[(layer, head)])
        for layer, head in sorted(zero.index)
    ]


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
