"""Where attention heads look."""

from dataclasses import dataclass
from typing import ClassVar, final

from interp.attribution import score_heads
from interp.models.any_model import AnyModel
from interp.models.regressor import RegressionModel
from interp.sweeps.analyses.analysis import AbstractAnalysis, Measured, Number, require_at_least


@final
@dataclass(frozen=True, kw_only=True)
class HeadScores(AbstractAnalysis):
    """Every head's share of attention by where it looks, as `score_heads` finds it."""

    kind: ClassVar[str] = "heads"
    title: ClassVar[str] = "Where heads look"
    introduction: ClassVar[str] = (
        "Shares of attention by offset (of language models, by what the token repeats); the drawings show the head "
        "that scores highest."
    )
    drawn: ClassVar[dict[str, str]] = {
        "heads_previous": "highest attention to the previous token",
        "heads_previous-token": "highest attention to the previous token",
        "heads_induction": "highest attention to the induction token",
    }
    drawn_beside: ClassVar[dict[str, tuple[str, str]]] = {
        number: (f"{number}_chance", "attention without preference") for number in drawn
    }
    of_language_models: ClassVar[bool] = True

    n_prompts: int = 64
    """Prompts, or sequences of a language model."""

    def __post_init__(self) -> None:
        require_at_least(self.kind, "n_prompts", self.n_prompts, 2)

    def measure(self, model: AnyModel) -> Measured:
        """Scores of every head; the numbers are each score's highest, and its chance.

        Raises ValueError for a model without heads.
        """
        table = score_heads(model, self.sample(model, self.n_prompts))
        if not isinstance(model, RegressionModel):
            table = table[["layer", "head", "score", "value", "ci_low", "ci_high", "chance"]]
        scored = table.dropna(subset="value")
        best = scored.loc[scored.groupby("score", sort=False)["value"].idxmax()]
        numbers: dict[str, Number] = {}
        for score, value, chance in best[["score", "value", "chance"]].itertuples(index=False):
            numbers[f"heads_{score}"] = float(value)
            numbers[f"heads_{score}_chance"] = float(chance)
        return Measured(numbers=numbers, table=table)
