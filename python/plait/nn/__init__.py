"""Modules with PyTorch's names. Parameters are tensors with slots; initial values come from
`plait.manual_seed`, drawn as the C++ modules draw them."""

from plait.nn import functional, init, utils
from plait.nn._activations import (
    ELU, GELU, Flatten, Identity, LeakyReLU, LogSoftmax, ReLU, Sigmoid, SiLU, Softmax, Tanh
)  # fmt: skip
from plait.nn._layers import (
    AvgPool2d, BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, Dropout, Embedding, GroupNorm, LayerNorm,
    Linear, MaxPool2d, RMSNorm, SelfAttention
)  # fmt: skip
from plait.nn._losses import CrossEntropyLoss, L1Loss, MSELoss
from plait.nn._module import Module, ModuleList, Parameter, Sequential
