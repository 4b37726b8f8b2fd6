"""What can be read linearly from each layer."""

from dataclasses import dataclass
from typing import ClassVar, final

from interp._names import unknown_name
from interp.matching import TARGETS, probe_layers
from interp.models.any_model import AnyModel
from interp.sweeps.analyses.analysis import AbstractAnalysis, Measured, Number, require_at_least


@final
@dataclass(frozen=True, kw_only=True)
class Readouts(AbstractAnalysis):
    """Held-out R2 of linear readouts of every layer, with controls, as `probe_layers` finds it."""

    kind: ClassVar[str] = "probe"
    title: ClassVar[str] = "What can be read from each layer"
    introduction: ClassVar[str] = (
        "R2 of linear readouts, fitted on one half of the prompts and scored on the other, beside untrained twins and "
        "shuffled targets; the drawings show the layer that each target reads best from."
    )
    drawn: ClassVar[dict[str, str]] = {f"probe_{target}": f"best R2 for {target}" for target in TARGETS}
    drawn_beside: ClassVar[dict[str, tuple[str, str]]] = {
        f"probe_{target}": (f"probe_{target}_random_init", "untrained twins") for target in TARGETS
    }

    n_prompts: int = 512
    n_queries: int = 32
    """Queries asked of each context, for models that predict the query alone."""
    targets: tuple[str, ...] = ("next_y", "w_ols")

    def __post_init__(self) -> None:
        require_at_least(self.kind, "n_prompts", self.n_prompts, 8)
        require_at_least(self.kind, "n_queries", self.n_queries, 1)
        require_at_least(self.kind, "number of targets", len(self.targets), 1)
        for target in self.targets:
            if target not in TARGETS:
                raise unknown_name(f"target of the analysis {self.kind!r}", target, TARGETS)

    def measure(self, model: AnyModel) -> Measured:
        """Scores of every layer and target; the numbers are each target's best over the layers, and the twins'."""
        prompts = self.sample(model, self.n_prompts)
        table = probe_layers(model, prompts, self.targets, n_queries=self.n_queries, seed=self.seed)
        numbers: dict[str, Number] = {}
        for target in self.targets:
            rows = table[table["target"] == target]
            numbers[f"probe_{target}"] = float(rows["r2"].max())
            numbers[f"probe_{target}_random_init"] = float(rows["random_init"].max())  # they choose their layer too
        return Measured(numbers=numbers, table=table)
