"""Tensor's operators, indexing, in-place ops and conveniences over the op records' functions."""

import operator

import numpy as np

from plait import _core
from plait._core import Tensor, functions

_OPERATORS = {
    "__add__": "add", "__sub__": "sub", "__mul__": "mul", "__truediv__": "div",
    "__floordiv__": "floor_divide", "__mod__": "remainder", "__pow__": "pow",
    "__matmul__": "matmul", "__and__": "bitwise_and", "__or__": "bitwise_or",
    "__xor__": "bitwise_xor", "__lshift__": "bitwise_left_shift",
    "__rshift__": "bitwise_right_shift",
}  # fmt: skip
_COMPARISONS = {
    "__eq__": "eq", "__ne__": "ne", "__lt__": "lt", "__le__": "le", "__gt__": "gt", "__ge__": "ge"
}  # fmt: skip
# x.NAME_(…) is x = NAME(x, …) in x's memory.
_IN_PLACE = (
    "abs add addcdiv addcmul bitwise_and bitwise_not bitwise_or bitwise_xor ceil clamp cos cumsum "
    "div elu erf exp expm1 floor floor_divide index_add index_put leaky_relu lerp log log1p log2 "
    "logical_not masked_fill masked_scatter mul neg pow reciprocal relu remainder round rsqrt "
    "scatter scatter_add sigmoid sign silu sin sqrt square sub tanh tril triu trunc"
).split()
_DTYPE_METHODS = {
    "bool": "boolean", "char": "i8", "byte": "u8", "short": "i16", "int": "i32", "long": "i64",
    "half": "f16", "bfloat16": "bf16", "float": "f32", "double": "f64",
}  # fmt: skip


def _is_operand(other):
    return isinstance(other, (Tensor, bool, int, float, np.ndarray, np.generic, _core.Dim))


def _operator(name, reflected=False):
    function = getattr(functions, name)

    def call(self, other):
        if not _is_operand(other):
            return NotImplemented
        return function(other, self) if reflected else function(self, other)

    return call


def _in_place(name):
    function = getattr(functions, name)

    def call(self, *args, **kwargs):
        self._write(function(self, *args, **kwargs))
        return self

    call.__name__ = call.__qualname__ = name + "_"
    call.__doc__ = f"`{name}` in this tensor's memory."
    return call


def _in_place_operator(name):
    function = getattr(functions, name)

    def call(self, other):
        if not _is_operand(other):
            return NotImplemented
        self._write(function(self, other))
        return self

    return call


for _method, _name in _OPERATORS.items():
    setattr(Tensor, _method, _operator(_name))
    setattr(Tensor, "__r" + _method[2:], _operator(_name, reflected=True))
    if _name != "matmul":
        setattr(Tensor, "__i" + _method[2:], _in_place_operator(_name))
for _method, _name in _COMPARISONS.items():
    setattr(Tensor, _method, _operator(_name))
for _name in _IN_PLACE:
    setattr(Tensor, _name + "_", _in_place(_name))
for _method, _name in _DTYPE_METHODS.items():
    _dtype = getattr(_core.DType, _name)
    setattr(Tensor, _method, lambda self, _dtype=_dtype: functions.to(self, _dtype))


# Indexing.


def _is_advanced(part):
    return isinstance(part, (list, np.ndarray)) or (isinstance(part, Tensor))


def _position(part, size, axis):
    """An integer of an index, counted from the front."""
    index = operator.index(part)
    if isinstance(size, int):
        if not -size <= index < size:
            raise IndexError(
                f"[getitem] index {index} is out of range; axis {axis} has size {size}. "
                f"hint: indices lie in [{-size}, {size})"
            )
        return index % size
    return index if index >= 0 else size + index


def _slice(tensor, part, axis):
    size = tensor.shape[axis]
    step = 1 if part.step is None else operator.index(part.step)
    if step <= 0:
        raise _core.UserError(
            f"[getitem] slice steps must be positive; got {step} for axis {axis}. hint: use flip"
        )
    start, stop = part.start, part.stop
    if start is None and stop is None and step == 1:
        return tensor
    if isinstance(size, int) and not isinstance(start, _core.Dim):
        if not isinstance(stop, _core.Dim):
            start, stop, step = part.indices(size)
            stop = max(start, stop)
    return functions.slice(tensor, axis, start, stop, step)


def _as_index(part, axis):
    """Integers as a tensor; positions where a mask is True are not known before it runs."""
    index = part if isinstance(part, Tensor) else _core.tensor(np.asarray(part))
    if not isinstance(part, Tensor) and index.shape == (0,):
        index = functions.to(index, _core.DType.i64)  # an empty list
    if index.dtype == _core.DType.boolean:
        raise _core.UserError(
            f"[getitem] a mask gives a shape that only its values know; got {index.dtype}"
            f"{list(index.shape)} for axis {axis}. hint: where(mask, x, other), or x[mask] = …"
        )
    return index


