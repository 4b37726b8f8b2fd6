"""Language models from local folders. No request may leave the machine: sockets are cut."""

import copy
import json
import shutil
import socket
import warnings
from pathlib import Path
from typing import Any

import huggingface_hub.constants
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch.testing import assert_close
from transformers.utils import logging

import interp
from interp.models.folders import describe_model, is_hugging_face_folder, named_parameters, weights_checksum
from interp.models.hugging_face import load_hugging_face
from interp.models.language import evaluation_sequences
from tests.errors import raises_exactly
from tests.models.language_folders import (
    bare_bert,
    bert,
    edit_config,
    edit_weights,
    gpt2,
    llama,
    mamba,
    opt,
    t5,
    write_folder,
)


@pytest.fixture(autouse=True)
def cut_off(monkeypatch):
    def refuse(*args, **kwargs):
        raise AssertionError("a request left the machine")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """A folder of each model, written once."""
    place = tmp_path_factory.mktemp("folders")
    makers = (gpt2, llama, opt, bert, bare_bert, t5, mamba)
    return {make.__name__: write_folder(place / make.__name__, make()) for make in makers}


@pytest.fixture
def folder(folders, tmp_path):
    """The folder of a GPT-2, to be damaged."""
    return Path(shutil.copytree(folders["gpt2"], tmp_path / "mine"))


@pytest.mark.parametrize("make", [gpt2, llama, opt], ids=lambda make: make.__name__)
def test_it_answers_as_the_model_in_the_folder(folders, make):
    bridge = load_hugging_face(folders[make.__name__])
    tokens = evaluation_sequences(bridge, n_sequences=3).tokens
    with torch.no_grad():
        assert_close(bridge(tokens), make()(tokens).logits, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("make", [gpt2, llama, opt], ids=lambda make: make.__name__)
def test_its_named_parameters_are_those_of_the_model_each_once(folders, make):
    """TransformerLens splits what GPT-2 keeps in one matrix, and keeps the matrix beside the parts."""
    ours = named_parameters(load_hugging_face(folders[make.__name__])).values()
    theirs = list(make().parameters())
    assert sum(values.numel() for values in ours) == sum(values.numel() for values in theirs)
    total = sum(values.double().square().sum().item() for values in ours)
    assert total == pytest.approx(sum(values.double().square().sum().item() for values in theirs), rel=1e-12)


def test_the_public_loader_takes_a_path_absolute_or_relative(folders, monkeypatch):
    monkeypatch.chdir(folders["gpt2"].parent)
    checksums = {describe_model(interp.load(path)).checksum for path in ("./gpt2", "gpt2", folders["gpt2"])}
    assert len(checksums) == 1


def test_a_model_says_where_it_comes_from(folders):
    bridge = interp.load(folders["gpt2"])
    info = describe_model(bridge)
    assert (info.name, info.source, info.seed, info.recipe) == (str(folders["gpt2"]), "hugging face", None, None)
    assert info.checksum == weights_checksum(bridge)
    assert set(info.versions) == {"interp", "torch", "transformer-lens", "numpy", "transformers"}


def test_an_untrained_twin_is_loaded_by_name(folders):
    path = folders["llama"]
    twin, again, other = (interp.load(f"untrained:{path},seed={seed}") for seed in (3, 3, 4))
    assert describe_model(twin).name == f"untrained:{path},seed=3"
    assert describe_model(twin).source == "untrained"
    checksums = [describe_model(model).checksum for model in (twin, again, other, interp.load(path))]
    assert checksums[0] == checksums[1]
    assert len(set(checksums)) == 3


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_into_single(folder, dtype):
    edit_weights(folder, lambda weights: weights.update({name: values.to(dtype) for name, values in weights.items()}))
    edit_config(folder, dtype=str(dtype).removeprefix("torch."))
    bridge = load_hugging_face(folder)
    assert {parameter.dtype for parameter in bridge.parameters()} == {torch.float32}
    assert torch.equal(bridge.W_E, load_file(folder / "model.safetensors")["transformer.wte.weight"].float())


def test_weights_may_lie_in_several_files(folder):
    weights = load_file(folder / "model.safetensors")
    whole = describe_model(load_hugging_face(folder)).checksum
    (folder / "model.safetensors").unlink()
    parts = {"part-1.safetensors": list(weights)[::2], "part-2.safetensors": list(weights)[1::2]}
    for part, names in parts.items():
        save_file({name: weights[name] for name in names}, folder / part, metadata={"format": "pt"})
    index = {"metadata": {}, "weight_map": {name: part for part, names in parts.items() for name in names}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    assert describe_model(load_hugging_face(folder)).checksum == whole
    (folder / "part-2.safetensors").unlink()
    with raises_exactly(
        ValueError, f"{folder} has no part-2.safetensors, which holds some of its weights; fetch the file again."
    ):
        load_hugging_face(folder)


def test_loading_is_silent_and_leaves_the_users_settings(folders, capfd):
    before = (logging.get_verbosity(), logging.is_progress_bar_enabled(), huggingface_hub.constants.HF_HUB_OFFLINE)
    filters = copy.copy(warnings.filters)
    load_hugging_face(folders["gpt2"])
    with pytest.raises(ValueError, match="encoder"):
        load_hugging_face(folders["bert"])
    assert capfd.readouterr() == ("", "")
    after = (logging.get_verbosity(), logging.is_progress_bar_enabled(), huggingface_hub.constants.HF_HUB_OFFLINE)
    assert (after, warnings.filters) == (before, filters)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bert", "{} holds BertForMaskedLM, an encoder; give a causal language model, such as GPT-2."),
        ("bare_bert", "{} holds BertModel, an encoder; give a causal language model, such as GPT-2."),
        (
            "t5",
            "{} holds T5ForConditionalGeneration, an encoder with a decoder; give a causal language model, such as "
            "GPT-2.",
        ),
        (
            "mamba",
            "MambaForCausalLM has no attention patterns to hook in 2 of its 2 layers (0, 1); heads can be studied "
            "where every layer attends.",
        ),
    ],
)
def test_what_is_no_causal_transformer_is_refused(folders, name, message):
    with raises_exactly(ValueError, message.format(folders[name])):
        load_hugging_face(folders[name])


