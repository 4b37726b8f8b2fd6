"""``config.yaml`` of the released code: the shape of a model, and what it was trained on."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import yaml

from interp.tasks import LinearRegression
from interp.tasks.covariance import ConditionNumber, Covariance, Isotropic

TASKS = {
    "linear_regression": ("scale",),
    "noisy_linear_regression": ("scale", "noise_std", "renormalize_ys"),
    "sparse_linear_regression": ("scale", "sparsity"),
}
"""Tasks that can be imported, and the keywords that the released code gives them."""
DATA: dict[str, Covariance] = {"gaussian": Isotropic(), "skew": ConditionNumber(value=100.0)}
"""Laws of the inputs. Fu et al.'s ``skew`` makes half of the standard deviations 10 times the others."""
SPARSITY = 3
"""Of hidden weights, where a config of a sparse task does not say."""
MOST_ENTRIES, DEEPEST = 2000, 20
"""Of a config; the released code's have about 40 entries, four deep."""


@dataclass(frozen=True, kw_only=True)
class GargConfig:
    """What a config says of a GPT-2 model."""

    n_dims: int
    n_embd: int
    n_head: int
    n_layer: int
    n_positions: int
    """Points of the longest prompt; each takes two positions."""
    task: LinearRegression
    """The law of the prompts at the end of the curriculum."""
    training: dict[str, Any]
    """The training section as it was written, as plain JSON types."""


def read_garg_config(path: Path) -> GargConfig:
    """Read a config of the released code.

    Raises ValueError for broken YAML, another architecture, missing or wrong sizes, and a task that
    `LinearRegression` cannot describe.
    """
    settings = _Settings(path, _load(path))
    family = settings.get("model.family")
    if family != "gpt2":
        raise ValueError(
            f"{path} describes a model of family {family!r}; only GPT-2 backbones can be imported (family 'gpt2'). "
            "Give the run folder of a transformer."
        )
    sizes = {name: settings.count(f"model.{name}") for name in ("n_dims", "n_embd", "n_head", "n_layer", "n_positions")}
    if sizes["n_embd"] % sizes["n_head"] != 0:
        raise ValueError(
            f"{path}: model.n_head must divide model.n_embd, got {sizes['n_head']} heads for a width of "
            f"{sizes['n_embd']}. Restore the config that the run was started with."
        )
    task = _read_task(settings, n_dims=sizes["n_dims"], n_positions=sizes["n_positions"])
    return GargConfig(**sizes, task=task, training=dict(settings.section("training")))


def _read_task(settings: "_Settings", *, n_dims: int, n_positions: int) -> LinearRegression:
    path = settings.path
    name = settings.get("training.task")
    if not isinstance(name, str) or name not in TASKS:
        raise ValueError(
            f"{path}: the model was trained on the task {name!r}; this tool imports linear regression runs "
            f"({', '.join(TASKS)}). Give the run folder of one."
        )
    data = settings.get("training.data", "gaussian")
    if not isinstance(data, str) or data not in DATA:
        raise ValueError(f"{path}: training.data must be {' or '.join(map(repr, DATA))}, got {data!r}.")
    keywords = settings.section("training.task_kwargs")
    unknown = [key for key in keywords if key not in TASKS[name]]
    if unknown:
        raise ValueError(
            f"{path}: training.task_kwargs has {', '.join(unknown)}, which {name} does not know; it takes "
            f"{', '.join(TASKS[name])}. What the prompts were cannot be told."
        )
    if keywords.get("renormalize_ys"):
        raise ValueError(
            f"{path}: training.task_kwargs.renormalize_ys divides the targets by their spread over a batch, which no "
            "task of ours does; a model trained so cannot be imported."
        )
    n_used = settings.count("training.curriculum.dims.end", n_dims)
    if n_used < n_dims:
        raise ValueError(
            f"{path}: training ended with {n_used} of the {n_dims} input coordinates in use "
            "(training.curriculum.dims.end) and the others at 0, which no task of ours does; a model trained so cannot "
            "be imported."
        )
    # More coordinates than there are, or none said: the released code's own defaults for the sparse task.
    sparsity = min(settings.count("training.task_kwargs.sparsity", SPARSITY), n_dims) if "sparse" in name else 0
    n_points = settings.count("training.curriculum.points.end", n_positions)
    if n_points > n_positions:
        raise ValueError(
            f"{path}: training.curriculum.points.end is {n_points}, and the model has positions for "
            f"{n_positions} points (model.n_positions). Restore the config that the run was started with."
        )
    return LinearRegression(
        dim=n_dims,
        n_points=n_points,
        inputs="gaussian",
        covariance=DATA[data],
        weight_scale=settings.scale("training.task_kwargs.scale", 1.0),
        sparsity=sparsity,
        noise_std=settings.scale("training.task_kwargs.noise_std", 0.0),
    )


def _load(path: Path) -> Any:
    """The config in JSON's types. Aliases are written out, and what JSON lacks (dates, infinities) becomes text."""
    try:
        content = yaml.safe_load(path.read_bytes())
        return _plain(content, count())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = "it nests too deep" if isinstance(error, RecursionError) else " ".join(str(error).split())
        raise ValueError(f"{path} is not plain YAML ({problem}); restore it from the original run.") from None


def _plain(value: Any, entries: Iterator[int], depth: int = 0) -> Any:
    """A copy in JSON's types. ``entries`` counts what has been copied: aliases can stand for any number of entries."""
    if depth > DEEPEST or next(entries) >= MOST_ENTRIES:
        raise ValueError(f"it holds more than {MOST_ENTRIES} entries, or nests more than {DEEPEST} deep")
    if isinstance(value, Mapping):
        return {str(key): _plain(inner, entries, depth + 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner, entries, depth + 1) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    return value if value is None or isinstance(value, (bool, int, float, str)) else str(value)


@dataclass(frozen=True)
class _Settings:
    """A parsed config, read by dotted names and checked."""

    path: Path
    content: Any

    def get(self, name: str, default: Any = None) -> Any:
        """The value at a dotted name, or the default where there is none."""
        value = self.content
        for index, key in enumerate(name.split(".")):
            if value is None:
                break
            if not isinstance(value, Mapping):
                where = ".".join(name.split(".")[:index])
                raise ValueError(
                    f"{self.path}: {where or 'the file'} must be a section of named settings, got a "
                    f"{type(value).__name__}. Expected the config.yaml that the released code writes."
                )
            value = value.get(key)
        return default if value is None else value

    def section(self, name: str) -> Mapping[str, Any]:
        """A section, empty where there is none."""
        value = self.get(name, {})
        if not isinstance(value, Mapping):
            raise ValueError(f"{self.path}: {name} must be a section of named settings, got {value!r}.")
        return value

    def count(self, name: str, default: int | None = None) -> int:
        """A whole number of at least 1."""
        value = self.get(name, default)
        if type(value) is not int or value < 1:
            came = "nothing" if value is None else repr(value)
            raise ValueError(f"{self.path}: {name} must be a whole number of at least 1, got {came}.")
        return value

    def scale(self, name: str, default: float) -> float:
        """A finite number of at least 0."""
        value = self.get(name, default)
        if type(value) not in (int, float) or not 0 <= value < math.inf:
            raise ValueError(f"{self.path}: {name} must be a finite number of at least 0, got {value!r}.")
        return float(value)
