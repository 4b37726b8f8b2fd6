"""What a report on a language model is made with."""

from dataclasses import dataclass

LEAST_SEQUENCES = 4


@dataclass(frozen=True, kw_only=True)
class LanguageReportOptions:
    """What a report on a language model is made with. Raises ValueError for fewer than 4 sequences."""

    n_sequences: int = 16
    """Sequences to find heads on; as many others to confirm them on."""
    period: int = 50
    """Random tokens of a sequence, which come twice."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_sequences < LEAST_SEQUENCES:
            raise ValueError(
                f"A report takes intervals over sequences and needs at least {LEAST_SEQUENCES}, got {self.n_sequences}."
            )
