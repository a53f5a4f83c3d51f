"""Modules that are one op."""

from plait._core import functions
from plait.nn._module import Module, Parameter


class Identity(Module):
    def forward(self, input):
        return input


class ReLU(Module):
    def forward(self, input):
        return functions.relu(input)


class SiLU(Module):
    def forward(self, input):
        return functions.silu(input)


class Sigmoid(Module):
    def forward(self, input):
        return functions.sigmoid(input)


class Tanh(Module):
    def forward(self, input):
        return functions.tanh(input)


class GELU(Module):
    def __init__(self, approximate="none"):
        self.approximate = approximate

    def forward(self, input):
        return functions.gelu(input, self.approximate)


class ELU(Module):
    def __init__(self, alpha=1.0):
        self.alpha = alpha

    def forward(self, input):
        return functions.elu(input, self.alpha)


class LeakyReLU(Module):
    def __init__(self, negative_slope=0.01):
        self.negative_slope = negative_slope

    def forward(self, input):
        return functions.leaky_relu(input, self.negative_slope)


class PReLU(Module):
    """One slope below 0 for all elements, or one per channel, the second axis."""

    def __init__(self, num_parameters=1, init=0.25):
        self.weight = Parameter([float(init)] * num_parameters)

    def forward(self, input):
        return functions.prelu(input, self.weight)


class ReLU6(Module):
    def forward(self, input):
        return functions.relu6(input)


class Hardtanh(Module):
    def __init__(self, min_val=-1.0, max_val=1.0):
        self.min_val, self.max_val = min_val, max_val

    def forward(self, input):
        return functions.hardtanh(input, self.min_val, self.max_val)


class Hardsigmoid(Module):
    def forward(self, input):
        return functions.hardsigmoid(input)


class Hardswish(Module):
    def forward(self, input):
        return functions.hardswish(input)


class Mish(Module):
    def forward(self, input):
        return functions.mish(input)


class GLU(Module):
    def __init__(self, dim=-1):
        self.dim = dim

    def forward(self, input):
        return functions.glu(input, self.dim)


class Threshold(Module):
    def __init__(self, threshold, value):
        self.threshold, self.value = threshold, value

    def forward(self, input):
        return functions.threshold(input, self.threshold, self.value)


class Softmax(Module):
    def __init__(self, dim):
        self.dim = dim

    def forward(self, input):
        return functions.softmax(input, self.dim)


class LogSoftmax(Module):
    def __init__(self, dim):
        self.dim = dim

    def forward(self, input):
        return functions.log_softmax(input, self.dim)


class Flatten(Module):
    def __init__(self, start_dim=1, end_dim=-1):
        self.start_dim, self.end_dim = start_dim, end_dim

    def forward(self, input):
        return functions.flatten(input, self.start_dim, self.end_dim)


class Softplus(Module):
    def __init__(self, beta=1.0, threshold=20.0):
        self.beta, self.threshold = beta, threshold

    def forward(self, input):
        return functions.softplus(input, self.beta, self.threshold)


class LogSigmoid(Module):
    def forward(self, input):
        return functions.logsigmoid(input)


class Unflatten(Module):
    def __init__(self, dim, unflattened_size):
        self.dim, self.unflattened_size = dim, list(unflattened_size)

    def forward(self, input):
        return functions.unflatten(input, self.dim, self.unflattened_size)
