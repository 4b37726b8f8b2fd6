"""Prompts beside other prompts, batch by batch."""

from collections.abc import Iterator

from interp.tasks import Prompts, PromptSource


def beside_another(source: PromptSource, batch_size: int) -> Iterator[tuple[Prompts, Prompts]]:
    """Batches of the prompts, each with a batch of others: prompt i has prompt i - 1 beside it, the first the last."""
    before = source[len(source) - 1 :]
    for batch in source.batches(batch_size):
        yield batch, Prompts.join([before, batch[:-1]]) if len(batch) > 1 else before
        before = batch[-1:]
