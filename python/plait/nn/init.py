"""Initial values, written into a tensor by Plait's own generator: C++ and Python models drawing in
the same order hold equal bits."""

from plait import _core
from plait._autograd import no_grad


def _write(tensor, value):
    with no_grad():
        tensor._write(value)
    return tensor


def uniform_(tensor, a=0.0, b=1.0):
    """Uniform in [a, b)."""
    return _write(tensor, _core.init_uniform(list(tensor.shape), a, b))


def normal_(tensor, mean=0.0, std=1.0):
    """Normal with this mean and standard deviation."""
    return _write(tensor, _core.init_normal(list(tensor.shape), mean, std))


def constant_(tensor, val):
    """One value everywhere."""
    return _write(tensor, val)


def zeros_(tensor):
    return _write(tensor, 0)


def ones_(tensor):
    return _write(tensor, 1)
