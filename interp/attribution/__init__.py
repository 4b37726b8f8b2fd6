"""Which token depends on which, where heads attend, and what breaks without them."""

from interp.attribution.ablation import ablation_effects, confirmed_heads, head_ablated
from interp.attribution.dependency import dependency_profile, token_dependencies, token_dependency
from interp.attribution.heads import SCORES, score_heads

__all__ = [
    "SCORES",
    "ablation_effects",
    "confirmed_heads",
    "dependency_profile",
    "head_ablated",
    "score_heads",
    "token_dependencies",
    "token_dependency",
]
