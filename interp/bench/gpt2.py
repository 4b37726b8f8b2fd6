"""Training of GPT-2-shaped models, against Hugging Face's GPT-2 fed the same embeddings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Self

from jaxtyping import Float
from torch import Tensor, nn
from transformers import GPT2Config, GPT2Model

from interp.bench.comparison import Comparison
from interp.bench.options import BenchOptions
from interp.bench.plain_transformer import plain_weights
from interp.bench.timing import WARM_UPS, cpu_threads, side_by_side
from interp.bench.updates import Batch
from interp.models.compiled import compile_model
from interp.models.config import TransformerConfig
from interp.models.transformer import RegressionTransformer

REQUIRED_RATIO, REQUIRED_COMPILED = 1.0, 1.2
THREADS = (1, 2)


@dataclass(frozen=True, kw_only=True)
class Case:
    """Whose updates are timed."""

    recipe: str
    n_prompts: int = 64
    n_updates: int = 1
    """Updates of a run: several, where one is over at once."""
    compile: bool = False
    """Whether ours runs through torch.compile. Theirs never does."""


_EAGER = (Case(recipe="garg-tiny", n_updates=4), Case(recipe="garg-small"), Case(recipe="garg-standard", n_prompts=16))
CASES = (*_EAGER, *(replace(case, compile=True) for case in _EAGER))


class HuggingFaceGPT2(nn.Module):
    """`GPT2Model` between a linear read-in and a linear readout, as in the released code of Garg et al. (2022)."""

    def __init__(self, cfg: TransformerConfig) -> None:
        super().__init__()
        config = GPT2Config(
            n_positions=cfg.n_ctx,
            n_embd=cfg.d_model,
            n_layer=cfg.n_layers,
            n_head=cfg.n_heads,
            n_inner=cfg.d_mlp,
            resid_pdrop=0.0,
            embd_pdrop=0.0,
            attn_pdrop=0.0,
            vocab_size=1,
            bos_token_id=0,
            eos_token_id=0,
            use_cache=False,
            attn_implementation="sdpa",
        )
        self.read_in = nn.Linear(cfg.d_token, cfg.d_model)
        self.gpt2 = GPT2Model(config)
        del self.gpt2.wte  # tokens come as embeddings
        self.read_out = nn.Linear(cfg.d_model, 1)

    @classmethod
    def like(cls, model: RegressionTransformer) -> Self:
        """With the weights of a model of that shape, on its device and in its precision."""
        parameter = next(model.parameters())
        theirs = cls(model.cfg).to(parameter.device, parameter.dtype)
        theirs.load_state_dict(gpt2_names(plain_weights(model)))
        return theirs

    def forward(self, tokens: Float[Tensor, "prompt pos d_token"]) -> Float[Tensor, "prompt point"]:
        """Predictions at every x."""
        states = self.gpt2(inputs_embeds=self.read_in(tokens)).last_hidden_state
        return self.read_out(states)[:, ::2, 0]


def compare_gpt2(
    options: BenchOptions, cases: Sequence[Case] = CASES, threads: Sequence[int] = THREADS
) -> list[Comparison]:
    """Seconds per update on one batch, with one CPU thread and with two, in float32 and with the same optimiser.

    Raises ValueError where predictions or gradients of the two models, given the same weights, differ.
    """
    return [_compare(case, n_threads, options) for case in cases for n_threads in threads]


def gpt2_names(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights of `PlainTransformer` by the names that `HuggingFaceGPT2` has them by; its matrices are transposed."""
    renamed = {
        "positions": "gpt2.wpe.weight",
        "ln_final": "gpt2.ln_f",
        "blocks": "gpt2.h",
        "ln1": "ln_1",
        "qkv": "attn.c_attn",
        "out": "attn.c_proj",
        "ln2": "ln_2",
        "mlp.0": "mlp.c_fc",
        "mlp.2": "mlp.c_proj",
    }
    theirs = {}
    for name, values in weights.items():
        path = f".{name}."
        for ours, other in renamed.items():
            path = path.replace(f".{ours}.", f".{other}.")
        transposed = path.startswith(".gpt2.h.") and values.ndim == 2
        theirs[path.strip(".")] = values.T if transposed else values
    return theirs


def _compare(case: Case, n_threads: int, options: BenchOptions) -> Comparison:
    batch = Batch.of(case.recipe, case.n_prompts, options.device)
    theirs = HuggingFaceGPT2.like(batch.model)
    with cpu_threads(n_threads):
        difference = batch.require_same(
            theirs, lambda model: gpt2_names(plain_weights(model, gradients=True)), "Hugging Face's GPT-2"
        )
        if case.compile:
            compile_model(batch.model)
        works = {"ours": batch.updating(batch.model, case.n_updates), "theirs": batch.updating(theirs, case.n_updates)}
        for warm_up in works.values():
            for _ in range(WARM_UPS if case.compile else 1):
                warm_up()
        seconds = side_by_side(works, options.repeats, options.device, f"{case.recipe}, {n_threads} threads")
    return Comparison(
        part="training",
        unit=f"update of {case.recipe}{', compiled' if case.compile else ''}",
        reference_name="Hugging Face GPT2Model",
        ours_runs=tuple(run / case.n_updates for run in seconds["ours"]),
        reference_runs=tuple(run / case.n_updates for run in seconds["theirs"]),
        required_ratio=REQUIRED_COMPILED if case.compile else REQUIRED_RATIO,
        largest_difference=difference,
        device=options.device.type,
        n_threads=n_threads,
        note=(
            f"loss, gradients and fused AdamW on one batch of {case.n_prompts} prompts, drawn before; sdpa attention, "
            "no dropout, linear read-in and readout around GPT2Model; the difference is of predictions and gradients "
            "in double precision"
        ),
    )
