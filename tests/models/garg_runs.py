"""Run folders as the released code of Garg et al. (2022) writes them, around Hugging Face's GPT-2."""

import copy
from pathlib import Path
from typing import Any

import torch
import yaml
from torch import Tensor, nn
from transformers import GPT2Config, GPT2Model

CONFIG: dict[str, Any] = {
    "inherit": ["base.yaml"],
    "model": {"family": "gpt2", "n_dims": 3, "n_embd": 8, "n_head": 2, "n_layer": 2, "n_positions": 7},
    "out_dir": "../models/linear_regression/pretrained",
    "test_run": False,
    "training": {
        "batch_size": 64,
        "curriculum": {
            "dims": {"start": 1, "end": 3, "inc": 1, "interval": 2000},
            "points": {"start": 3, "end": 5, "inc": 2, "interval": 2000},
        },
        "data": "gaussian",
        "keep_every_steps": 100000,
        "learning_rate": 0.0001,
        "num_tasks": None,
        "num_training_examples": None,
        "resume_id": None,
        "save_every_steps": 1000,
        "task": "linear_regression",
        "task_kwargs": {},
        "train_steps": 500001,
    },
    "wandb": {"entity": "in-context", "name": "linear_regression_standard", "notes": ""},
}


class Original(nn.Module):
    """The transformer of the released code, every weight, bias and norm of it random."""

    def __init__(self, config: dict[str, Any], seed: int = 0) -> None:
        super().__init__()
        sizes = config["model"]
        self.backbone_config = GPT2Config(
            n_positions=2 * sizes["n_positions"],
            n_embd=sizes["n_embd"],
            n_layer=sizes["n_layer"],
            n_head=sizes["n_head"],
            vocab_size=5,  # word embeddings are in the file, and unused
            bos_token_id=None,
            eos_token_id=None,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            use_cache=False,
        )
        self._read_in = nn.Linear(sizes["n_dims"], sizes["n_embd"])
        self._backbone = GPT2Model(self.backbone_config)
        self._read_out = nn.Linear(sizes["n_embd"], 1)
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in self.named_parameters():
            centre = 1.0 if ".ln_" in name and name.endswith("weight") else 0.0
            parameter.data = centre + 0.3 * torch.randn(parameter.shape, generator=generator)

    def forward(self, xs: Tensor, ys: Tensor) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Predictions at every x, the embedding, and the stream before and after every block."""
        y_tokens = torch.cat([ys[:, :, None], torch.zeros_like(xs[:, :, 1:])], dim=2)
        tokens = torch.stack([xs, y_tokens], dim=2).flatten(1, 2)
        embedded = self._read_in(tokens)
        blocks = self._backbone.h
        states: list[Tensor] = []
        handles = [blocks[0].register_forward_pre_hook(lambda _, inputs: states.append(inputs[0]))]
        for block in blocks:
            handles.append(
                block.register_forward_hook(lambda _, __, out: states.append(out[0] if isinstance(out, tuple) else out))
            )
        hidden = self._backbone(inputs_embeds=embedded).last_hidden_state
        for handle in handles:
            handle.remove()
        return self._read_out(hidden)[:, ::2, 0], embedded, states


def old_buffers(config: dict[str, Any]) -> dict[str, Tensor]:
    """The masks that versions of transformers before 4.30 save with every layer."""
    n_ctx = 2 * config["model"]["n_positions"]
    mask = torch.ones(1, 1, n_ctx, n_ctx, dtype=torch.uint8).tril()
    return {
        f"_backbone.h.{layer}.attn.{name}": values
        for layer in range(config["model"]["n_layer"])
        for name, values in (("bias", mask), ("masked_bias", torch.tensor(-1e4)))
    }


def changed(**changes: Any) -> dict[str, Any]:
    """The config with values at dotted names (``training__task``) changed; None takes them away."""
    config = copy.deepcopy(CONFIG)
    for name, value in changes.items():
        *path, last = name.split("__")
        section = config
        for key in path:
            section = section[key]
        section[last] = value
        if value is None:
            del section[last]
    return config


def write_run(
    folder: Path, config: dict[str, Any] | None = None, *, model: Original | None = None, buffers: bool = False
) -> Original:
    """Write ``config.yaml`` and ``state.pt`` after one update, and return the model that they hold."""
    config = config or CONFIG
    model = model or Original(config)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.0)
    torch.stack([parameter.sum() for parameter in model.parameters()]).sum().backward()
    optimizer.step()
    weights = model.state_dict()
    if buffers:
        weights |= old_buffers(config)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.yaml").write_text(yaml.dump(config, default_flow_style=False))
    state = {"model_state_dict": weights, "optimizer_state_dict": optimizer.state_dict(), "train_step": 500000}
    torch.save(state, folder / "state.pt")
    return model
