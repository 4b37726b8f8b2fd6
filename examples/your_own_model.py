"""
A model of your own
===================

Any HookedRootModule with the canonical names of the residual stream can be analysed; nothing here inherits from the
toolkit.
"""

# %%
# A two-layer causal transformer on interleaved tokens x, y, x, y, with torch's own attention inside.
from types import SimpleNamespace

import torch
from torch import nn
from transformer_lens import HookedRootModule
from transformer_lens.hook_points import HookPoint

from interp.matching import judge_layers, match_layers, probe_layers
from interp.report import build
from interp.tasks import LinearRegression, Prompts, TokenLayout


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.attention = nn.MultiheadAttention(width, num_heads=4, batch_first=True)
        self.mlp = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.norm = nn.LayerNorm(width)
        self.hook_resid_pre = HookPoint()
        self.hook_resid_post = HookPoint()

    def forward(self, resid: torch.Tensor) -> torch.Tensor:
        resid = self.hook_resid_pre(resid)
        normed = self.norm(resid)
        mask = nn.Transformer.generate_square_subsequent_mask(resid.shape[1])
        attended, _ = self.attention(normed, normed, normed, attn_mask=mask, is_causal=True, need_weights=False)
        resid = resid + attended
        return self.hook_resid_post(resid + self.mlp(resid))


class MyTransformer(HookedRootModule):
    layout = TokenLayout(kind="interleaved", y_position="first", y_slot="shared")

    def __init__(self, seed: int = 0, width: int = 32, n_layers: int = 2) -> None:
        super().__init__()
        torch.manual_seed(seed)
        self.cfg = SimpleNamespace(n_layers=n_layers, n_heads=4, d_model=width)
        self.task = LinearRegression(dim=3, n_points=9, inputs="gaussian")
        self.predicted_points = tuple(range(self.task.n_points))
        self.read_in = nn.Linear(self.task.dim, width)
        self.positions = nn.Parameter(0.02 * torch.randn(2 * self.task.n_points, width))
        self.blocks = nn.ModuleList(Block(width) for _ in range(n_layers))
        self.read_out = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 1))
        self.setup()

    def tokens(self, prompts: Prompts) -> torch.Tensor:
        return self.layout.tokens(prompts)

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        resid = self.read_in(tokens) + self.positions[: tokens.shape[1]]
        for block in self.blocks:
            resid = block(resid)
        return self.read_out(resid)[:, ::2, 0]

    def untrained_twin(self, seed: int) -> "MyTransformer":
        return MyTransformer(seed)


# %%
# Train it for a few seconds: enough to beat knowing nothing, not enough to be good.
model = MyTransformer()
optimizer = torch.optim.Adam(model.parameters(), lr=2e-3)
for step in range(300):
    batch = model.task.sample(128, seed=step)
    loss = (model(model.tokens(batch)) - batch.ys).square().mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
print(f"mean squared error {loss.item():.2f}; predicting 0 gives {model.task.dim}")
assert loss.item() < model.task.dim

# %%
# What do its layers hold? Without a ``decode`` method every readout is refitted, on other prompts than it is scored on.
prompts = model.task.sample(512, seed=10_000)
print(
    probe_layers(model, prompts, ["next_y", "xty"])[
        ["layer", "target", "r2", "ci_low", "random_init", "shuffled_targets"]
    ]
)

# %%
# The whole report says the same with all its evidence; ``report.write("report.html", "report.json")`` would keep it.
report = build(model, prompts[:64])
for finding in report.findings:
    print(f"{finding.verdict:<12} {finding.claim}: {finding.estimate:.3f}")

# %%
# And which algorithm do they resemble? A half-trained model need not resemble any, and the verdict says so.
table = match_layers(model, prompts, solvers=["gd", "newton", "ridge"])
for verdict in judge_layers(table):
    print(
        verdict.layer, verdict.solver, verdict.step, f"{verdict.similarity:.3f}", verdict.verdict, "-", verdict.reason
    )