def _view(tensor, index):
    """(view, dims, indices): basic indexing done, and what integer tensors are left to do."""
    parts = list(index) if isinstance(index, tuple) else [index]
    named = sum(part is not None and part is not Ellipsis for part in parts)
    rank = len(tensor.shape)
    if named > rank:
        raise IndexError(f"[getitem] {named} indices for a tensor of rank {rank}; got shape "
                         f"{list(tensor.shape)}")  # fmt: skip
    if sum(part is Ellipsis for part in parts) > 1:
        raise IndexError("[getitem] an index holds at most one '...'")
    result, axis = tensor, 0
    given = -1  # the tensor's own axis, for messages
    dims, indices = [], []
    for part in parts:
        given += part is not None and part is not Ellipsis
        if part is Ellipsis:
            axis += rank - named
            given += rank - named
        elif part is None:
            result = functions.unsqueeze(result, axis)
            axis += 1
        elif isinstance(part, slice):
            result = _slice(result, part, axis)
            axis += 1
        elif isinstance(part, (bool, np.bool_)):
            raise _core.UserError("[getitem] True and False are not indices. hint: None adds one")
        elif _is_advanced(part):
            dims.append(axis)
            indices.append(_as_index(part, given))
            axis += 1
        else:
            try:
                position = _position(part, result.shape[axis], given)
            except TypeError:
                raise TypeError(
                    "[getitem] an index is an integer, a slice, None, '...' or integers in a "
                    f"tensor, an array or a list; got {type(part).__name__} for axis {given}"
                ) from None
            result = functions.select(result, axis, position)
    return result, dims, indices


def _getitem(self, index):
    """numpy's indexing: integers, slices, None and `...` make views; integer tensors gather."""
    result, dims, indices = _view(self, index)
    return functions.index(result, dims, indices) if dims else result


def _as_mask(index):
    if isinstance(index, np.ndarray) and index.dtype == bool:
        index = _core.tensor(index)
    is_mask = isinstance(index, Tensor) and index.dtype == _core.DType.boolean
    return index if is_mask else None


def _setitem(self, index, value):
    mask = _as_mask(index)
    if mask is not None:
        while len(mask.shape) < len(self.shape):
            mask = functions.unsqueeze(mask, -1)
        self._write(functions.where(mask, value, self))
        return
    target, dims, indices = _view(self, index)
    if dims:
        if not isinstance(value, (Tensor, bool, int, float)):
            value = _core.tensor(value)
        value = functions.index_put(target, dims, indices, value)
    target._write(value)


# Conveniences.


def _length(self):
    if not self.shape:
        raise TypeError("a tensor of rank 0 has no length")
    return self.shape[0]


def _iterate(self):
    if not self.shape:
        raise TypeError("a tensor of rank 0 is not a sequence")
    return iter(functions.unbind(self, 0))


def _text(self):
    if _core.capturing():
        return f"tensor(…, shape={list(self.shape)}, dtype={self.dtype})"
    values = np.array2string(self.numpy(), separator=", ", prefix="tensor(")
    extra = ", requires_grad=True" if self.requires_grad else ""
    return f"tensor({values}, dtype={self.dtype}{extra})"


def _array(self, dtype=None, copy=None):
    if copy is False:
        return self.numpy(copy=False)
    return self.numpy() if dtype is None else self.numpy().astype(dtype)


def _size(self, dim=None):
    return self.shape if dim is None else self.shape[dim]


def _numel(self):
    count = 1
    for size in self.shape:
        count = count * size
    return count


def _clone(self):
    """The same elements in memory of their own; gradients pass through."""
    return functions.to(self, self.dtype)


def _fill(self, value):
    """All elements become `value`."""
    self._write(value)
    return self


def _requires_grad(self, requires_grad=True):
    """Sets `requires_grad`."""
    self.requires_grad = requires_grad
    return self


def _transposed(self):
    return functions.permute(self, list(range(len(self.shape)))[::-1])


def _extreme(name):
    whole, along = getattr(functions, name), getattr(functions, name + "_dim")

    def call(input, dim=None, keepdim=False):
        return whole(input) if dim is None else along(input, dim, keepdim)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The {name} of all elements; with `dim` values and indices along it."
    return call


def einsum(equation, *operands):
    """Sums of products by an equation: `einsum("ij,jk->ik", a, b)`."""
    several = len(operands) == 1 and isinstance(operands[0], (list, tuple))
    return functions.einsum(equation, list(operands[0]) if several else list(operands))


largest, smallest = _extreme("max"), _extreme("min")

Tensor.max, Tensor.min = largest, smallest
Tensor.__neg__ = lambda self: functions.neg(self)
Tensor.__abs__ = lambda self: functions.abs(self)
Tensor.__invert__ = lambda self: functions.bitwise_not(self)
Tensor.__pos__ = lambda self: self
Tensor.__len__ = _length
Tensor.__iter__ = _iterate
Tensor.__repr__ = _text
Tensor.__getitem__ = _getitem
Tensor.__setitem__ = _setitem
Tensor.__hash__ = object.__hash__
Tensor.__bool__ = lambda self: bool(self.item())
Tensor.__float__ = lambda self: float(self.item())
Tensor.__int__ = lambda self: int(self.item())
Tensor.__index__ = lambda self: operator.index(self.item())
Tensor.__array__ = _array
Tensor.__array_priority__ = 1000  # numpy's operators leave mixed operands to Tensor's
Tensor.__array_ufunc__ = None
Tensor.__dlpack__ = lambda self, **options: _core.to_dlpack(self)
Tensor.__dlpack_device__ = lambda self: (1, 0)
Tensor.T = property(_transposed)
Tensor.mT = property(lambda self: functions.transpose(self, -2, -1))
Tensor.size = _size
Tensor.dim = lambda self: len(self.shape)
Tensor.numel = _numel
Tensor.tolist = lambda self: self.numpy().tolist()
Tensor.clone = _clone
Tensor.contiguous = lambda self: self
Tensor.copy_ = _fill
Tensor.fill_ = _fill
Tensor.zero_ = lambda self: _fill(self, 0)
Tensor.requires_grad_ = _requires_grad
