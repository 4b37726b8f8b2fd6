import pytest
import torch

import interp
from interp._precision import check_precision, computing_in
from interp.models.folders import read_config, weights_checksum
from interp.training import train
from tests.errors import raises_exactly
from tests.training.recipes import distance, tiny_recipe


def test_in_bf16_products_keep_seven_bits_and_weights_stay_as_they_are():
    a, b = (torch.randn(8, 64, generator=torch.Generator().manual_seed(seed)) for seed in (0, 1))
    with computing_in("bf16", "cpu"):
        product = a @ b.T
    assert product.dtype == torch.bfloat16
    assert torch.equal(product, (a.bfloat16() @ b.bfloat16().T))
    assert (a @ b.T).dtype == torch.float32


def test_training_in_bf16_differs_and_stays_near(tmp_path):
    recipe = tiny_recipe(steps=10, warmup=0)
    exact, rough = train(recipe), train(recipe, tmp_path / "run", precision="bf16")
    assert weights_checksum(exact) != weights_checksum(rough)
    assert {parameter.dtype for parameter in rough.parameters()} == {torch.float32}
    assert distance(rough, exact) < 0.05 * distance(exact.untrained_twin(0), exact)
    assert read_config(tmp_path / "run")["precision"] == "bf16"


def test_a_run_goes_on_in_its_own_precision_alone(tmp_path):
    recipe = tiny_recipe(steps=4, warmup=0)
    train(recipe, tmp_path / "run", precision="bf16")
    with raises_exactly(
        ValueError,
        f"{tmp_path / 'run'} holds a run of another recipe, seed or precision (precision bf16 there, fp32 here); "
        "resume with the same ones, or give another --out.",
    ):
        train(recipe, tmp_path / "run", resume=True)
    train(recipe, tmp_path / "run", precision="bf16", resume=True)


def test_a_capture_in_bf16_is_near_the_exact_one():
    model = interp.load("garg-tiny")
    tokens = model.tokens(model.task.sample(8, seed=0))
    exact = model.run_with_cache(tokens)[1]["resid_post", 3]
    with computing_in("bf16", "cpu"):
        rough = model.run_with_cache(tokens)[1]["resid_post", 3]
    error = (rough.float() - exact).norm() / exact.norm()
    assert 1e-5 < error < 0.05


def test_precisions_that_a_device_lacks_are_refused(monkeypatch):
    with raises_exactly(
        ValueError,
        "Precision 'tf32' is a mode of CUDA's matrix units, and the device is 'cpu'; use fp32 or bf16 there.",
    ):
        train(tiny_recipe(), precision="tf32")
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: False)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "An old card")
    with raises_exactly(
        ValueError,
        "Precision 'bf16' needs a CUDA device of compute capability 8.0 or more; An old card does not support it. "
        "Use fp32.",
    ):
        check_precision("bf16", "cuda")
    with pytest.raises(ValueError, match="Unknown precision 'fp16'; known are bf16, fp32, tf32"):
        check_precision("fp16", "cpu")


def test_what_was_set_before_is_set_again():
    torch.set_float32_matmul_precision("medium")
    try:
        with computing_in("fp32", "cpu"):
            assert torch.get_float32_matmul_precision() == "highest"
        assert torch.get_float32_matmul_precision() == "medium"
    finally:
        torch.set_float32_matmul_precision("highest")


@pytest.mark.parametrize(("precision", "in_tf32"), [("fp32", False), ("tf32", True)])
def test_cudnn_which_runs_lstms_keeps_to_the_precision_too(monkeypatch, precision, in_tf32):
    """Its own switch is on unless told otherwise; it can be set where there is no such device."""
    monkeypatch.setattr("interp._precision.check_precision", lambda precision, device: None)
    before = torch.backends.cudnn.allow_tf32
    with computing_in(precision, "cuda"):
        assert torch.backends.cudnn.allow_tf32 is in_tf32
    assert torch.backends.cudnn.allow_tf32 is before
