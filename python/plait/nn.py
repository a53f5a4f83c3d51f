"""Modules with PyTorch's names. Parameters are tensors that hold memory; initial values come from
`plait.manual_seed`, drawn as the C++ modules draw them."""
import math

import numpy as np

from plait import _core
from plait._core import Tensor


def Parameter(data, name="parameter"):
    """A trainable tensor with these values."""
    return _core.parameter(name, np.asarray(data))


class Module:
    """Attributes that are parameters, modules or lists of modules belong to it."""

    def forward(self, *args):
        raise NotImplementedError(f"{type(self).__name__} has no forward")

    def __call__(self, *args, **kwargs):
        return self.forward(*args, **kwargs)

    def named_parameters(self, prefix=""):
        """(path, parameter), each once: a module's own first, then those of its children."""
        seen = set()

        def walk(module, path):
            children = []
            for name, value in vars(module).items():
                if isinstance(value, Tensor) and value._is_slot:
                    if id(value) not in seen:
                        seen.add(id(value))
                        yield path + name, value
                elif isinstance(value, Module):
                    children.append((name, value))
                elif isinstance(value, (list, tuple)):
                    children += [(f"{name}.{i}", item) for i, item in enumerate(value)
                                 if isinstance(item, Module)]
            for name, child in children:
                yield from walk(child, path + name + ".")

        yield from walk(self, prefix)

    def parameters(self):
        return [parameter for _, parameter in self.named_parameters()]


class Linear(Module):
    """y = x weight^T + bias, weight [out_features, in_features], uniform in ±1/sqrt(in)."""

    def __init__(self, in_features, out_features, bias=True):
        bound = 1 / math.sqrt(in_features) if in_features else 0.0
        self.weight = Parameter(_core.init_uniform([out_features, in_features], -bound, bound))
        self.bias = Parameter(_core.init_uniform([out_features], -bound, bound)) if bias else None

    def forward(self, input):
        return _core.call("linear", input, self.weight, self.bias)


class LayerNorm(Module):
    """Normalises the last axes."""

    def __init__(self, normalized_shape, eps=1e-5):
        several = isinstance(normalized_shape, (list, tuple))
        shape = list(normalized_shape) if several else [normalized_shape]
        self.normalized_shape, self.eps = shape, eps
        self.weight = Parameter(np.ones(shape, np.float32))
        self.bias = Parameter(np.zeros(shape, np.float32))

    def forward(self, input):
        return _core.call("layer_norm", input, self.normalized_shape, self.weight, self.bias,
                          self.eps)


class Embedding(Module):
    """Rows of a table, normal(0, 1)."""

    def __init__(self, num_embeddings, embedding_dim):
        self.weight = Parameter(_core.init_normal([num_embeddings, embedding_dim], 0.0, 1.0))

    def forward(self, input):
        return _core.call("embedding", input, self.weight)


class Sequential(Module):
    """Modules and functions, one after the other."""

    def __init__(self, *modules):
        self.modules = list(modules)

    def forward(self, input):
        for module in self.modules:
            input = module(input)
        return input
