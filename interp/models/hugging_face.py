"""Language models from a local Hugging Face folder. Nothing is downloaded, no pickle opened, no code of theirs run."""

import json
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import torch
import transformers
from safetensors import SafetensorError, safe_open
from transformer_lens.model_bridge import TransformerBridge
from transformer_lens.model_bridge.sources.transformers import determine_architecture_from_hf_config
from transformer_lens.utilities.architectures import classify_architecture, classify_model_config
from transformers.utils import logging

from interp.models.folders import CONFIG, WEIGHTS, ModelInfo, current_versions, pickle_advice, weights_checksum
from interp.models.language_checks import check_language_model

INDEX = f"{WEIGHTS}.index.json"
"""Says which file holds which weight, where they lie in several."""

TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json", "vocab.txt", "spiece.model", "sentencepiece.bpe.model")
"""Files of which a tokenizer needs at least one."""


def load_hugging_face(folder: Path | str) -> TransformerBridge:
    """Boot a causal language model from a folder with config.json, safetensors and a tokenizer, on the CPU.

    Weights of any precision become float32: on the CPU that is faster than half of it, and exact. Raises ValueError,
    with one message, for what is no causal language model or not known to TransformerLens, quantised weights, weights
    that are missing, damaged, not finite or pickled, a folder without a tokenizer, and whatever `check_language_model`
    refuses.
    """
    folder = Path(folder)
    with _quiet_and_offline():
        _check_config(folder)
        _check_weights(folder)
        tokenizer = _read_tokenizer(folder)
        weights = _FromSafetensors()
        try:
            bridge = TransformerBridge.boot_transformers(
                str(folder.absolute()), device="cpu", dtype=torch.float32, tokenizer=tokenizer, model_class=weights
            )
        except Exception as error:  # the libraries raise whatever they come across in a folder
            raise ValueError(f"{folder} cannot be loaded by TransformerLens: {_short(error)}") from error
    for fault, names in weights.faults.items():
        if names:
            raise ValueError(f"{folder} {fault}: {_few(names)}. Save the whole model again.")
    check_language_model(bridge)
    bridge.info = ModelInfo(
        name=str(folder),
        source="hugging face",
        versions=current_versions() | {"transformers": version("transformers")},
        checksum=weights_checksum(bridge),
    )
    return bridge


class _FromSafetensors:
    """Loads weights for TransformerLens, from safetensors on this machine alone, and keeps what was wrong with them.

    Left to itself, transformers makes up weights that it does not find, and goes on.
    """

    def __init__(self) -> None:
        self.faults: dict[str, list[str]] = {}

    def from_pretrained(self, folder: str, **options: Any) -> torch.nn.Module:
        model, report = transformers.AutoModelForCausalLM.from_pretrained(
            folder,
            use_safetensors=True,
            local_files_only=True,
            ignore_mismatched_sizes=True,
            output_loading_info=True,
            **options,
        )
        self.faults = {
            f"lacks weights that its {CONFIG} describes": sorted(report["missing_keys"]),
            f"holds weights of other shapes than its {CONFIG} describes": sorted(
                name for name, *_ in report["mismatched_keys"]
            ),
            "holds weights that are NaN or infinite": [
                name for name, parameter in model.named_parameters() if not torch.isfinite(parameter).all()
            ],
        }
        return model


def _check_config(folder: Path) -> None:
    """Raise ValueError unless config.json describes a causal language model that TransformerLens knows."""
    try:
        config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as above
        raise ValueError(
            f"{folder / CONFIG} does not describe a model that transformers knows: {_short(error)}"
        ) from error
    named = ", ".join(config.architectures or ()) or config.model_type
    kind = classify_model_config(config)
    if kind == "causal_lm":
        try:
            kind = classify_architecture(determine_architecture_from_hf_config(config))
        except ValueError:
            raise ValueError(f"{folder} holds {named}, an architecture that TransformerLens does not know.") from None
    if kind != "causal_lm":
        raise ValueError(f"{folder} holds {named}, {_KINDS[kind]}; give a causal language model, such as GPT-2.")
    if getattr(config, "quantization_config", None) is not None:
        raise ValueError(f"{folder} holds quantised weights; give those of full precision.")


_KINDS = {
    "seq2seq": "an encoder with a decoder",
    "masked_lm": "an encoder",
    "multimodal": "a model of more than text",
    "audio": "a model of sound",
    "vision": "a model of images",
}


def _check_weights(folder: Path) -> None:
    """Raise ValueError unless the weights lie there in whole safetensors files."""
    for path in _weight_files(folder):
        if not path.is_file():
            raise ValueError(f"{folder} has no {path.name}, which holds some of its weights; fetch the file again.")
        try:
            with safe_open(path, framework="pt"):
                pass
        except (SafetensorError, OSError) as error:
            raise ValueError(f"{path} is truncated or not a safetensors file ({error}); fetch it again.") from None


def _weight_files(folder: Path) -> list[Path]:
    if (folder / WEIGHTS).is_file():
        return [folder / WEIGHTS]
    index = folder / INDEX
    if not index.is_file():
        raise ValueError(
            f"{folder} has no {WEIGHTS}.{pickle_advice(folder)} Save the model with transformers' save_pretrained."
        )
    try:
        names = set(json.loads(index.read_text())["weight_map"].values())
    except (ValueError, KeyError, TypeError, AttributeError):
        raise ValueError(f"{index} does not say which file holds which weight; fetch it again.") from None
    if foreign := sorted(str(name) for name in names if Path(str(name)).suffix != ".safetensors"):
        raise ValueError(f"{index} names {_few(foreign)}; weights are read from safetensors alone.")
    return sorted(folder / name for name in names)


def _read_tokenizer(folder: Path) -> transformers.PreTrainedTokenizerBase:
    """Read the folder's tokenizer. TransformerLens would make up an empty one where there is none."""
    if not any((folder / name).is_file() for name in TOKENIZERS):
        raise ValueError(
            f"{folder} has no tokenizer (none of {', '.join(TOKENIZERS)}); save the model's own beside it, with "
            "tokenizer.save_pretrained."
        )
    try:
        return transformers.AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:  # as above
        raise ValueError(f"The tokenizer in {folder} cannot be read: {_short(error)}") from error


@contextmanager
def _quiet_and_offline() -> Iterator[None]:
    """No request to a hub, no progress bars and no advice from transformers, as far as they are not the user's own."""
    offline, verbosity, bars = (
        huggingface_hub.constants.HF_HUB_OFFLINE,
        logging.get_verbosity(),
        logging.is_progress_bar_enabled(),
    )
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    logging.set_verbosity(logging.CRITICAL)
    logging.disable_progress_bar()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = offline
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()


def _short(error: Exception) -> str:
    return textwrap.shorten(str(error) or type(error).__name__, 200, placeholder=" ...")


def _few(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
