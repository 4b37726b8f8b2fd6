"""Models on disk: config.json and model.safetensors, never a pickle."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_safetensors
from safetensors.torch import save as save_safetensors
from torch import Tensor

from interp._files import write_atomically
from interp._precision import Precision
from interp._records import from_record, to_record
from interp.models.any_config import AnyModelConfig, with_kind
from interp.models.any_model import AnyModel
from interp.models.build import build_model
from interp.models.config import TransformerConfig
from interp.models.lstm_config import LSTMConfig
from interp.models.regressor import RegressionModel
from interp.models.token_config import TokenModelConfig
from interp.tasks import AnyTask, RepeatedTokens

SCHEMA = "interp-run/1"
CONFIG = "config.json"
WEIGHTS = "model.safetensors"
PICKLES = {".pt", ".pth", ".pkl", ".pickle", ".bin", ".ckpt"}


@dataclass(frozen=True, kw_only=True)
class ModelInfo:
    """Where a model comes from: what a report's provenance says."""

    name: str
    source: str
    """``zoo``, ``run``, ``import``, ``construction``, ``untrained``, ``hugging face`` or ``python``."""
    seed: int | None = None
    recipe: dict[str, Any] | None = None
    versions: dict[str, str] = field(default_factory=dict)
    checksum: str = ""
    """SHA-256 of the weights, as `weights_checksum` takes it."""
    folder: Path | None = None
    """The run folder it was read from, where there is one: its checkpoints tell how the model was trained."""


def describe_model(model: object) -> ModelInfo:
    """What is known of a model's origin; for a model of the caller's own, its class name."""
    info = getattr(model, "info", None)
    return info if isinstance(info, ModelInfo) else ModelInfo(name=type(model).__name__, source="python")


def current_versions() -> dict[str, str]:
    """Versions of the packages that decide numbers."""
    versions = {}
    for package in ("interp", "torch", "transformer-lens", "numpy"):
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            versions[package] = "not installed"
    return versions


def named_parameters(model: torch.nn.Module) -> dict[str, torch.nn.Parameter]:
    """Parameters by name, each once: looped layers appear as the first of them.

    A bridge's bear TransformerLens's names, as in its state_dict, and not those of the modules that it wraps.
    """
    found: dict[str, torch.nn.Parameter] = {}
    seen: set[int] = set()
    for name, values in model.state_dict(keep_vars=True).items():
        if isinstance(values, torch.nn.Parameter) and id(values) not in seen:
            seen.add(id(values))
            found[name] = values
    return found


def named_weights(model: torch.nn.Module) -> dict[str, Tensor]:
    """The values of all parameters, named as `named_parameters` does."""
    return {name: parameter.detach().contiguous() for name, parameter in named_parameters(model).items()}


def weights_checksum(model: torch.nn.Module) -> str:
    """SHA-256 over names, shapes and bytes of all parameters, in the order of their names."""
    digest = hashlib.sha256()
    for name, values in sorted(named_weights(model).items()):
        digest.update(f"{name}{tuple(values.shape)}".encode())
        digest.update(values.cpu().numpy().tobytes())
    return digest.hexdigest()


def save_folder(
    folder: Path,
    model: AnyModel,
    *,
    recipe: dict[str, Any] | None = None,
    seed: int | None = None,
    precision: Precision = "fp32",
    source: str = "run",
) -> None:
    """Write a model into a folder, config first, each file atomically. The folder is created if need be.

    Raises ValueError for a language model that was not built here: its shape is not known.
    """
    cfg = model.cfg if isinstance(model, RegressionModel) else getattr(model, "token_config", None)
    if cfg is None:
        raise ValueError("Of language models only those built here can be saved here; keep the folder that it came in.")
    folder.mkdir(parents=True, exist_ok=True)
    write_config(folder, cfg, model.task, recipe=recipe, seed=seed, precision=precision, source=source)
    write_atomically(folder / WEIGHTS, save_safetensors(named_weights(model)))


def write_config(
    folder: Path,
    cfg: TransformerConfig | LSTMConfig | TokenModelConfig,
    task: Any,
    *,
    recipe: dict[str, Any] | None,
    seed: int | None,
    precision: Precision = "fp32",
    source: str = "run",
) -> None:
    """Write config.json: schema, source, model, task, recipe, seed, precision of the training, versions."""
    content = {
        "schema": SCHEMA,
        "source": source,
        "model": to_record(cfg),
        "task": to_record(task),
        "recipe": recipe,
        "seed": seed,
        "precision": precision,
        "versions": current_versions(),
    }
    write_atomically(folder / CONFIG, json.dumps(content, indent=2) + "\n")


def is_run_folder(folder: Path) -> bool:
    """Whether a folder was written by this toolkit, in any version of its schema."""
    try:
        content = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and str(content.get("schema")).startswith(SCHEMA.split("/")[0])


