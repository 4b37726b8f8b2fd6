"""Put a finished run into the zoo: ``python -m interp.training.pack RUN NAME "What it shows." [--bare]``."""

import hashlib
import json
import sys
from pathlib import Path

from safetensors.torch import save as save_safetensors

from interp._files import write_atomically
from interp.models.folders import CONFIG, WEIGHTS, load_folder, read_config, read_safetensors
from interp.models.zoo import INDEX, zoo_entries
from interp.training.checkpoints import checkpoint_path, checkpoint_steps
from interp.training.metrics import METRICS, read_metrics

MOST_METRICS = 600
"""Lines of metrics.jsonl that are kept."""


def pack(run: Path | str, name: str, shows: str, *, bare: bool = False, index: Path = INDEX) -> Path:
    """Copy a run into the zoo as model ``name``: weights, config, thinned metrics, bare checkpoints.

    ``shows`` says in one line what the model is good for; ``bare`` leaves the checkpoints out, which are as large as
    the model each. Returns the new folder, beside ``index``. Raises FileNotFoundError for unfinished runs, ValueError
    for runs without a recipe, and whatever `load_folder` raises.
    """
    run, folder = Path(run), index.parent / name
    model = load_folder(run)
    content = read_config(run)
    if not content.get("recipe") or content.get("source") == "import":
        raise ValueError(f"{run} was not trained by a recipe; the zoo holds models that can be trained again.")
    folder.mkdir(parents=True, exist_ok=True)
    if not bare:
        (folder / "checkpoints").mkdir(exist_ok=True)
    for step in checkpoint_steps(folder):
        checkpoint_path(folder, step).unlink()
    for file in (CONFIG, WEIGHTS):
        write_atomically(folder / file, (run / file).read_bytes())
    for step in [] if bare else checkpoint_steps(run):
        weights = read_safetensors(checkpoint_path(run, step))
        kept = {key: value for key, value in weights.items() if key.startswith("model.")}
        write_atomically(checkpoint_path(folder, step), save_safetensors(kept))
    lines = read_metrics(run)
    stride = -(-len(lines) // MOST_METRICS)
    write_atomically(folder / METRICS, "".join(json.dumps(line) + "\n" for line in lines[:: max(1, stride)]))
    entries = json.loads(index.read_text()) if index.is_file() else {}
    entries[name] = {
        "shows": shows,
        "recipe": content["recipe"]["name"],
        "seed": content["seed"],
        "n_parameters": sum(parameter.numel() for parameter in model.parameters()),
        "sha256": hashlib.sha256((folder / WEIGHTS).read_bytes()).hexdigest(),
    }
    write_atomically(index, json.dumps(dict(sorted(entries.items())), indent=2) + "\n")
    zoo_entries.cache_clear()
    return folder


if __name__ == "__main__":
    places = [argument for argument in sys.argv[1:] if argument != "--bare"]
    if len(places) != 3:
        sys.exit(__doc__)
    sys.stdout.write(f"Wrote {pack(*places, bare='--bare' in sys.argv)}\n")