def without_tokenizer(folder: Path) -> None:
    for path in folder.glob("tokenizer*"):
        path.unlink()


def only_a_pickle(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    torch.save({"lm_head.weight": torch.zeros(2)}, folder / "pytorch_model.bin")


def an_index(folder: Path, content: Any) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(json.dumps(content))


DAMAGES: dict[str, tuple[Any, str]] = {
    "no tokenizer": (
        without_tokenizer,
        "{} has no tokenizer (none of tokenizer.json, tokenizer.model, vocab.json, vocab.txt, spiece.model, "
        "sentencepiece.bpe.model); save the model's own beside it, with tokenizer.save_pretrained.",
    ),
    "a damaged tokenizer": (
        lambda folder: (folder / "tokenizer.json").write_text("{"),
        "The tokenizer in {} cannot be read: Expecting property name enclosed in double quotes: line 1 column 2 "
        "(char 1)",
    ),
    "no weights": (
        lambda folder: (folder / "model.safetensors").unlink(),
        "{} has no model.safetensors. Save the model with transformers' save_pretrained.",
    ),
    "only a pickle": (
        only_a_pickle,
        "{} has no model.safetensors. It holds pytorch_model.bin, a pickle: those can run code and are never opened "
        "here. Save the model with transformers' save_pretrained.",
    ),
    "a pickle behind the index": (
        lambda folder: an_index(folder, {"weight_map": {"lm_head.weight": "evil.bin"}}),
        "{}/model.safetensors.index.json names evil.bin; weights are read from safetensors alone.",
    ),
    "an index of nothing": (
        lambda folder: an_index(folder, {}),
        "{}/model.safetensors.index.json does not say which file holds which weight; fetch it again.",
    ),
    "a missing weight": (
        lambda folder: edit_weights(folder, lambda weights: weights.pop("transformer.h.1.mlp.c_fc.weight")),
        "{} lacks weights that its config.json describes: transformer.h.1.mlp.c_fc.weight. Save the whole model again.",
    ),
    "a weight of another shape": (
        lambda folder: edit_weights(
            folder, lambda weights: weights.update({"transformer.wpe.weight": torch.zeros(64, 32)})
        ),
        "{} holds weights of other shapes than its config.json describes: transformer.wpe.weight. Save the whole "
        "model again.",
    ),
    "weights that are not numbers": (
        lambda folder: edit_weights(folder, lambda weights: weights["transformer.wpe.weight"].fill_(torch.nan)),
        "{} holds weights that are NaN or infinite: transformer.wpe.weight. Save the whole model again.",
    ),
    "quantised weights": (
        lambda folder: edit_config(folder, quantization_config={"quant_method": "gptq", "bits": 4}),
        "{} holds quantised weights; give those of full precision.",
    ),
    "an architecture unknown to TransformerLens": (
        lambda folder: edit_config(folder, architectures=["CTRLLMHeadModel"], model_type="ctrl"),
        "{} holds CTRLLMHeadModel, an architecture that TransformerLens does not know.",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_bad_folders_are_refused_in_one_message(folder, damage):
    change, message = DAMAGES[damage]
    change(folder)
    with raises_exactly(ValueError, message.format(folder)):
        load_hugging_face(folder)


@pytest.mark.parametrize("kept", [0, 5, 200, -1])
def test_truncated_weights_are_refused(folder, kept):
    path = folder / "model.safetensors"
    path.write_bytes(path.read_bytes()[:kept])
    with pytest.raises(ValueError, match=r"is truncated or not a safetensors file \(.+\); fetch it again\.$"):
        load_hugging_face(folder)


@pytest.mark.parametrize(
    "fields",
    [
        {"model_type": "mine", "architectures": ["MyModel"]},
        {"model_type": "mine", "auto_map": {"AutoConfig": "mine.MyConfig", "AutoModelForCausalLM": "mine.MyModel"}},
        {"model_type": None, "architectures": ["MyModel"]},
        {"n_layer": "two"},
    ],
    ids=["unknown", "with code of its own", "unsaid", "ill-typed"],
)
def test_a_config_that_transformers_cannot_read_is_refused(folder, fields):
    edit_config(folder, **fields)
    (folder / "mine.py").write_text("raise AssertionError('code from the folder was run')")
    with pytest.raises(ValueError, match=r"config\.json does not describe a model that transformers knows: "):
        load_hugging_face(folder)


def test_a_folder_is_known_by_its_config(folder, tmp_path):
    assert is_hugging_face_folder(folder)
    assert not is_hugging_face_folder(tmp_path)
    (folder / "config.json").write_text("{")
    assert not is_hugging_face_folder(folder)
    (folder / "config.json").write_text('{"schema": "interp-run/1", "model_type": "gpt2"}')
    assert not is_hugging_face_folder(folder)
