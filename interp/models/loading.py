"""From a name or a path to a model."""

from pathlib import Path

from interp._names import unknown_name
from interp._specs import parse_spec
from interp.models.constructions import CONSTRUCTIONS, build_construction
from interp.models.folders import ModelInfo, current_versions, load_folder, weights_checksum
from interp.models.regressor import RegressionModel
from interp.models.zoo import zoo_entries

UNTRAINED = "untrained:"


def load(name_or_path: str | Path) -> RegressionModel:
    """Load a zoo model, a run folder, a construction or an untrained twin.

    Examples: ``load("lsa-1layer")``, ``load("runs/mine")``, ``load("gd:steps=3,dim=5")``,
    ``load("untrained:lsa-1layer,seed=3")``. A zoo name wins over a folder of the same name; write ``./name`` for the
    folder. Raises ValueError for an unknown name, naming the nearest, and whatever `load_folder` and
    `build_construction` raise.
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
        return load_folder(text)
    raise unknown_name("model", base, [*zoo_entries(), *CONSTRUCTIONS])


def _load_untrained(text: str) -> RegressionModel:
    """``untrained:NAME,seed=K``: the architecture of NAME with the initial weights of seed K (0 unless said)."""
    parts = text.removeprefix(UNTRAINED).split(",")
    seeds = [part.removeprefix("seed=") for part in parts if part.startswith("seed=")]
    name = ",".join(part for part in parts if not part.startswith("seed="))
    seed_text = seeds[-1] if seeds else "0"
    if not name or len(seeds) > 1 or not seed_text.isdecimal():
        raise ValueError(f"Cannot read {text!r}; expected 'untrained:NAME' or 'untrained:NAME,seed=3'.")
    model = load(name).untrained_twin(int(seed_text))
    model.info = ModelInfo(
        name=text,
        source="untrained",
        seed=int(seed_text),
        versions=current_versions(),
        checksum=weights_checksum(model),
    )
    return model
