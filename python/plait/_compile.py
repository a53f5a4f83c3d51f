"""plait.compile: a function of tensors becomes one program per shapes and dtypes."""

import collections
import functools
import warnings

import numpy as np

from plait import _core
from plait._core import Tensor

_MOST_PROGRAMS = 64
# Sizes below this are part of a program: 1 broadcasts, and 0 has no elements.
_LEAST_SYMBOLIC = 2


def _flatten(value, leaves):
    """A hashable description of an argument; its tensors and arrays go to `leaves`."""
    if isinstance(value, (Tensor, np.ndarray, np.generic)):
        leaves.append(value if isinstance(value, Tensor) else np.asarray(value))
        return "tensor"
    if isinstance(value, (list, tuple)):
        return (type(value), tuple(_flatten(item, leaves) for item in value))
    if isinstance(value, dict):
        return (dict, tuple((key, _flatten(item, leaves)) for key, item in value.items()))
    try:
        hash(value)
    except TypeError:
        raise TypeError(
            "[compile] arguments are tensors, arrays, lists, tuples, dicts of them, and hashable "
            f"constants; got {type(value).__name__}"
        ) from None
    return ("constant", type(value), value)


def _unflatten(structure, leaves):
    if structure == "tensor":
        return next(leaves)
    kind, *rest = structure
    if kind == "constant":
        return rest[1]
    if kind is dict:
        return {key: _unflatten(item, leaves) for key, item in rest[0]}
    items = [_unflatten(item, leaves) for item in rest[0]]
    if kind is list:
        return items
    return kind(*items) if hasattr(kind, "_fields") else kind(items)


class _Sizes:
    """Which axes of a signature's tensors vary, and which of those have always been equal."""

    def __init__(self, shapes):
        self._first = [size for shape in shapes for size in shape]
        self._classes = [0] * len(self._first)
        self._varies = [False] * len(self._first)

    def shapes(self, shapes):
        """The shapes with symbols for sizes that vary. Axes that were always equal share one."""
        sizes = [size for shape in shapes for size in shape]
        numbers = {}
        for i, size in enumerate(sizes):
            self._varies[i] |= size != self._first[i]
            group = (self._classes[i], size)
            self._classes[i] = numbers.setdefault(group, len(numbers))
        result, at, named = [], 0, {}
        for shape in shapes:
            axes = []
            for size in shape:
                symbolic = self._varies[at] and size >= _LEAST_SYMBOLIC
                if symbolic:
                    name = named.setdefault(self._classes[at], f"n{len(named)}")
                    axes.append((name, _bound(size)))
                else:
                    axes.append(size)
                at += 1
            result.append(tuple(axes))
        return tuple(result)


def _bound(size):
    """The largest size of the program that serves this one."""
    bound = 4096
    while bound < size:
        bound *= 16
    return bound


class _Recent(collections.OrderedDict):
    """The latest entries."""

    def get(self, key):
        if key in self:
            self.move_to_end(key)
        return super().get(key)

    def add(self, key, value):
        self[key] = value
        if len(self) > _MOST_PROGRAMS:
            self.popitem(last=False)


