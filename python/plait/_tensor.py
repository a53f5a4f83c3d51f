"""Functions and tensor methods from the op records; operators; gradients."""
import contextlib

from plait import _core
from plait._core import Tensor

_OPERATORS = {
    "__add__": "add", "__sub__": "sub", "__mul__": "mul", "__truediv__": "div",
    "__floordiv__": "floor_divide", "__mod__": "remainder", "__pow__": "pow",
    "__matmul__": "matmul", "__eq__": "eq", "__ne__": "ne", "__lt__": "lt", "__le__": "le",
    "__gt__": "gt", "__ge__": "ge", "__and__": "bitwise_and", "__or__": "bitwise_or",
    "__xor__": "bitwise_xor",
}
_REFLECTED = {"__radd__": "add", "__rsub__": "sub", "__rmul__": "mul", "__rtruediv__": "div",
              "__rfloordiv__": "floor_divide", "__rmod__": "remainder", "__rpow__": "pow",
              "__rmatmul__": "matmul"}


def _function(record):
    name = record["name"]

    def call(*args, **kwargs):
        return _core.call(name, *args, **kwargs)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = record["signature"] + "\n\n" + record["doc"]
    return call


def _reflected(name):
    return lambda self, other: _core.call(name, other, self)


def functions():
    """A function per record, by name; gives Tensor its methods and operators."""
    result = {}
    for record in _core.op_records():
        function = _function(record)
        result[record["name"]] = function
        first = record["signature"].partition("(")[2]
        takes_input = first.startswith(("Tensor input", "Operand input"))
        if takes_input and not hasattr(Tensor, record["name"]):
            setattr(Tensor, record["name"], function)
    for method, name in _OPERATORS.items():
        setattr(Tensor, method, result[name])
    for method, name in _REFLECTED.items():
        setattr(Tensor, method, _reflected(name))
    Tensor.__neg__ = result["neg"]
    Tensor.__abs__ = result["abs"]
    return result


def _length(self):
    if not self.shape:
        raise TypeError("a tensor of rank 0 has no length")
    return self.shape[0]


def _text(self):
    return f"tensor({self.numpy()!r}, dtype={self.dtype})"


def _getitem(self, index):
    """Integers, slices, None, Ellipsis and integer tensors, as numpy's basic indexing."""
    parts = list(index) if isinstance(index, tuple) else [index]
    named = sum(part is not None and part is not Ellipsis for part in parts)
    if Ellipsis not in [p for p in parts if not isinstance(p, Tensor)]:
        parts.append(Ellipsis)
    result, axis = self, 0
    for part in parts:
        if part is Ellipsis:
            axis += len(self.shape) - named
        elif part is None:
            result = _core.call("unsqueeze", result, axis)
            axis += 1
        elif isinstance(part, slice):
            start, stop, step = part.indices(result.shape[axis])
            if step <= 0:
                raise _core.UserError(f"[getitem] slice steps must be positive; got {step}. "
                                      "hint: use flip")
            result = _core.call("slice", result, axis, start, max(start, stop), step)
            axis += 1
        elif isinstance(part, Tensor):
            result = _core.call("index_select", result, axis, part)
            axis += 1
        else:
            size = result.shape[axis]
            if not -size <= part < size:
                raise IndexError(f"[getitem] index {part} is out of range for axis {axis} of size "
                                 f"{size}")
            result = _core.call("squeeze", _core.call("narrow", result, axis, part % size, 1), axis)
    return result


Tensor.__len__ = _length
Tensor.__repr__ = _text
Tensor.__getitem__ = _getitem
Tensor.__hash__ = object.__hash__
Tensor.__bool__ = lambda self: bool(self.item())
Tensor.__float__ = lambda self: float(self.item())
Tensor.__int__ = lambda self: int(self.item())
Tensor.__array__ = lambda self, dtype=None, copy=None: (
    self.numpy() if dtype is None else self.numpy().astype(dtype))
Tensor.ndim = property(lambda self: len(self.shape))


def grad(loss, inputs):
    """The gradients of a float scalar by parameters or tensors made from data, as lazy tensors."""
    single = isinstance(inputs, Tensor)
    result = _core.gradients(loss, [inputs] if single else list(inputs))
    return result[0] if single else result


@contextlib.contextmanager
def no_grad():
    """Gradients are asked for by `grad`, never recorded: this changes nothing."""
    yield
