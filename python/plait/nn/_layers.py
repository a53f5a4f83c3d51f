"""Modules with parameters, and those that differ between training and evaluation."""

import math

import numpy as np

from plait import _core
from plait._core import functions
from plait.nn._module import Module, Parameter


def _uniform(shape, inputs):
    bound = 1 / math.sqrt(inputs) if inputs else 0.0
    return Parameter(_core.init_uniform(list(shape), -bound, bound))


def _constant(shape, value):
    return Parameter(np.full(shape, value, np.float32))


def _several(value, count):
    return list(value) if isinstance(value, (list, tuple)) else [value] * count


class Linear(Module):
    """y = x weight^T + bias, weight [out_features, in_features], uniform in ±1/sqrt(in)."""

    def __init__(self, in_features, out_features, bias=True):
        self.in_features, self.out_features = in_features, out_features
        self.weight = _uniform([out_features, in_features], in_features)
        self.bias = _uniform([out_features], in_features) if bias else None

    def forward(self, input):
        return functions.linear(input, self.weight, self.bias)


class LayerNorm(Module):
    """Normalises the last axes."""

    def __init__(self, normalized_shape, eps=1e-5, elementwise_affine=True, bias=True):
        self.normalized_shape, self.eps = _several(normalized_shape, 1), eps
        self.weight = _constant(self.normalized_shape, 1) if elementwise_affine else None
        self.bias = _constant(self.normalized_shape, 0) if elementwise_affine and bias else None

    def forward(self, input):
        return functions.layer_norm(
            input, self.normalized_shape, self.weight, self.bias, self.eps
        )


class RMSNorm(Module):
    """Divides the last axes by their root mean square."""

    def __init__(self, normalized_shape, eps=None, elementwise_affine=True):
        self.normalized_shape, self.eps = _several(normalized_shape, 1), eps
        self.weight = _constant(self.normalized_shape, 1) if elementwise_affine else None

    def forward(self, input):
        return functions.rms_norm(input, self.normalized_shape, self.weight, self.eps)


class GroupNorm(Module):
    """Normalises groups of channels, the second axis."""

    def __init__(self, num_groups, num_channels, eps=1e-5, affine=True):
        self.num_groups, self.eps = num_groups, eps
        self.weight = _constant(num_channels, 1) if affine else None
        self.bias = _constant(num_channels, 0) if affine else None

    def forward(self, input):
        return functions.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)


class _BatchNorm(Module):
    def __init__(self, num_features, eps=1e-5, momentum=0.1, affine=True):
        self.eps, self.momentum = eps, momentum
        self.weight = _constant(num_features, 1) if affine else None
        self.bias = _constant(num_features, 0) if affine else None
        self.register_buffer("running_mean", np.zeros(num_features, np.float32))
        self.register_buffer("running_var", np.ones(num_features, np.float32))

    def forward(self, input):
        result = functions.batch_norm(
            input, self.running_mean, self.running_var, self.weight, self.bias, self.training,
            eps=self.eps,
        )  # fmt: skip
        if self.training:
            mean, var = functions.batch_norm_update(
                functions.detach(input), self.running_mean, self.running_var, self.momentum
            )
            self.running_mean.copy_(mean)
            self.running_var.copy_(var)
        return result


class BatchNorm1d(_BatchNorm):
    """Normalises each channel of [N, C] or [N, C, L] over the batch; by running means in eval()."""


class BatchNorm2d(_BatchNorm):
    """Normalises each channel of [N, C, H, W] over the batch; by running means in eval()."""


class Embedding(Module):
    """Rows of a table, normal(0, 1)."""

    def __init__(self, num_embeddings, embedding_dim, padding_idx=None):
        self.padding_idx = padding_idx
        self.weight = Parameter(_core.init_normal([num_embeddings, embedding_dim], 0.0, 1.0))

    def forward(self, input):
        return functions.embedding(input, self.weight, self.padding_idx)


class Dropout(Module):
    """Zeroes elements with probability `p` while training."""

    def __init__(self, p=0.5):
        self.p = p

    def forward(self, input):
        return functions.dropout(input, self.p, self.training)


