"""Initial values, written into a tensor by Plait's own generator: C++ and Python models drawing in
the same order hold equal bits."""

import math

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


def calculate_gain(nonlinearity, param=None):
    """The factor that keeps variances through this nonlinearity."""
    gains = {"linear": 1.0, "conv1d": 1.0, "conv2d": 1.0, "conv3d": 1.0, "sigmoid": 1.0,
             "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}  # fmt: skip
    if nonlinearity == "leaky_relu":
        return math.sqrt(2 / (1 + (0.01 if param is None else param) ** 2))
    if nonlinearity not in gains:
        raise _core.UserError(f"[calculate_gain] unknown nonlinearity {nonlinearity!r}; they are "
                              f"leaky_relu, {', '.join(gains)}")  # fmt: skip
    return gains[nonlinearity]


def _fans(tensor):
    """Inputs and outputs of one element of a layer's result."""
    if len(tensor.shape) < 2:
        raise _core.UserError(
            f"[init] a weight of at least two axes is needed; got shape {list(tensor.shape)}"
        )
    window = math.prod(tensor.shape[2:])
    return tensor.shape[1] * window, tensor.shape[0] * window


def xavier_uniform_(tensor, gain=1.0):
    """Glorot and Bengio (2010), uniform."""
    bound = gain * math.sqrt(6 / sum(_fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor, gain=1.0):
    """Glorot and Bengio (2010), normal."""
    return normal_(tensor, 0.0, gain * math.sqrt(2 / sum(_fans(tensor))))


def _he(tensor, a, mode, nonlinearity):
    if mode not in ("fan_in", "fan_out"):
        raise _core.UserError(f"[init] mode is 'fan_in' or 'fan_out'; got {mode!r}")
    fan = _fans(tensor)[mode == "fan_out"]
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def kaiming_uniform_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """He et al. (2015), uniform."""
    bound = math.sqrt(3) * _he(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor, a=0.0, mode="fan_in", nonlinearity="leaky_relu"):
    """He et al. (2015), normal."""
    return normal_(tensor, 0.0, _he(tensor, a, mode, nonlinearity))