class Compiled:
    """A function that runs as one program, compiled when shapes or dtypes are new.

    A size that differs from the first one seen becomes a symbol: one program then serves all sizes
    of that axis from 2 on. Numbers, strings and other constants among the arguments are part of the
    program; give a tensor for what varies. What the function changes in place is changed when its
    program runs. Results have no gradients: take those inside, or give an optimizer.
    """

    def __init__(self, function, optimizer=None, dynamic=True):
        functools.update_wrapper(self, function, updated=())
        self._function = function
        self._optimizer = optimizer
        self._dynamic = dynamic
        self._sizes = _Recent()
        self._programs = _Recent()

    def __call__(self, *args, **kwargs):
        if _core.capturing():
            return self._function(*args, **kwargs)
        captured, result, leaves = self._prepare(args, kwargs)
        return _unflatten(result, iter(captured.run(leaves)))

    def program(self, *args, **kwargs):
        """The program that a call with these arguments runs."""
        return self._prepare(args, kwargs)[0].program

    def _prepare(self, args, kwargs):
        leaves = []
        structure = _flatten((args, kwargs), leaves)
        kinds = tuple(
            (str(leaf.dtype), _core.grad_kind(leaf) if isinstance(leaf, Tensor) else 0,
             len(leaf.shape))
            for leaf in leaves
        )
        shapes = tuple(tuple(leaf.shape) for leaf in leaves)
        signature = (structure, kinds, _core.grad_enabled(), self._options())
        known = self._programs.get((signature, self._symbolic(signature, shapes)))
        if known is None:
            known = self._add(signature, shapes, leaves)
        sharing = known[0].sharing(leaves)
        if sharing.key:
            known = self._programs.get((signature, self._sizes_of(sharing, signature, shapes),
                                        sharing.key))  # fmt: skip
        if known is None or not known[0].is_compiled:
            known = self._add(signature, shapes, leaves, sharing)
        return (*known, leaves)

    @staticmethod
    def _options():
        return _core.options_key()

    def _symbolic(self, signature, shapes):
        if not self._dynamic:
            return shapes
        sizes = self._sizes.get(signature)
        if sizes is None:
            sizes = _Sizes(shapes)
            self._sizes.add(signature, sizes)
        return sizes.shapes(shapes)

    def _sizes_of(self, sharing, signature, shapes):
        return shapes if sharing and sharing.fixed_sizes else self._symbolic(signature, shapes)

    def _add(self, signature, shapes, leaves, sharing=None):
        """Captures the function, and compiles it unless some arguments share memory and `sharing`,
        which says how, is not given."""
        symbolic = self._sizes_of(sharing, signature, shapes)
        try:
            known = self._capture(signature, symbolic, leaves, sharing)
        except Exception as error:
            if symbolic == shapes:
                raise
            # Raises the same if sizes are not why.
            known = self._capture(signature, shapes, leaves, sharing)
            self._dynamic = False
            symbolic = shapes
            warnings.warn(
                f"{getattr(self, '__name__', 'function')} does not work with sizes that vary, so "
                f"each shape compiles a program (the latest {_MOST_PROGRAMS} are kept): {error}",
                stacklevel=4,
            )
        key = (sharing.key,) if sharing and sharing.key else ()
        self._programs.add((signature, symbolic, *key), known)
        return known

    def _capture(self, signature, shapes, leaves, sharing):
        dims = {}

        def size(axis):
            if isinstance(axis, int):
                return axis
            if axis not in dims:
                dims[axis] = _core.dim(axis[0], _LEAST_SYMBOLIC, axis[1])
            return dims[axis]

        captured = _core.CapturedProgram()
        try:
            given = [_core.Given.placeholder] * len(leaves)
            if sharing and sharing.key:
                given = sharing.given
            arguments = [
                captured.argument(leaf, [size(axis) for axis in shape], kind)
                for leaf, shape, kind in zip(leaves, shapes, given)
            ]
            args, kwargs = _unflatten(signature[0], iter(arguments))
            outputs = []
            result = _flatten(self._function(*args, **kwargs), outputs)
            outputs = [o if isinstance(o, Tensor) else _core.tensor(o) for o in outputs]
            captured.set_results(outputs, self._optimizer)
        finally:
            captured.end()
        if sharing or not captured.sharing(leaves).key:
            captured.compile()
        return captured, result


def compile(function=None, optimizer=None, *, dynamic=True):  # noqa: A001
    """One program for the whole function; also a decorator. With an optimizer, the first result is
    the loss, and each call makes one training step of the optimizer's parameters. Without `dynamic`
    every shape has a program of its own."""
    if function is None:
        return lambda function: Compiled(function, optimizer, dynamic)
    return Compiled(function, optimizer, dynamic)
