"""Gradients: which ops record how they were computed, and gradients without `.grad`."""

import contextlib

from plait import _core
from plait._core import Tensor


def grad(outputs, inputs, grad_outputs=None, *, create_graph=False):
    """The gradients of a float scalar by tensors that require them, as lazy tensors. With
    `grad_outputs`, its cotangent, `outputs` may have any shape."""
    single = isinstance(inputs, Tensor)
    result = _core.gradients(outputs, [inputs] if single else list(inputs), grad_outputs,
                             create_graph)  # fmt: skip
    return result[0] if single else tuple(result)


@contextlib.contextmanager
def set_grad_enabled(mode):
    """Whether ops called here record how they were computed; a decorator too."""
    before = _core.grad_enabled()
    _core.set_grad_enabled(bool(mode))
    try:
        yield
    finally:
        _core.set_grad_enabled(before)


def no_grad():
    """Ops called here have no gradients, and tensors that require some may be written to."""
    return set_grad_enabled(False)


def enable_grad():
    """Undoes `no_grad` within."""
    return set_grad_enabled(True)


is_grad_enabled = _core.grad_enabled
