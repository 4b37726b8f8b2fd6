"""Hook points, and whether anyone looks through them."""

from jaxtyping import Float
from torch import Tensor, nn
from transformer_lens.hook_points import HookPoint


def is_hooked(*modules: nn.Module) -> bool:
    """Whether anyone looks at one of them or at a part of it, through TransformerLens's hooks or PyTorch's own."""
    for module in modules:
        if module._forward_hooks or module._forward_pre_hooks or module._backward_hooks or module._backward_pre_hooks:
            return True
        if module._modules and is_hooked(*(part for part in module._modules.values() if part is not None)):
            return True
    return False


class QuietHookPoint(HookPoint):
    """TransformerLens's hook point, which is not even called while nobody looks.

    A call of a module costs two microseconds, and a model has a dozen hook points a layer.
    """

    def __call__(self, x: Float[Tensor, "*axes"]) -> Float[Tensor, "*axes"]:
        """The activation, as the hooks leave it."""
        if self._forward_hooks or self._forward_pre_hooks or self._backward_hooks or self._backward_pre_hooks:
            return super().__call__(x)
        return x
