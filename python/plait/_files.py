"""Tensors in safetensors files, as the C++ checkpoints: checksummed, written atomically."""

from plait import _core
from plait._core import Tensor


def _named(objects):
    """(name, tensor) of dicts, modules, optimizers and lists of those."""
    if isinstance(objects, dict):
        return [(name, t if isinstance(t, Tensor) else _core.tensor(t))
                for name, t in objects.items()]  # fmt: skip
    if isinstance(objects, (list, tuple)):
        return [pair for each in objects for pair in _named(each)]
    if hasattr(objects, "state_dict"):
        return list(objects.state_dict().items())
    raise _core.UserError(
        "[save] a dict of tensors, a module, an optimizer or a list of those is needed; got "
        f"{type(objects).__name__}"
    )


def save(objects, path, metadata=None):
    """Writes tensors to a file: those of a dict, a module, an optimizer, or of a list of these. The
    file that was there stays if anything fails. `metadata` is a dict of texts."""
    _core.save(path, _named(objects), metadata or {})


def load(path, into=None, *, ignore_unexpected=False):
    """The tensors of a file by name. With `into`, as in `save`, they go into these tensors instead,
    all or (if names, shapes or dtypes differ) none, and the file's metadata is returned."""
    if into is None:
        return _core.load(path)
    return _core.load_into(path, _named(into), ignore_unexpected)
