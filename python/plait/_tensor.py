"""Tensor's operators, indexing, in-place ops and conveniences over the op records' functions."""

import operator

import numpy as np

from plait import _core, _extras
from plait._core import Tensor, functions
from plait._indexing import getitem, setitem

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
    "abs acos acosh add addcdiv addcmul asin asinh atan atan2 atanh bitwise_and bitwise_not "
    "bitwise_or bitwise_xor ceil clamp clamp_max clamp_min copysign cos cosh cumsum deg2rad div "
    "elu erf exp exp2 expm1 floor floor_divide frac hypot index_add index_put leaky_relu lerp log "
    "log10 log1p log2 logical_not logit masked_fill masked_scatter mul nan_to_num neg pow rad2deg "
    "reciprocal relu remainder round rsqrt scatter scatter_add sigmoid sign silu sin sinh sqrt "
    "square sub tan tanh tril triu trunc xlogy"
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


def _format(self, spec):
    return format(self.item(), spec) if spec else str(self)


def _to(self, dtype):
    """Another dtype: one of plait's or numpy's, or another tensor's. "cpu" is where tensors are."""
    if isinstance(dtype, Tensor):
        dtype = dtype.dtype
    return self if isinstance(dtype, str) and dtype == "cpu" else functions.to(self, dtype)


def _rebuild(array, requires_grad):
    return _core.tensor(array, requires_grad=requires_grad)


def _deepcopy(self, memo):
    if not self.is_leaf:
        raise _core.UserError(
            "[deepcopy] only tensors that are no results of ops can be copied with what they ask "
            f"of gradients; got {self.dtype}{list(self.shape)}. hint: detach() or clone()"
        )
    return _rebuild(self.detach().numpy(), self.requires_grad)


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
Tensor.__getitem__ = getitem
Tensor.__setitem__ = setitem
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
Tensor.__format__ = _format
Tensor.__contains__ = lambda self, element: functions.any(functions.eq(self, element)).item()
Tensor.to = _to
Tensor.cpu = lambda self: self
Tensor.data = property(lambda self: functions.detach(self))
Tensor.where = lambda self, condition, other: functions.where(condition, self, other)
Tensor.type_as = lambda self, other: functions.to(self, other.dtype)
Tensor.view_as = Tensor.reshape_as = lambda self, other: functions.reshape(self, list(other.shape))
Tensor.expand_as = lambda self, other: functions.expand(self, list(other.shape))
Tensor.new_zeros = lambda self, *size, dtype=None: functions.zeros(*size, dtype=dtype or self.dtype)
Tensor.new_ones = lambda self, *size, dtype=None: functions.ones(*size, dtype=dtype or self.dtype)
Tensor.new_full = lambda self, size, fill_value, dtype=None: functions.full(
    size, fill_value, dtype=dtype or self.dtype
)
Tensor.new_tensor = lambda self, data, dtype=None: _core.tensor(data, dtype or self.dtype)
Tensor.is_floating_point = lambda self: self.dtype.is_floating_point
Tensor.nelement = _numel
Tensor.element_size = lambda self: self.dtype.itemsize
Tensor.itemsize = property(lambda self: self.dtype.itemsize)
Tensor.nbytes = property(lambda self: self.numel() * self.dtype.itemsize)
Tensor.__deepcopy__ = _deepcopy
Tensor.__reduce__ = lambda self: (_rebuild, (self.detach().numpy(), self.requires_grad))
Tensor.normal_ = lambda self, mean=0.0, std=1.0: _fill(
    self, functions.normal(mean, std, list(self.shape), dtype=self.dtype)
)
Tensor.uniform_ = lambda self, low=0.0, high=1.0: _fill(
    self, functions.uniform(list(self.shape), low, high, dtype=self.dtype)
)
for _extra in _extras.METHODS:
    setattr(Tensor, _extra.__name__, _extra)
