"""Half of the prompts, as the layers of a model answer them, batch by batch."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace

from jaxtyping import Float
from torch import Tensor

from interp.matching.batches import beside_another
from interp.matching.induced import Decoder, native_decoder, sensitivities
from interp.matching.observed import Observed
from interp.matching.readouts import native_predictions, problems_of, states_of_batch
from interp.models.protocol import HookedRegressor
from interp.solvers import Regressions
from interp.tasks import Prompts, PromptSource
from probes import LinearProbes, PromptwiseRidge


@dataclass(frozen=True)
class Readout:
    """How the layers of a model are read."""

    predict: Callable[[Float[Tensor, "layer prompt column d_model"]], Float[Tensor, "layer prompt column"]]
    decoder: Decoder


@dataclass(frozen=True)
class StateBatch:
    """Some prompts, the problems that their states are held against, and the states."""

    prompts: Prompts
    problems: Regressions
    states: Float[Tensor, "layer prompt column d_model"]


@dataclass(frozen=True)
class Seen:
    """Some prompts as they were answered, and those of them, where there are any, of which the induced weights are."""

    answers: Observed
    weighed: Observed | None


@dataclass(kw_only=True)
class Half:
    """Half of the prompts and a model. The first batch of each kind is kept: a half of one batch is computed once."""

    model: HookedRegressor
    source: PromptSource
    batch_size: int
    first_column: int
    n_weighed: int
    """How many prompts, the first ones, are to have induced weights."""
    mismatched: bool
    """Whether each prompt's hidden states go with the targets and the data of another prompt."""
    _first_states: StateBatch | None = field(default=None, init=False)
    _first_seen: Seen | None = field(default=None, init=False)

    def __len__(self) -> int:
        return len(self.source)

    def states(self) -> Iterator[StateBatch]:
        """Hidden states and problems of all prompts."""
        for start, prompts, asked in self._batches():
            if start == 0 and self._first_states is not None:
                yield self._first_states
                continue
            states = states_of_batch(self.model, self.source, prompts)
            batch = StateBatch(prompts, problems_of(self.model, asked), states)
            if start == 0:
                self._first_states = batch
            yield batch

    def seen(self, readout: Readout) -> Iterator[Seen]:
        """All prompts, observed through a readout: the same one every time."""
        start = 0
        for batch in self.states():
            if start == 0 and self._first_seen is not None:
                yield self._first_seen
            else:
                seen = self._see(batch, readout, self.n_weighed - start)
                if start == 0:
                    self._first_seen = seen
                yield seen
            start += len(batch.prompts)

    def first(self, count: int, readout: Readout) -> Observed:
        """The answers to the first ``count`` prompts, all if there are no more."""
        parts: list[Observed] = []
        for seen in self.seen(readout):
            parts.append(seen.answers)
            if sum(map(len, parts)) >= count:
                break
        return Observed.join(parts).first_prompts(count)

    def _see(self, batch: StateBatch, readout: Readout, n_weighed: int) -> Seen:
        answers = Observed(
            predictions=readout.predict(batch.states).to(batch.problems.targets),
            problems=batch.problems,
            first_column=self.first_column,
        )
        if n_weighed <= 0:
            return Seen(answers, None)
        weights = sensitivities(self.model, batch.prompts[:n_weighed], readout.decoder)
        return Seen(answers, replace(answers.first_prompts(n_weighed), weights=weights.to(batch.problems.targets)))

    def _batches(self) -> Iterator[tuple[int, Prompts, Prompts]]:
        """Number of the first prompt, the prompts that the model is given, and those that the solvers are given."""
        pairs = (
            beside_another(self.source, self.batch_size)
            if self.mismatched
            else ((batch, batch) for batch in self.source.batches(self.batch_size))
        )
        start = 0
        for prompts, asked in pairs:
            yield start, prompts, asked
            start += len(prompts)


def fit_readout(half: Half, kind: str) -> Readout:
    """The model's own readout (``native``), or one for each layer fitted to the half (``refitted``)."""
    if kind == "native":
        model = half.model
        return Readout(lambda states: native_predictions(model, states), native_decoder(model))
    kept = slice(half.first_column, None)
    fitter = PromptwiseRidge(len(half))
    for batch in half.states():
        targets = batch.problems.targets[:, kept, None]
        fitter.update(batch.states[:, :, kept], targets.to(batch.states.device))
    probes = fitter.probes()
    return Readout(lambda states: probes(states)[..., 0], _decoder_of(probes))


def _decoder_of(probes: LinearProbes) -> Decoder:
    return lambda layer, resid: probes.read(layer, resid)[..., 0]
