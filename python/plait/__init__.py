"""Plait: a tensor compiler for training and running models.

Ops build a graph; looking at a result (`.numpy()`, `.item()`, `print`) runs it. Every op record is
a function here and, where its first argument is `input`, a method of `Tensor`.
"""
from plait import _core
from plait import _tensor
from plait._core import (DeviceError, InternalError, Tensor, UserError, __version__,
                         cached_programs, clear_cache, compile_count, live_bytes, manual_seed,
                         tensor)
from plait._compile import compile
from plait._tensor import grad, no_grad
from plait import nn, optim, models

bool_ = _core.DType.boolean
for _name in ("i8", "u8", "i16", "i32", "i64", "u32", "u64", "f16", "bf16", "f32", "f64"):
    globals()[_name] = getattr(_core.DType, _name)
float16, bfloat16, float32, float64 = f16, bf16, f32, f64  # noqa: F821
int8, uint8, int16, int32, int64 = i8, u8, i16, i32, i64  # noqa: F821
globals().update(_tensor.functions())


def set_option(name, value):
    """Sets an option of `plait options` for what is compiled from now on."""
    _core.set_option(name, str(value).lower() if isinstance(value, bool) else str(value))


def get_option(name):
    """An option's value, as text."""
    return _core.get_option(name)
