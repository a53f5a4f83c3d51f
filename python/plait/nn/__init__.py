"""Modules with PyTorch's names. Parameters are tensors with slots; initial values come from
`plait.manual_seed`, drawn as the C++ modules draw them."""

from plait.nn import functional, init, utils
from plait.nn._activations import (
    ELU, GELU, GLU, Flatten, Hardsigmoid, Hardswish, Hardtanh, Identity, LeakyReLU, LogSigmoid,
    LogSoftmax, Mish, PReLU, ReLU, ReLU6, Sigmoid, SiLU, Softmax, Softplus, Tanh, Threshold,
    Unflatten
)  # fmt: skip
from plait.nn._layers import (
    AdaptiveAvgPool1d, AdaptiveAvgPool2d, AdaptiveAvgPool3d, AvgPool2d, BatchNorm1d, BatchNorm2d,
    Conv1d, Conv2d, ConvTranspose1d, ConvTranspose2d, Dropout, Dropout2d, Embedding, GroupNorm,
    LayerNorm, Linear, MaxPool2d, PixelShuffle, PixelUnshuffle, RMSNorm, SelfAttention, Upsample
)  # fmt: skip
from plait.nn._losses import (
    BCEWithLogitsLoss, CosineSimilarity, CrossEntropyLoss, HuberLoss, KLDivLoss, L1Loss, MSELoss,
    NLLLoss, PairwiseDistance, SmoothL1Loss
)  # fmt: skip
from plait.nn._module import Module, ModuleList, Parameter, Sequential
from plait.nn._recurrent import GRU, LSTM, RNN, GRUCell, LSTMCell, RNNCell
