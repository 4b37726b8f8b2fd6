"""Which token depends on which, where heads attend, and what breaks without them."""

from interp.attribution.ablation import ablation_effects, confirmed_heads, head_ablated
from interp.attribution.any_heads import score_heads
from interp.attribution.copying import copying_heads, label_heads
from interp.attribution.copying_scores import copying_scores
from interp.attribution.dependency import dependency_profile, token_dependencies, token_dependency
from interp.attribution.heads import SCORES
from interp.attribution.offsets import attention_by_offset
from interp.attribution.over_training import dependency_over_training
from interp.attribution.published import published_sensitivity, published_sensitivity_over_training
from interp.attribution.transition import ChangePoint, Transition, change_point, find_transition
from interp.attribution.written import written_by_heads

__all__ = [
    "SCORES",
    "ChangePoint",
    "Transition",
    "ablation_effects",
    "attention_by_offset",
    "change_point",
    "confirmed_heads",
    "copying_heads",
    "copying_scores",
    "dependency_over_training",
    "dependency_profile",
    "find_transition",
    "head_ablated",
    "label_heads",
    "published_sensitivity",
    "published_sensitivity_over_training",
    "score_heads",
    "token_dependencies",
    "token_dependency",
    "written_by_heads",
]
