"""Data sets as rows of arrays, in batches; files of the MNIST family."""

import numpy as np

from plait import _core
from plait._core import Tensor


def load_idx(path):
    """The array of an IDX file, plain or gzipped: the format of MNIST and its successors."""
    return _core.load_idx(path)


def shuffled(count, seed, epoch=0):
    """The numbers below `count` in an order that depends on (seed, epoch) alone: that of the C++
    examples."""
    return _core.shuffled(count, seed, epoch)


class TensorDataset:
    """Arrays or tensors of equal length; an item is a tuple of their rows."""

    def __init__(self, *arrays):
        self.arrays = [a.numpy() if isinstance(a, Tensor) else np.asarray(a) for a in arrays]
        sizes = [a.shape[0] if a.ndim else None for a in self.arrays]
        if not sizes or None in sizes or len(set(sizes)) != 1:
            raise _core.UserError(
                "[TensorDataset] arrays with equally many rows are needed; got shapes "
                f"{[list(a.shape) for a in self.arrays]}"
            )

    def __len__(self):
        return self.arrays[0].shape[0]

    def __getitem__(self, index):
        return tuple(a[index] for a in self.arrays)


def _stack(items):
    """Rows as one tensor a column."""
    if isinstance(items[0], (tuple, list)):
        return tuple(_stack(column) for column in zip(*items))
    if isinstance(items[0], dict):
        return {key: _stack([item[key] for item in items]) for key in items[0]}
    rows = [item.numpy() if isinstance(item, Tensor) else np.asarray(item) for item in items]
    array = np.stack(rows)
    given = isinstance(items[0], (Tensor, np.ndarray, np.generic))
    return _core.tensor(array if given or array.dtype.kind != "f" else array.astype(np.float32))


class DataLoader:
    """Batches of a data set: anything with a length and items by number. Each time it is gone
    through is an epoch; with `shuffle` its order depends on (`seed`, epoch) alone, so that a run
    can be repeated, and resumed by setting `epoch`."""

    def __init__(self, dataset, batch_size=1, shuffle=False, *, drop_last=False, collate_fn=None,
                 seed=0):  # fmt: skip
        if batch_size < 1:
            raise _core.UserError(f"[DataLoader] batch_size is at least 1; got {batch_size}")
        self.dataset, self.batch_size, self.shuffle = dataset, batch_size, shuffle
        self.drop_last, self.collate_fn, self.seed = drop_last, collate_fn, seed
        self.epoch = 0

    def __len__(self):
        count = len(self.dataset)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)

    def __iter__(self):
        count = len(self.dataset)
        order = shuffled(count, self.seed, self.epoch) if self.shuffle else np.arange(count)
        self.epoch += 1
        for i in range(len(self)):
            rows = order[i * self.batch_size : (i + 1) * self.batch_size]
            if isinstance(self.dataset, TensorDataset) and self.collate_fn is None:
                yield tuple(_core.tensor(column) for column in self.dataset[rows])
            else:
                yield (self.collate_fn or _stack)([self.dataset[int(row)] for row in rows])
