"""What training loops share."""

import math

from plait import _core
from plait._core import Tensor, functions


def clip_grad_norm_(parameters, max_norm):
    """Scales all `.grad` so that their norm together is at most `max_norm`; the norm before, lazy.
    As PyTorch's, the factor is min(1, max_norm / (norm + 1e-6))."""
    parameters = [parameters] if isinstance(parameters, Tensor) else list(parameters)
    grads = [p.grad for p in parameters if p.grad is not None]
    if not grads:
        raise _core.UserError(
            "[clip_grad_norm_] no parameter has a gradient. hint: call backward() on the loss first"
        )
    total = 0.0
    for grad in grads:
        wide = functions.to(grad, _core.promote(grad.dtype, _core.DType.f32))
        total = functions.add(total, functions.sum(functions.square(wide)))
    norm = functions.sqrt(total)
    factor = functions.clamp(functions.div(float(max_norm), functions.add(norm, 1e-6)), None, 1.0)
    for grad in grads:
        grad._write(functions.mul(grad, functions.to(factor, grad.dtype)))
    return norm


def parameters_to_vector(parameters):
    """All elements of all parameters in a row."""
    return functions.cat([functions.reshape(p, [math.prod(p.shape)]) for p in parameters], 0)
