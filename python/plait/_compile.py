"""plait.compile: a function of arrays becomes one program per shapes and dtypes."""
import numpy as np

from plait import _core
from plait._core import Tensor


class Compiled:
    """Calls run the program for the arguments' shapes and dtypes, compiling it the first time."""

    def __init__(self, function, optimizer=None):
        self._function = function
        self._optimizer = optimizer
        self._programs = {}

    def program(self, *args):
        """The program that a call with these arguments runs."""
        return self._prepare(args)[0]

    def __call__(self, *args):
        program, single, arrays = self._prepare(args)
        results = [_core.tensor(a) for a in program.run(arrays)]
        return results[0] if single else tuple(results)

    def _prepare(self, args):
        arrays = [a.numpy() if isinstance(a, Tensor) else np.asarray(a) for a in args]
        key = tuple((a.shape, a.dtype.str) for a in arrays)
        if key not in self._programs:
            inputs = [_core.input(f"arg{i}", a.dtype, list(a.shape)) for i, a in enumerate(arrays)]
            outputs = self._function(*inputs)
            single = isinstance(outputs, Tensor)
            outputs = [outputs] if single else list(outputs)
            self._programs[key] = _core.compile(outputs, self._optimizer), single
        program, single = self._programs[key]
        used = set(program.input_names)
        return program, single, {f"arg{i}": a for i, a in enumerate(arrays) if f"arg{i}" in used}


def compile(function, optimizer=None):
    """One program for the whole function. With an optimizer, the first result is the loss, and each
    call makes one training step of the parameters the optimizer has."""
    return Compiled(function, optimizer)
