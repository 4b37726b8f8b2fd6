"""What training minimises."""

from jaxtyping import Float
from torch import Tensor

from interp.models.any_model import AnyModel
from interp.tasks import Prompts, TokenSequences


def loss_of(model: AnyModel, batch: Prompts | TokenSequences) -> Float[Tensor, ""]:
    """Half the mean squared error over the predicted points; on sequences, the mean cross-entropy of the next token."""
    if isinstance(batch, TokenSequences):
        return model(batch.to(next(model.parameters()).device).tokens, return_type="loss")
    predictions = model(model.tokens(batch))
    targets = batch.ys[:, -predictions.shape[1] :].to(predictions)  # every point, or the query alone
    return 0.5 * (predictions - targets).square().mean()
