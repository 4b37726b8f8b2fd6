"""From a name or a path to a model."""

from pathlib import Path
from typing import Any

from interp._names import unknown_name
from interp._specs import parse_spec
from interp.models.any_model import AnyModel
from interp.models.constructions import CONSTRUCTIONS, build_construction
from interp.models.folders import (
    ModelInfo,
    current_versions,
    is_hugging_face_folder,
    load_folder,
    weights_checksum,
)
from interp.models.regressor import RegressionModel
from interp.models.zoo import zoo_entries

UNTRAINED = "untrained:"


def load(name_or_path: str | Path) -> AnyModel:
    """Load a zoo model, a run folder, a language model's folder, a construction or an untrained twin.

    Examples: ``load("lsa-1layer")``, ``load("runs/mine")``, ``load("models/gpt2")``, ``load("gd:steps=3,dim=5")``,
    ``load("untrained:lsa-1layer,seed=3")``. A zoo name wins over a folder of the same name; write ``./name`` for the
    folder. Language models come as `TransformerBridge` objects of TransformerLens: those trained here, and causal
    models in a local folder of Hugging Face's, of which nothing is downloaded (see `load_hugging_face`).

    Raises ValueError for an unknown name, naming the nearest, FileNotFoundError for a folder that is not there, and
    whatever `load_folder`, `load_hugging_face` and `build_construction` raise.
    """
    text = str(name_or_path)
    if text.startswith(UNTRAINED):
        return _load_untrained(text)
    if text in zoo_entries():
        entry = zoo_entries()[text]
        entry.verify()
        return load_folder(entry.folder, name=text, source="zoo")
    base, colon, _ = text.partition(":")
    if base in CONSTRUCTIONS:
        name, parameters = parse_spec(text)
        return build_construction(name, parameters)
    if text and (Path(text).exists() or ("/" in text and not colon)):
        return _load_path(Path(text))
    raise unknown_name("model", base, [*zoo_entries(), *CONSTRUCTIONS])


def load_regression(name_or_path: str | Path) -> RegressionModel:
    """Load a model of in-context regression. Raises ValueError for a language model, and whatever `load` raises."""
    model = load(name_or_path)
    if not isinstance(model, RegressionModel):
        raise ValueError(
            f"{name_or_path} is a language model; this takes a model of in-context regression, such as 'lsa-1layer'. "
            f"Study the heads of a language model with: interp heads {name_or_path}"
        )
    return model


def load_language(name_or_path: str | Path) -> Any:
    """Load a language model, as a `TransformerBridge` of TransformerLens.

    Raises ValueError for a model of in-context regression, and whatever `load` raises.
    """
    model = load(name_or_path)
    if isinstance(model, RegressionModel):
        raise ValueError(
            f"{name_or_path} is a model of in-context regression; this takes a language model, such as "
            "'induction-2layer' or the folder of a causal Hugging Face model."
        )
    return model


def _load_path(path: Path) -> AnyModel:
    if not path.is_dir():
        raise FileNotFoundError(
            f"{path} is not a folder; expected a run folder, or a Hugging Face folder on this machine (nothing is "
            "downloaded)."
        )
    if is_hugging_face_folder(path):
        from interp.models.hugging_face import load_hugging_face  # takes seconds to import

        return load_hugging_face(path)
    return load_folder(path)


def _load_untrained(text: str) -> AnyModel:
    """``untrained:NAME,seed=K``: the architecture of NAME with the initial weights of seed K (0 unless said)."""
    parts = text.removeprefix(UNTRAINED).split(",")
    seeds = [part.removeprefix("seed=") for part in parts if part.startswith("seed=")]
    name = ",".join(part for part in parts if not part.startswith("seed="))
    seed_text = seeds[-1] if seeds else "0"
    if not name or len(seeds) > 1 or not seed_text.isdecimal():
        raise ValueError(f"Cannot read {text!r}; expected 'untrained:NAME' or 'untrained:NAME,seed=3'.")
    model = _untrained_twin(load(name), int(seed_text))
    model.info = ModelInfo(
        name=text,
        source="untrained",
        seed=int(seed_text),
        versions=current_versions(),
        checksum=weights_checksum(model),
    )
    return model


def _untrained_twin(model: AnyModel, seed: int) -> AnyModel:
    if isinstance(model, RegressionModel):
        return model.untrained_twin(seed)
    from interp.models.language_twins import untrained_language_twin

    return untrained_language_twin(model, seed)
