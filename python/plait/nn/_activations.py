"""Modules without parameters that are one op."""

from plait._core import functions
from plait.nn._module import Module


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
    def forward(self, input):
        return functions.softplus(input)


class LogSigmoid(Module):
    def forward(self, input):
        return functions.logsigmoid(input)


class Unflatten(Module):
    def __init__(self, dim, unflattened_size):
        self.dim, self.unflattened_size = dim, list(unflattened_size)

    def forward(self, input):
        return functions.unflatten(input, self.dim, self.unflattened_size)
