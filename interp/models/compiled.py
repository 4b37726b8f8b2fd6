"""Compiled models, whose hooks are never passed over."""

from collections.abc import Callable
from typing import Any

import torch

from interp._usage import UsageError
from interp.models.any_model import AnyModel
from interp.models.hooks import is_hooked
from interp.models.regressor import RegressionModel

NARROW = 32
"""Width of the stream below which a model is compiled for one core of the CPU."""


def compile_model(model: AnyModel) -> None:
    """Let a model be called through torch.compile, in place; on CUDA with CUDA graphs.

    A call while a hook sits on any part of the model runs the ordinary code instead, so that every hook is called.
    The first call of a new shape takes seconds to compile. A copy of the model is not compiled. Raises ValueError for
    language models, which TransformerLens calls in ways of its own.
    """
    if not isinstance(model, RegressionModel):
        raise UsageError(
            f"Only models of in-context regression are compiled, this is a {type(model).__name__}; leave compile out."
        )
    eager = model._call_impl
    compiled = torch.compile(eager, options=compiler_options(next(model.parameters()).device, model.cfg.d_model))
    # What torch.nn.Module.compile sets; a module's own call looks here first, and copies leave it out.
    model._compiled_call_impl = _unless_hooked(model, eager, compiled)


def compiler_options(device: torch.device, d_model: int) -> dict[str, Any]:
    """What torch.compile is told: on CUDA to use graphs, on the CPU to leave narrow models to one core.

    Over two cores the CPU's code for streams of a dozen coordinates takes five times as long, most of it at barriers.
    """
    if device.type == "cuda":
        return {"triton.cudagraphs": True}
    return {"cpp.threads": 1} if d_model < NARROW else {}


def is_compiled(model: torch.nn.Module) -> bool:
    """Whether calls of the model go through torch.compile as long as nobody hooks it."""
    return model._compiled_call_impl is not None


def _unless_hooked(
    model: RegressionModel, eager: Callable[..., Any], compiled: Callable[..., Any]
) -> Callable[..., Any]:
    def call(*args: Any, **kwargs: Any) -> Any:
        # torch.compile reads no hooks that were added since, and would leave them out without a word.
        if is_hooked(model):
            return eager(*args, **kwargs)
        answers = compiled(*args, **kwargs)
        # A CUDA graph puts the answers of every call into the same memory.
        return answers.clone() if answers.is_cuda else answers

    return call
