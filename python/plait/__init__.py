"""Plait: a tensor compiler for training and running models.

Ops build a graph; looking at a result (`.numpy()`, `.item()`, `print`) runs it, and a graph seen
before is not compiled again. Every op record is a function here and, where its first argument is
`input`, a method of `Tensor`. A tensor is memory or a view of it: views alias, as in PyTorch.
"""

import os as _os

from plait import _core
from plait._core import (
    DeviceError,
    DType,
    InternalError,
    Tensor,
    UserError,
    __version__,
    cached_programs,
    clear_cache,
    compile_count,
    dim,
    from_dlpack,
    from_numpy,
    live_bytes,
    live_counts,
    manual_seed,
    random_state,
    tensor,
)
from plait._core.functions import *  # noqa: F403
from plait._tensor import einsum, largest as max, smallest as min  # noqa: A004
from plait._extras import (
    addmm, allclose, as_tensor, baddbmm, bincount, clip, count_nonzero, diag, diagonal, empty,
    empty_like, equal, hstack, isclose, masked_select, median, meshgrid, nonzero,
    rand_like, randn_like, ravel, std_mean, swapaxes, t, trace, unique, var_mean, vstack
)  # fmt: skip
from plait._autograd import enable_grad, grad, is_grad_enabled, no_grad, set_grad_enabled
from plait._compile import compile
from plait._files import load, save
from plait import nn, optim, models, utils

# Lines of errors and dumps are those of the caller outside.
_core.set_package_folder(_os.path.dirname(__file__) + _os.sep)

bool_ = _core.DType.boolean
for _name in ("i8", "u8", "i16", "i32", "i64", "u32", "u64", "f16", "bf16", "f32", "f64"):
    globals()[_name] = getattr(_core.DType, _name)
float16, bfloat16, float32, float64 = f16, bf16, f32, f64  # noqa: F821
int8, uint8, int16, int32, int64 = i8, u8, i16, i32, i64  # noqa: F821


def set_option(name, value):
    """Sets an option of `plait options` for what is compiled from now on."""
    _core.set_option(name, str(value).lower() if isinstance(value, bool) else str(value))


def get_option(name):
    """An option's value, as text."""
    return _core.get_option(name)
