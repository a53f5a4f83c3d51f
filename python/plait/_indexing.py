"""Indexing, as numpy's: x[…] and x[…] = y."""

import operator

import numpy as np

from plait import _core
from plait._core import Tensor, functions


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


def _check_known(mask, axis):
    if _core.capturing():
        raise _core.UserError(
            f"[getitem] a mask gives a shape that only its values know; got {mask.dtype}"
            f"{list(mask.shape)} for axis {axis}. hint: where(mask, x, other), or x[mask] = …"
        )


def _mask_positions(mask, shape, axis):
    """Per axis of a mask, the positions where it is True."""
    if tuple(mask.shape) != tuple(shape):
        raise IndexError(
            f"[getitem] a mask has the shape of the axes it stands for; got mask: "
            f"{list(mask.shape)}, axes from {axis}: {list(shape)}"
        )
    _check_known(mask, axis)
    return [_core.tensor(positions) for positions in np.nonzero(mask.numpy())]


def _as_parts(index):
    """The parts of an index; lists and arrays as tensors, unless they are empty lists."""
    parts = []
    for part in index if isinstance(index, tuple) else [index]:
        if isinstance(part, (list, np.ndarray)):
            part = _core.tensor(np.asarray(part))
            if part.shape == (0,):
                part = functions.to(part, _core.DType.i64)
        parts.append(part)
    return parts


def _is_mask(part):
    return isinstance(part, Tensor) and part.dtype == _core.DType.boolean


def _axes_of(part):
    """How many of the tensor's axes a part stands for."""
    if part is None or part is Ellipsis:
        return 0
    return len(part.shape) if _is_mask(part) else 1


def _view(tensor, index):
    """(view, dims, indices): basic indexing done, and what integer tensors are left to do."""
    parts = _as_parts(index)
    named = sum(_axes_of(part) for part in parts)
    rank = len(tensor.shape)
    if named > rank:
        raise IndexError(f"[getitem] {named} indices for a tensor of rank {rank}; got shape "
                         f"{list(tensor.shape)}")  # fmt: skip
    if sum(part is Ellipsis for part in parts) > 1:
        raise IndexError("[getitem] an index holds at most one '...'")
    result, axis = tensor, 0
    given = 0  # the tensor's own axis, for messages
    dims, indices = [], []
    for part in parts:
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
        elif _is_mask(part):
            count = len(part.shape)
            indices += _mask_positions(part, result.shape[axis : axis + count], given)
            dims += range(axis, axis + count)
            axis += count
        elif isinstance(part, Tensor):
            dims.append(axis)
            indices.append(part)
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
        given += _axes_of(part)
    return result, dims, indices


def getitem(self, index):
    """numpy's indexing: integers, slices, None and `...` make views; integer tensors gather, and
    masks where their values are known: not in a function that plait.compile captures."""
    result, dims, indices = _view(self, index)
    return functions.index(result, dims, indices) if dims else result


def _broadcasts_to_rest(value, mask, tensor):
    """Whether all that the mask chooses get the same: no value says which of them it is for."""
    if not isinstance(value, Tensor):
        return True
    count = 1
    for size in value.shape:
        count = count * size
    rest = len(tensor.shape) - len(mask.shape)
    return (isinstance(count, int) and count == 1) or len(value.shape) <= rest


def setitem(self, index, value):
    if not isinstance(value, (Tensor, bool, int, float)):
        value = _core.tensor(value)
    parts = _as_parts(index)
    mask = parts[0] if len(parts) == 1 and _is_mask(parts[0]) else None
    if mask is not None and _broadcasts_to_rest(value, mask, self):
        if tuple(mask.shape) != tuple(self.shape[: len(mask.shape)]):
            raise IndexError(
                f"[setitem] a mask has the shape of the axes it stands for; got mask: "
                f"{list(mask.shape)}, tensor: {list(self.shape)}"
            )
        while len(mask.shape) < len(self.shape):
            mask = functions.unsqueeze(mask, -1)
        if isinstance(value, Tensor) and len(value.shape) > len(self.shape):
            value = functions.reshape(value, [])
        self._write(functions.where(mask, value, self))
        return
    if mask is not None and _core.capturing():
        raise _core.UserError(
            "[setitem] where each value goes is not known while plait.compile captures a function; "
            f"got values: {list(value.shape)}, mask: {list(mask.shape)}. hint: masked_scatter"
        )
    target, dims, indices = _view(self, index)
    if dims:
        value = functions.index_put(target, dims, indices, value)
    target._write(value)
