"""A trained layer applied more often than it was trained to be."""

from dataclasses import replace

import torch

from interp.models.transformer import RegressionTransformer


def repeated(model: RegressionTransformer, times: int, *, damping: float = 1.0) -> RegressionTransformer:
    """The model that applies this one's layer ``times`` times, each time adding ``damping`` of what it would add.

    For models of one layer and looped ones (von Oswald et al. 2022, section 3 and Fig. 3, with damping 0.75). Its
    layers can be hooked and read like any other's. Raises ValueError for models of several different layers, and for
    ``times`` below 1 or a damping outside (0, 1].
    """
    if model.cfg.n_layers > 1 and not model.cfg.looped:
        raise ValueError(
            f"The model has {model.cfg.n_layers} different layers, of which none alone was trained to be repeated; "
            "take a model of one layer or a looped one."
        )
    if times < 1 or not 0 < damping <= 1:
        raise ValueError(f"`times` must be at least 1 and `damping` lie in (0, 1], got {times} and {damping}.")
    kind = model.cfg.attention_kinds[0]
    cfg = replace(model.cfg, n_layers=times, looped=True, damping=model.cfg.damping * damping, attention=kind)
    parameter = next(model.parameters())
    longer = type(model)(cfg, model.task).to(parameter.device, parameter.dtype)
    own = dict(model.named_parameters())
    with torch.no_grad():
        for name, weight in longer.named_parameters():
            weight.copy_(own[name])
    return longer
