"""A model as a researcher would bring it: nothing of ours but the canonical hook names."""

from types import SimpleNamespace

import torch
from torch import nn
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

from interp.tasks import LinearRegression, Prompts


class Step(nn.Module):
    """One gradient step on a stream that holds x and the residual of y, in coordinates of its own."""

    def __init__(self, update: torch.Tensor) -> None:
        super().__init__()
        self.update = nn.Parameter(update)
        self.hook_resid_pre = HookPoint()
        self.hook_resid_post = HookPoint()

    def forward(self, stream):
        stream = self.hook_resid_pre(stream)
        examples = stream[:, :-1]
        scores = torch.einsum("pid,de,pje->pij", stream, self.update[0], examples)
        return self.hook_resid_post(stream + torch.einsum("pij,pjd,de->pie", scores, examples, self.update[1]))


class TheirModel(HookedRootModule):
    """Gradient descent of step ``eta`` in a rotated basis, where no coordinate holds the prediction."""

    def __init__(self, n_layers: int, eta: float, dim: int = 3, seed: int = 0, random: bool = False) -> None:
        super().__init__()
        self.task = LinearRegression(dim=dim, n_points=2 * dim + 1)
        self.cfg = SimpleNamespace(n_layers=n_layers, n_heads=1, d_model=dim + 1)
        self.predicted_points = (self.task.n_points - 1,)
        generator = torch.Generator().manual_seed(seed)
        basis, _ = torch.linalg.qr(torch.randn(dim + 1, dim + 1, generator=generator))
        x_to_x = torch.diag(torch.tensor([1.0] * dim + [0.0]))
        y_to_y = torch.diag(torch.tensor([0.0] * dim + [-eta]))
        update = torch.stack([basis.T @ part @ basis for part in (x_to_x, y_to_y)])
        if random:
            update = 0.3 * torch.randn(update.shape, generator=generator)
        self.basis = nn.Parameter(basis)
        self.blocks = nn.ModuleList(Step(update.clone()) for _ in range(n_layers))
        self.setup()

    def tokens(self, prompts: Prompts) -> torch.Tensor:
        ys = prompts.ys.clone()
        ys[:, -1] = 0
        return torch.cat([prompts.xs, ys[..., None]], dim=-1)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        stream = tokens @ self.basis
        for block in self.blocks:
            stream = block(stream)
        return -(stream @ self.basis.T)[:, -1:, -1]