class _Conv(Module):
    _axes = 0
    _function = None

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0, dilation=1,
                 groups=1, bias=True):  # fmt: skip
        kernel = _several(kernel_size, self._axes)
        self.stride, self.padding = _several(stride, self._axes), _several(padding, self._axes)
        self.dilation, self.groups = _several(dilation, self._axes), groups
        inputs = in_channels // groups * math.prod(kernel)
        self.weight = _uniform([out_channels, in_channels // groups, *kernel], inputs)
        self.bias = _uniform([out_channels], inputs) if bias else None

    def forward(self, input):
        return type(self)._function(
            input, self.weight, self.bias, self.stride, self.padding, self.dilation, self.groups
        )


class Conv1d(_Conv):
    """Convolves [N, C, L]."""

    _axes = 1
    _function = staticmethod(functions.conv1d)


class Conv2d(_Conv):
    """Convolves [N, C, H, W]."""

    _axes = 2
    _function = staticmethod(functions.conv2d)


class MaxPool2d(Module):
    def __init__(self, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        self.settings = (kernel_size, stride, padding, dilation, ceil_mode)

    def forward(self, input):
        return functions.max_pool2d(input, *self.settings)


class AvgPool2d(Module):
    def __init__(self, kernel_size, stride=None, padding=0, ceil_mode=False,
                 count_include_pad=True):  # fmt: skip
        self.settings = (kernel_size, stride, padding, ceil_mode, count_include_pad)

    def forward(self, input):
        return functions.avg_pool2d(input, *self.settings)


class SelfAttention(Module):
    """Multi-head attention of a sequence to itself, [batch, length, width]. One projection makes
    queries, keys and values (q | k | v along its output), a second one mixes the heads."""

    def __init__(self, width, heads, causal=False, bias=True):
        if heads < 1 or width % heads != 0:
            raise _core.UserError(
                f"[SelfAttention] heads must divide width; got width {width}, heads {heads}"
            )
        self.width, self.heads, self.causal = width, heads, causal
        self.qkv = Linear(width, 3 * width, bias)
        self.proj = Linear(width, width, bias)

    def forward(self, input):
        batch, length, width = input.shape

        def heads(part):
            split = functions.reshape(part, [batch, length, self.heads, width // self.heads])
            return functions.transpose(split, 1, 2)

        q, k, v = (heads(part) for part in functions.split(self.qkv(input), self.width, -1))
        y = functions.scaled_dot_product_attention(q, k, v, is_causal=self.causal)
        return self.proj(functions.reshape(functions.transpose(y, 1, 2), [batch, length, width]))


class _ConvTranspose(Module):
    _axes = 0
    _function = None

    def __init__(self, in_channels, out_channels, kernel_size, stride=1, padding=0,
                 output_padding=0, groups=1, bias=True, dilation=1):  # fmt: skip
        kernel = _several(kernel_size, self._axes)
        self.stride, self.padding = _several(stride, self._axes), _several(padding, self._axes)
        self.output_padding = _several(output_padding, self._axes)
        self.dilation, self.groups = _several(dilation, self._axes), groups
        inputs = out_channels // groups * math.prod(kernel)
        self.weight = _uniform([in_channels, out_channels // groups, *kernel], inputs)
        self.bias = _uniform([out_channels], inputs) if bias else None

    def forward(self, input):
        return type(self)._function(
            input, self.weight, self.bias, self.stride, self.padding, self.output_padding,
            self.groups, self.dilation,
        )  # fmt: skip


class ConvTranspose1d(_ConvTranspose):
    """The adjoint of Conv1d."""

    _axes = 1
    _function = staticmethod(functions.conv_transpose1d)


class ConvTranspose2d(_ConvTranspose):
    """The adjoint of Conv2d."""

    _axes = 2
    _function = staticmethod(functions.conv_transpose2d)


class _AdaptiveAvgPool(Module):
    _function = None

    def __init__(self, output_size):
        self.output_size = output_size

    def forward(self, input):
        return type(self)._function(input, self.output_size)


class AdaptiveAvgPool1d(_AdaptiveAvgPool):
    """Means of parts of [N, C, L], as many as `output_size` says."""

    _function = staticmethod(functions.adaptive_avg_pool1d)


class AdaptiveAvgPool2d(_AdaptiveAvgPool):
    """Means of parts of [N, C, H, W], as many as `output_size` says."""

    _function = staticmethod(functions.adaptive_avg_pool2d)


class AdaptiveAvgPool3d(_AdaptiveAvgPool):
    """Means of parts of [N, C, D, H, W], as many as `output_size` says."""

    _function = staticmethod(functions.adaptive_avg_pool3d)


class Upsample(Module):
    """`interpolate` to a size or by a factor."""

    def __init__(self, size=None, scale_factor=None, mode="nearest", align_corners=False):
        self.settings = (size, scale_factor, mode, align_corners)

    def forward(self, input):
        return functions.interpolate(input, *self.settings)


class PixelShuffle(Module):
    def __init__(self, upscale_factor):
        self.upscale_factor = upscale_factor

    def forward(self, input):
        return functions.pixel_shuffle(input, self.upscale_factor)


class PixelUnshuffle(Module):
    def __init__(self, downscale_factor):
        self.downscale_factor = downscale_factor

    def forward(self, input):
        return functions.pixel_unshuffle(input, self.downscale_factor)


class Dropout2d(Module):
    """Zeroes whole channels of [N, C, H, W] with probability `p` while training."""

    def __init__(self, p=0.5):
        self.p = p

    def forward(self, input):
        ones = functions.ones([*input.shape[:2], 1, 1], dtype=input.dtype)
        return input * functions.dropout(ones, self.p) if self.training else input
