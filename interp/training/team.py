"""The processes that train one model together."""

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import torch
from torch import Tensor, nn

from interp.models.any_model import AnyModel
from interp.tasks import Prompts, TokenSequences
from interp.training.objective import loss_of

if TYPE_CHECKING:
    from accelerate import Accelerator

Result = TypeVar("Result")


class Team:
    """One process that trains alone, or as many as ``accelerate launch`` has started, each with a share of every batch.

    The gradient is that of the whole batch in one process: shares may differ by a prompt, and count by their size.
    """

    def __init__(self, device: torch.device | str = "cpu") -> None:
        self._accelerator = _join(device) if launched() > 1 else None
        self.device = torch.device(device) if self._accelerator is None else self._accelerator.device

    @property
    def count(self) -> int:
        """Number of processes."""
        return 1 if self._accelerator is None else self._accelerator.num_processes

    @property
    def leads(self) -> bool:
        """Whether this process is the one that writes files."""
        return self._accelerator is None or self._accelerator.is_main_process

    def check(self, batch_size: int) -> None:
        """Raise ValueError for batches that leave a process without a prompt."""
        if batch_size < self.count:
            raise ValueError(
                f"{self.count} processes share batches of {batch_size}: expected at least one prompt for each. "
                "Launch fewer processes, or raise `batch_size`."
            )

    def learner(self, model: AnyModel) -> nn.Module:
        """A module from this process's share of a batch to its loss, whose gradients are averaged over the team."""
        module = _Loss(model)
        return module if self._accelerator is None else self._accelerator.prepare_model(module)

    def share(self, batch: Prompts | TokenSequences) -> tuple[Prompts | TokenSequences, float]:
        """This process's share of a batch, and what its mean loss counts in a mean over processes."""
        if self._accelerator is None:
            return batch, 1.0
        n = len(batch)
        first, last = (n * rank // self.count for rank in (self._rank, self._rank + 1))
        return batch[first:last], (last - first) * self.count / n

    def mean(self, value: Tensor) -> Tensor:
        """The mean over processes of a number that each of them has."""
        return value if self._accelerator is None else self._accelerator.reduce(value, reduction="mean")

    def led(self, work: Callable[[], Result]) -> Result:
        """What ``work`` returns in the process that leads, for all; no other runs it. Its errors stop all."""
        if self._accelerator is None:
            return work()
        outcome: list[tuple[Result | None, str]] = [(None, "")]
        failure: Exception | None = None
        if self.leads:
            try:
                outcome = [(work(), "")]
            except Exception as error:
                failure, outcome = error, [(None, str(error) or type(error).__name__)]
        from accelerate.utils import broadcast_object_list

        broadcast_object_list(outcome)
        if failure is not None:
            raise failure
        result, message = outcome[0]
        if message:
            raise SystemExit(1)  # the process that leads says why
        return result  # type: ignore[return-value]  # None where that is what the work returns

    def agree(self, check: Callable[[], None]) -> None:
        """Make a check that comes out alike in all processes. Its errors stop all."""
        try:
            check()
        except Exception:
            if self.leads:
                raise
            raise SystemExit(1) from None  # the process that leads says why

    @property
    def _rank(self) -> int:
        return 0 if self._accelerator is None else self._accelerator.process_index


def launched() -> int:
    """How many processes ``accelerate launch`` (or torchrun) has started for this one's work, itself included."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def _join(device: torch.device | str) -> "Accelerator":
    from accelerate import Accelerator  # takes seconds to import

    # Precision and compiling are the run's own, whatever the launcher is set to.
    return Accelerator(cpu=torch.device(device).type == "cpu", mixed_precision="no", dynamo_backend="no")


def leads_here() -> bool:
    """Whether this process is the first of those launched, or the only one."""
    return os.environ.get("RANK", "0") == "0"


class _Loss(nn.Module):
    """The loss as a module's output, which is what a gradient is shared through."""

    def __init__(self, model: AnyModel) -> None:
        super().__init__()
        self.model = model

    def forward(self, batch: Prompts | TokenSequences) -> Tensor:
        return loss_of(self.model, batch)
