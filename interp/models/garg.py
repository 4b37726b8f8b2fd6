"""Models trained by the released code of Garg et al. (2022) and Fu et al. (2023), as models of ours."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from einops import rearrange
from torch import Tensor

from interp.models.config import TransformerConfig
from interp.models.folders import ModelInfo, current_versions, is_run_folder, weights_checksum
from interp.models.garg_config import GargConfig, read_garg_config
from interp.models.garg_state import read_state
from interp.models.gpt2 import gpt2_config
from interp.models.transformer import RegressionTransformer

CONFIG = "config.yaml"
STATE = "state.pt"
UNUSED = re.compile(r"_backbone\.wte\.weight|_backbone\.h\.\d+\.attn\.(bias|masked_bias)")
"""Tensors that no prediction depends on: word embeddings, and the causal masks of old versions of transformers."""
LAYER = re.compile(r"_backbone\.h\.(\d+)\.")
MOST_NAMES = 4
"""Tensors that a message names."""


def import_garg(run_dir: Path | str) -> RegressionTransformer:
    """Read a run folder of the released code, ``config.yaml`` and ``state.pt``; nothing in them is executed.

    The model's predictions and the states of its layers are the original's. The original's training settings are in
    ``model.info.recipe``. The number of heads is taken from the config on trust: no shape depends on it.

    Raises FileNotFoundError for a missing folder or file, and ValueError for a pickle that carries code or is damaged,
    another architecture or task, and a config and weights that contradict each other.
    """
    folder = Path(run_dir)
    _require_files(folder)
    config = read_garg_config(folder / CONFIG)
    state = read_state(folder / STATE)
    used = {name: values for name, values in state.weights.items() if not UNUSED.fullmatch(name)}
    _check(used, config, folder)
    model = RegressionTransformer(_model_config(config), config.task)
    weights = _converted({name: values.detach().to(torch.float32) for name, values in used.items()}, config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            parameter.copy_(weights.pop(name))
    assert not weights
    model.info = ModelInfo(
        name=str(folder),
        source="import",
        recipe={"name": "import-garg", "train_step": state.train_step, "training": config.training},
        versions=current_versions(),
        checksum=weights_checksum(model),
    )
    return model


def _require_files(folder: Path) -> None:
    expected = f"expected a run folder of Garg et al.'s code, with {CONFIG} and {STATE}"
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; {expected}.")
    missing = [name for name in (CONFIG, STATE) if not (folder / name).is_file()]
    if missing and is_run_folder(folder):
        raise FileNotFoundError(
            f"{folder} is a run folder of ours already; there is nothing to import. Load it as it is."
        )
    if missing:
        raise FileNotFoundError(f"{folder} has no {' and no '.join(missing)}; {expected}.")


def _model_config(config: GargConfig) -> TransformerConfig:
    return gpt2_config(
        dim=config.n_dims,
        n_points=config.n_positions,
        n_layers=config.n_layer,
        n_heads=config.n_head,
        width=config.n_embd,
    )


def _shapes(config: GargConfig) -> dict[str, tuple[int, ...]]:
    """The tensors that the config describes. GPT-2's own maps are stored [in out], PyTorch's linear ones [out in]."""
    d = config.n_embd
    shapes: dict[str, tuple[int, ...]] = {"_read_in.weight": (d, config.n_dims), "_read_in.bias": (d,)}
    shapes["_backbone.wpe.weight"] = (2 * config.n_positions, d)
    for layer in range(config.n_layer):
        maps = {"attn.c_attn": (d, 3 * d), "attn.c_proj": (d, d), "mlp.c_fc": (d, 4 * d), "mlp.c_proj": (4 * d, d)}
        for name, shape in maps.items():
            shapes[f"_backbone.h.{layer}.{name}.weight"] = shape
            shapes[f"_backbone.h.{layer}.{name}.bias"] = shape[1:]
        for norm in ("ln_1", "ln_2"):
            shapes |= {f"_backbone.h.{layer}.{norm}.{part}": (d,) for part in ("weight", "bias")}
    shapes |= {f"_backbone.ln_f.{part}": (d,) for part in ("weight", "bias")}
    return {**shapes, "_read_out.weight": (1, d), "_read_out.bias": (1,)}


def _check(weights: Mapping[str, Tensor], config: GargConfig, folder: Path) -> None:
    """Raise ValueError unless the weights are the finite ones of the model that the config describes."""
    described = {name: getattr(config, name) for name in ("n_embd", "n_dims", "n_positions", "n_layer")}
    contradictions = [
        f"{name} is {described[name]} in the config and {size} in the weights"
        for name, size in _measured(weights).items()
        if size != described[name]
    ]
    if contradictions:
        raise ValueError(
            f"{folder}: {CONFIG} and {STATE} contradict each other: {'; '.join(contradictions)}. "
            "Bring together the two files that one run wrote."
        )
    shapes = _shapes(config)
    missing, unknown = sorted(set(shapes) - set(weights)), sorted(set(weights) - set(shapes))
    if missing or unknown:
        raise ValueError(
            f"{folder / STATE} does not hold the GPT-2 model that {CONFIG} describes: missing {_some(missing)}; "
            f"unknown {_some(unknown)}. Give a run folder of the released code as it was written."
        )
    for name, shape in shapes.items():
        if weights[name].shape != shape:
            raise ValueError(
                f"{folder / STATE}: {name} has shape {tuple(weights[name].shape)}, {CONFIG} describes {shape}. "
                "Bring together the two files that one run wrote."
            )
        if not weights[name].is_floating_point():
            raise ValueError(
                f"{folder / STATE}: {name} holds {weights[name].dtype} values, expected floating-point ones. "
                "Give a run folder of the released code as it was written."
            )
        if not weights[name].isfinite().all():
            raise ValueError(
                f"{folder / STATE}: {name} holds NaN or infinite values; the run diverged or the file is damaged. "
                "Give another run, or copy the file again."
            )


def _measured(weights: Mapping[str, Tensor]) -> dict[str, int]:
    """The sizes that the weights tell of, under their names in the config."""
    sizes = {}
    read_in, positions = weights.get("_read_in.weight"), weights.get("_backbone.wpe.weight")
    if read_in is not None and read_in.ndim == 2:
        sizes["n_embd"], sizes["n_dims"] = read_in.shape
    if positions is not None and positions.ndim == 2:
        sizes["n_positions"] = positions.shape[0] // 2
    layers = [int(found[1]) for found in map(LAYER.match, weights) if found]
    if layers:
        sizes["n_layer"] = max(layers) + 1
    return sizes


def _some(names: Iterable[str]) -> str:
    names = list(names)
    more = f" and {len(names) - MOST_NAMES} more" if len(names) > MOST_NAMES else ""
    return ", ".join(names[:MOST_NAMES]) + more if names else "none"


def _converted(theirs: Mapping[str, Tensor], config: GargConfig) -> dict[str, Tensor]:
    """The weights under our names, split into heads as TransformerLens stores them."""
    ours = {
        "W_E": theirs["_read_in.weight"].T,
        "b_E": theirs["_read_in.bias"],
        "W_pos": theirs["_backbone.wpe.weight"],
        "ln_final.w": theirs["_backbone.ln_f.weight"],
        "ln_final.b": theirs["_backbone.ln_f.bias"],
        "W_U": theirs["_read_out.weight"].T,
        "b_U": theirs["_read_out.bias"],
    }
    heads = {"head": config.n_head}
    for layer in range(config.n_layer):
        source, block = f"_backbone.h.{layer}", f"blocks.{layer}"
        ours |= {
            f"{block}.ln{number}.{part}": theirs[f"{source}.ln_{number}.{theirs_part}"]
            for number in (1, 2)
            for part, theirs_part in (("w", "weight"), ("b", "bias"))
        }
        weights = theirs[f"{source}.attn.c_attn.weight"].chunk(3, dim=1)
        biases = theirs[f"{source}.attn.c_attn.bias"].chunk(3)
        for kind, weight, bias in zip("QKV", weights, biases, strict=True):
            ours[f"{block}.attn.W_{kind}"] = rearrange(weight, "d_model (head d_head) -> head d_model d_head", **heads)
            ours[f"{block}.attn.b_{kind}"] = rearrange(bias, "(head d_head) -> head d_head", **heads)
        ours[f"{block}.attn.W_O"] = rearrange(
            theirs[f"{source}.attn.c_proj.weight"], "(head d_head) d_model -> head d_head d_model", **heads
        )
        ours[f"{block}.attn.b_O"] = theirs[f"{source}.attn.c_proj.bias"]
        for part, name in (("in", "c_fc"), ("out", "c_proj")):
            ours[f"{block}.mlp.W_{part}"] = theirs[f"{source}.mlp.{name}.weight"]
            ours[f"{block}.mlp.b_{part}"] = theirs[f"{source}.mlp.{name}.bias"]
    return ours