def is_hugging_face_folder(folder: Path) -> bool:
    """Whether a folder describes a model as transformers does."""
    try:
        content = json.loads((folder / CONFIG).read_text())
    except (OSError, ValueError):
        return False
    return (
        isinstance(content, dict)
        and "schema" not in content
        and ("model_type" in content or "architectures" in content)
    )


def read_config(folder: Path) -> dict[str, Any]:
    """Read and check the frame of config.json.

    Raises FileNotFoundError where the folder or the file is missing, ValueError for broken JSON or another schema.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is not a folder; expected a run folder with {CONFIG} and {WEIGHTS}.")
    path = folder / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{folder} is not a run folder: it has no {CONFIG}.{pickle_advice(folder)}")
    try:
        content = json.loads(path.read_text())
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path} is not valid JSON ({error}); restore it, or train again.") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise ValueError(
            f"{path} has schema {schema!r}, this version reads {SCHEMA!r}. "
            "Open it with the version of interp that wrote it, or train again."
        )
    missing = [key for key in ("model", "task") if key not in content]
    if missing:
        raise ValueError(f"{path} lacks {', '.join(missing)}; restore it, or train again.")
    return content


def read_shape(
    folder: Path,
) -> tuple[TransformerConfig | LSTMConfig | TokenModelConfig, AnyTask | RepeatedTokens, dict[str, Any]]:
    """The model's config, its task and all of config.json. Raises as `read_config`, and ValueError for bad fields."""
    content = read_config(folder)
    where = str(folder / CONFIG)
    cfg: AnyModelConfig = from_record(AnyModelConfig, with_kind(content["model"]), f"'model' in {where}")
    tasks = RepeatedTokens if isinstance(cfg, TokenModelConfig) else AnyTask
    return cfg, from_record(tasks, content["task"], f"'task' in {where}"), content


def load_folder(folder: Path | str, *, name: str | None = None, source: str | None = None) -> AnyModel:
    """Load a model from a run folder, its origin noted in ``model.info``: the folder's own, unless ``source`` is given.

    Raises FileNotFoundError for missing files and ValueError for a truncated or foreign file, weights that do not
    fit the config, another schema version, or a pickle where weights should be (pickles are never opened).
    """
    folder = Path(folder)
    cfg, task, content = read_shape(folder)
    model = build_model(cfg, task)
    read_weights_into(model, folder / WEIGHTS)
    model.info = ModelInfo(
        name=name or str(folder),
        source=source or str(content.get("source", "run")),
        seed=content.get("seed"),
        recipe=content.get("recipe"),
        versions=content.get("versions") or {},
        checksum=weights_checksum(model),
        folder=folder,
    )
    return model


def read_weights_into(model: torch.nn.Module, path: Path) -> None:
    """Fill a model's parameters from a safetensors file. Raises as `load_folder`."""
    read_named_weights(model, read_safetensors(path), str(path))


def read_named_weights(model: torch.nn.Module, weights: Mapping[str, Tensor], where: str) -> None:
    """Fill a model's parameters from tensors that are named alike; ``where`` they come from is for errors.

    Raises ValueError for missing and unknown ones, other shapes and values that are not finite.
    """
    parameters = named_parameters(model)
    missing, extra = sorted(set(parameters) - set(weights)), sorted(set(weights) - set(parameters))
    if missing or extra:
        raise ValueError(
            f"{where} does not hold the weights that {CONFIG} describes: missing {missing or 'none'}, "
            f"unknown {extra or 'none'}."
        )
    for name, parameter in parameters.items():
        if weights[name].shape != parameter.shape:
            raise ValueError(
                f"{where}: {name} has shape {tuple(weights[name].shape)}, {CONFIG} describes {tuple(parameter.shape)}."
            )
        if not torch.isfinite(weights[name]).all():
            raise ValueError(f"{where}: {name} holds NaN or infinite values; the run diverged or the file is damaged.")
    with torch.no_grad():
        for name, parameter in parameters.items():
            parameter.copy_(weights[name])


def read_safetensors(path: Path) -> dict[str, Tensor]:
    """All tensors of a safetensors file. Raises FileNotFoundError, and ValueError for all but whole safetensors."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path.parent} has no {path.name}; it may be an unfinished run.{pickle_advice(path.parent)}"
        )
    data = path.read_bytes()
    # A safetensors file begins with the length of its header, any eight bytes, and then the header: a JSON object.
    if (data[:2] == b"PK" or data[:1] == b"\x80") and data[8:9] != b"{":
        raise ValueError(f"{path} is a pickle under another name. Pickles can run code and are never opened.")
    try:
        return load_safetensors(data)
    except SafetensorError as error:
        raise ValueError(
            f"{path} is truncated or not a safetensors file ({error}); restore it, or train again."
        ) from None


def pickle_advice(folder: Path) -> str:
    """A sentence on the pickles in a folder, to follow another; empty if there are none."""
    found = sorted(path.name for path in folder.iterdir() if path.suffix in PICKLES)
    if not found:
        return ""
    return f" It holds {', '.join(found)}, a pickle: those can run code and are never opened here."
