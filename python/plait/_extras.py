"""Functions over the ops that PyTorch has too, and those whose shapes only values know."""

import numpy as np

from plait import _core
from plait._core import Tensor, functions


def _known(tensor, op):
    """The elements; not in a function that plait.compile captures."""
    if _core.capturing():
        raise _core.UserError(f"[{op}] the result's shape depends on values, which are not known "
                              "while plait.compile captures a function")  # fmt: skip
    return tensor.numpy()


# Comparisons.


def isclose(input, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    """|input - other| <= atol + rtol |other|, by element; infinities are close to themselves."""
    difference = functions.abs(functions.sub(input, other))
    limit = functions.add(functions.mul(functions.abs(other), rtol), atol)
    close = functions.logical_and(functions.isfinite(other), functions.le(difference, limit))
    close = functions.logical_or(functions.eq(input, other), close)
    if equal_nan:
        both = functions.logical_and(functions.isnan(input), functions.isnan(other))
        close = functions.logical_or(close, both)
    return close


def allclose(input, other, rtol=1e-5, atol=1e-8, equal_nan=False):
    """Whether all elements are close."""
    return isclose(input, other, rtol, atol, equal_nan).all().item()


def equal(input, other):
    """Whether shapes and all elements are equal."""
    same = tuple(input.shape) == tuple(other.shape)
    return same and functions.all(functions.eq(input, other)).item()


# Creation.


def as_tensor(data, dtype=None):
    """The tensor itself, if it is one of this dtype; else a new one."""
    if isinstance(data, Tensor) and dtype is None:
        return data
    return functions.to(data, dtype) if isinstance(data, Tensor) else _core.tensor(data, dtype)


def empty(*size, dtype=_core.DType.f32):
    """Zeros: nothing here is uninitialised."""
    return functions.zeros(*size, dtype=dtype)


def empty_like(input, dtype=None):
    """Zeros of the input's shape."""
    return functions.zeros_like(input, dtype=dtype)


def rand_like(input, dtype=None):
    """Uniform in [0, 1), of the input's shape."""
    return functions.rand(list(input.shape), dtype=dtype or input.dtype)


def randn_like(input, dtype=None):
    """Normal(0, 1), of the input's shape."""
    return functions.randn(list(input.shape), dtype=dtype or input.dtype)


def meshgrid(*tensors, indexing="ij"):
    """Each vector along an axis of its own, expanded along the others'."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        tensors = tensors[0]
    if indexing not in ("ij", "xy"):
        raise _core.UserError(f"[meshgrid] indexing is 'ij' or 'xy'; got {indexing!r}")
    shape = [tensor.shape[0] for tensor in tensors]
    grids = []
    for axis, tensor in enumerate(tensors):
        own = [tensor.shape[0] if k == axis else 1 for k in range(len(tensors))]
        grid = functions.expand(functions.reshape(tensor, own), shape)
        swap = indexing == "xy" and len(tensors) > 1
        grids.append(functions.transpose(grid, 0, 1) if swap else grid)
    return tuple(grids)


# Joins and axes.


def _at_least(tensor, rank, front):
    while len(tensor.shape) < rank:
        tensor = functions.unsqueeze(tensor, 0 if front else -1)
    return tensor


def hstack(tensors):
    """Joins along the second axis; vectors along the first."""
    tensors = [_at_least(t, 1, True) for t in tensors]
    return functions.cat(tensors, 0 if len(tensors[0].shape) == 1 else 1)


def vstack(tensors):
    """Joins along the first axis; vectors are rows."""
    return functions.cat([_at_least(t, 2, True) for t in tensors], 0)


def swapaxes(input, axis0, axis1):
    """`transpose`, by numpy's name."""
    return functions.transpose(input, axis0, axis1)


def ravel(input):
    """All elements in a row."""
    return functions.reshape(input, [-1])


def t(input):
    """A matrix transposed; vectors and scalars as they are."""
    if len(input.shape) > 2:
        raise _core.UserError(f"[t] at most two axes; got shape {list(input.shape)}. hint: mT")
    return functions.transpose(input, 0, 1) if len(input.shape) == 2 else input


def diagonal(input, offset=0, dim1=0, dim2=1):
    """The elements whose indices along two axes differ by `offset`, along a new last axis."""
    rank = len(input.shape)
    dim1, dim2 = dim1 % rank, dim2 % rank
    rows, columns = input.shape[dim1], input.shape[dim2]
    count = max(0, min(rows + min(offset, 0), columns - max(offset, 0)))
    index = functions.arange(count)
    rest = [k for k in range(rank) if k not in (dim1, dim2)]
    last = functions.permute(input, [*rest, dim1, dim2])
    places = [functions.add(index, max(-offset, 0)), functions.add(index, max(offset, 0))]
    return functions.index(last, [rank - 2, rank - 1], places)


def diag(input, diagonal=0):
    """A vector as the diagonal of a square matrix, or the diagonal of a matrix."""
    if len(input.shape) == 2:
        return _diagonal(input, diagonal)
    size = input.shape[0] + abs(diagonal)
    index = functions.arange(input.shape[0])
    places = [functions.add(index, max(-diagonal, 0)), functions.add(index, max(diagonal, 0))]
    zero = functions.zeros([size, size], dtype=input.dtype)
    return functions.index_put(zero, [0, 1], places, input)


_diagonal = diagonal


def trace(input):
    """The sum of a matrix's diagonal."""
    return functions.sum(diagonal(input))


# Arithmetic and statistics.


def addmm(input, mat1, mat2, *, beta=1, alpha=1):
    """beta input + alpha mat1 mat2."""
    return functions.add(functions.mul(input, beta), functions.mm(mat1, mat2), alpha=alpha)


def baddbmm(input, batch1, batch2, *, beta=1, alpha=1):
    """beta input + alpha batch1 batch2, of each of a batch."""
    return functions.add(functions.mul(input, beta), functions.bmm(batch1, batch2), alpha=alpha)


def var_mean(input, dim=None, *, correction=1, keepdim=False):
    """The variance and the mean."""
    dims = list(range(len(input.shape))) if dim is None else dim
    return (functions.var(input, dim, correction=correction, keepdim=keepdim),
            functions.mean(input, dims, keepdim))  # fmt: skip


def std_mean(input, dim=None, *, correction=1, keepdim=False):
    """The standard deviation and the mean."""
    var, mean = var_mean(input, dim, correction=correction, keepdim=keepdim)
    return functions.sqrt(var), mean


def count_nonzero(input, dim=None):
    """How many elements are not zero."""
    return functions.sum(functions.ne(input, 0), dim)


def clip(input, min=None, max=None):  # noqa: A002
    """`clamp`, by numpy's name."""
    return functions.clamp(input, min, max)


def median(input, dim=None, keepdim=False):
    """The lower median of all elements; with `dim` values and indices along it. NaN wins."""
    if dim in (0, -1) and not input.shape:
        return functions.sort(input, dim)
    flat = ravel(input) if dim is None else input
    axis = 0 if dim is None else dim
    values, indices = functions.sort(flat, axis)
    middle = (flat.shape[axis] - 1) // 2
    if flat.dtype.is_floating_point:  # NaNs are sorted last
        last = functions.narrow(values, axis, flat.shape[axis] - 1, 1)
        at = functions.where(functions.isnan(last), flat.shape[axis] - 1, middle)
        value, index = (functions.gather(part, axis, at) for part in (values, indices))
    else:
        value, index = (functions.narrow(part, axis, middle, 1) for part in (values, indices))
    if dim is None:
        return functions.reshape(value, [])
    if not keepdim:
        value, index = functions.squeeze(value, axis), functions.squeeze(index, axis)
    return value, index


# Shapes that only values know.


def nonzero(input, *, as_tuple=False):
    """The positions of elements that are not zero: [count, rank], or a tensor per axis."""
    positions = np.nonzero(_known(input, "nonzero"))
    if as_tuple:
        return tuple(_core.tensor(p) for p in positions)
    return _core.tensor(np.stack(positions, -1) if positions else np.zeros((0, 0), np.int64))


def masked_select(input, mask):
    """The elements where the mask is True, in a row."""
    if tuple(input.shape) != tuple(mask.shape):
        shape = np.broadcast_shapes(tuple(input.shape), tuple(mask.shape))
        input, mask = functions.expand(input, list(shape)), functions.expand(mask, list(shape))
    return input[mask]


def unique(input, sorted=True, return_inverse=False, return_counts=False):  # noqa: A002
    """The different elements, sorted; and where each element is in them, and how often."""
    values, inverse, counts = np.unique(
        _known(input, "unique"), return_inverse=True, return_counts=True
    )
    result = [_core.tensor(values)]
    if return_inverse:
        result.append(_core.tensor(inverse.reshape(tuple(input.shape))))
    if return_counts:
        result.append(_core.tensor(counts))
    return result[0] if len(result) == 1 else tuple(result)


def bincount(input, minlength=0):
    """How often each number from 0 on occurs."""
    return _core.tensor(np.bincount(_known(input, "bincount"), minlength=minlength))


# As methods of Tensor; the first argument is the tensor.
METHODS = (
    addmm, allclose, baddbmm, bincount, clip, count_nonzero, diag, diagonal, equal, isclose,
    masked_select, median, nonzero, ravel, swapaxes, t, trace, unique,
)  # fmt: skip
