"""Models that copy along a known way."""

from dataclasses import replace

import torch

import interp
from interp.models import RegressionTransformer
from interp.models.copying import copying_frequency


def x_reads_its_y(dim: int = 3, points: int = 6) -> RegressionTransformer:
    """The construction: x tokens copy their y, then a step of GD, in double precision."""
    model = interp.load(f"copy:dim={dim},points={points}").double()
    assert isinstance(model, RegressionTransformer)
    return model


def y_reads_its_x(dim: int = 3, points: int = 6) -> RegressionTransformer:
    """Its causal mirror image: y tokens copy their x, then a step of GD at every point."""
    forwards = x_reads_its_y(dim, points)
    model = RegressionTransformer(replace(forwards.cfg, causal=True), forwards.task).double()
    model.load_state_dict(forwards.state_dict())
    attn, x = model.blocks[0].attn, model.cfg.x_slice
    sine = dim + 1 + 2 * copying_frequency(2 * points - 1)
    with torch.no_grad():
        attn.W_Q[0, sine + 1, 0] *= -1  # queries turned one step back
        attn.W_Q[0, sine, 1] *= -1
        for weight in (attn.W_V[0], attn.W_O[0]):
            weight.zero_()
            weight[x, x] = torch.eye(dim, dtype=torch.float64)
    return model
