"""Runs that are over in a moment."""

from interp.models.config import TransformerConfig
from interp.tasks import LinearRegression
from interp.training import Recipe


def tiny_recipe(**options) -> Recipe:
    """40 updates of a two-layer model on inputs of dim 3."""
    return Recipe(
        **{
            "name": "tiny",
            "model": TransformerConfig(dim=3, n_layers=2, n_heads=2, head_width=2, attention="softmax", mlp="relu"),
            "task": LinearRegression(dim=3, n_points=5),
            "steps": 40,
            "batch_size": 16,
            "log_every": 1,
            "resume_every": 5,
            "clip_norm": 1.0,
            "warmup": 4,
            "schedule": "cosine",
            **options,
        }
    )
