"""What training minimises."""

from jaxtyping import Float
from torch import Tensor

from interp.models.any_model import AnyModel
from interp.tasks import Prompts, TokenSequences


def loss_of(model: AnyModel, batch: Prompts | TokenSequences) -> Float[Tensor, ""]:
    """Half the mean squared error over the predicted points; on sequences, the mean cross-entropy of the next token."""
    if isinstance(batch, TokenSequences):
        return model(batch.to(next(model.parameters()).device).tokens, return_type="loss")
    return regression_loss(model(model.tokens(batch)), batch.ys)


def regression_loss(
    predictions: Float[Tensor, "prompt column"], ys: Float[Tensor, "prompt point"]
) -> Float[Tensor, ""]:
    """Half the mean squared error of predictions of every point, or of the query alone.

    In the precision of the targets, where that is higher than the predictions'.
    """
    targets = ys[:, -predictions.shape[1] :].to(predictions.device)
    return 0.5 * (predictions - targets).square().mean()
