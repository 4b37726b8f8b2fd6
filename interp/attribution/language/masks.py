"""Which key a head of each kind looks at, told from the tokens alone."""

import torch
from jaxtyping import Bool, Int
from torch import Tensor

SCORES = ("previous-token", "duplicate-token", "induction", "current-token", "first-token")
"""Kinds of keys that attention is collected on."""


def key_masks(tokens: Int[Tensor, "prompt pos"]) -> Bool[Tensor, "prompt score query key"]:
    """For each query, the keys of every kind in `SCORES`, in that order.

    previous-token: the token before. duplicate-token: the same token, earlier. induction: the token after an earlier
    copy of the query (Olsson et al. 2022 call attention to it prefix matching). current-token: the query itself.
    first-token: position 0, for the queries after it. The first three are TransformerLens's detection patterns.
    """
    n_prompts, n_pos = tokens.shape
    ones = torch.ones(n_pos, n_pos, dtype=torch.bool, device=tokens.device)
    duplicate = (tokens[:, :, None] == tokens[:, None, :]) & ones.tril(-1)
    induction = torch.zeros_like(duplicate)
    induction[:, :, 1:] = duplicate[:, :, :-1]
    first = torch.zeros_like(ones)
    first[1:, 0] = True
    by_position = {"previous-token": ones.tril(-1) & ones.triu(-1), "current-token": ones.tril() & ones.triu()}
    masks = {
        **{name: mask.expand(n_prompts, -1, -1) for name, mask in {**by_position, "first-token": first}.items()},
        "duplicate-token": duplicate,
        "induction": induction,
    }
    return torch.stack([masks[name] for name in SCORES], dim=1)
