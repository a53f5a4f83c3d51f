"""The words in which op records write their samples, and the running of their numpy oracles.

A sample is a Python argument list ("(randn(3, 5), dim=1)") over the functions below, which make
seeded numpy arrays. `Reference(record)` parses the record's signature, binds arguments to names and
runs the oracle; see ops/op_record.h for what an oracle may be.
"""
import re

import numpy as np
import scipy.special as sp

DTYPES = {
    "boolean": np.dtype(bool), "i8": np.dtype("int8"), "u8": np.dtype("uint8"),
    "i16": np.dtype("int16"), "i32": np.dtype("int32"), "i64": np.dtype("int64"),
    "u32": np.dtype("uint32"), "u64": np.dtype("uint64"), "f16": np.dtype("float16"),
    "f32": np.dtype("float32"), "f64": np.dtype("float64"),
}
NAMES = {dtype: "bool" if name == "boolean" else name for name, dtype in DTYPES.items()}


class Samples:
    """Arrays drawn from one seed; a new instance draws the same ones again."""

    def __init__(self, seed=0):
        self.generator = np.random.default_rng(seed)

    def words(self):
        return {
            "randn": self.randn, "rand": self.rand, "randint": self.randint,
            "arange": lambda *a: np.arange(*a, dtype=np.int64), "full": self.full,
            "array": self.array, "inf": np.inf, "nan": np.nan,
            **{name: name for name in DTYPES},
        }

    def randn(self, *shape):
        return np.asarray(self.generator.standard_normal(shape), np.float32)

    def rand(self, *shape):
        return np.asarray(self.generator.random(shape), np.float32)

    def randint(self, low, high, *shape):
        return np.asarray(self.generator.integers(low, high, shape), np.int64)

    @staticmethod
    def full(shape, value):
        return np.full(shape, value, np.float32 if isinstance(value, float) else None)

    @staticmethod
    def array(values):
        result = np.array(values)
        return result.astype(np.float32) if result.dtype == np.float64 else result


def arguments_of(sample, seed=0):
    """(positional, keyword) arguments of a sample."""
    return eval("call" + sample, {"call": lambda *a, **k: (a, k), **Samples(seed).words()})


SIZES = (0, 1, 50, 783, 4096)
# What an oracle raises for arguments that it has no answer for.
REFUSALS = (ValueError, IndexError, TypeError, ZeroDivisionError)


def arrays_of(args, kwargs):
    found = []
    for value in [*args, *kwargs.values()]:
        map_arrays(value, lambda array: found.append(array) or array)
    return found


def answers_of(record, text, largest=20 * max(SIZES)):
    """The arguments' arrays and the oracle's results for a sample; none of an oracle that checks.
    None if the oracle refuses the sample, or if there are more elements than `largest`."""
    reference = Reference(record)
    try:
        args, kwargs = arguments_of(text)
        arrays = arrays_of(args, kwargs)
        if sum(a.size for a in arrays) > largest:
            return None
        answers = [] if reference.checks_result else reference(args, kwargs)
    except REFUSALS:
        return None
    answers = [np.asarray(a) for a in answers] if isinstance(answers, (list, tuple)) else [
        np.asarray(answers)]
    return None if sum(a.size for a in answers) > largest else (arrays, answers)


def resized(record, size):
    """A sample of the record with an axis of that size instead of 5 (7, 3), for which the oracle
    has an answer that is not too large; None if no sample gives one."""
    for sample in record["samples"]:
        for token in "573":
            if not re.search(rf"\brand\w*\([^()]*\b{token}\b", sample):
                continue
            text = re.sub(rf"(?<![\w.]){token}(?![\w.])", str(size), sample)
            found = answers_of(record, text)
            if found and len(found[1]) < 10:
                return text
    return None


def has_windows(record):
    return "stride" in record["signature"]


def is_elementwise(record):
    """Of no dims and sizes, with results in the shape to which the arguments broadcast."""
    _, parameters, _ = parse_signature(record["signature"])
    if {kind.rstrip("?") for kind, _, _ in parameters} - {"Tensor", "Operand", "float", "str"}:
        return False
    for arrays, answers in filter(None, (answers_of(record, s) for s in record["samples"])):
        try:
            shape = np.broadcast_shapes(*(a.shape for a in arrays))
        except ValueError:
            return False
        if any(answer.shape != shape for answer in answers):
            return False
    return True


def rank_zero(record):
    """The first sample with all its arrays of rank 0."""
    text = re.sub(r"\b(randn|rand)\([^()]*\)", r"\1()", record["samples"][0])
    return re.sub(r"\brandint\((-?\d+), (-?\d+),[^()]*\)", r"randint(\1, \2)", text)


def is_float(array):
    """Also of bfloat16, which numpy counts as void."""
    return array.dtype.kind in "fV"


def map_arrays(value, function):
    """The same argument with `function` applied to each array in it."""
    if isinstance(value, (np.ndarray, np.generic)):
        return function(np.asarray(value))
    if isinstance(value, list) and any(isinstance(v, np.ndarray) for v in value):
        return [map_arrays(v, function) for v in value]
    return value


def parse_signature(signature):
    """[(type, name, default text or None)] and the result's type."""
    name, arguments, result = re.fullmatch(r"(\w+)\((.*)\) -> (.+)", signature).groups()
    parts, depth, start = [], 0, 0
    for i, c in enumerate(arguments):
        depth += (c in "[(") - (c in "])")
        if c == "," and depth == 0:
            parts.append(arguments[start:i])
            start = i + 1
    parts.append(arguments[start:])
    parameters = []
    for part in (p.strip() for p in parts):
        if part and part != "*":
            parameters.append(re.fullmatch(r"([\w\[\]?]+) (\w+)(?:=(.+))?", part).groups())
    return name, parameters, result


class Reference:
    """What numpy says of one record."""

    def __init__(self, record):
        self.name, self.parameters, self.result = parse_signature(record["signature"])
        self.oracle = record["oracle"].strip("\n")
        self.checks_result = re.search(r"\bresult\b", self.oracle) is not None

    def bind(self, args, kwargs):
        """Argument values by name, defaults included. TypeError as a Python call would."""
        names = [name for _, name, _ in self.parameters]
        values = dict(zip(names, args))
        if len(args) > len(names) or set(values) & set(kwargs) or set(kwargs) - set(names):
            raise TypeError(f"{self.name}: arguments {args!r} {kwargs!r} do not fit {names}")
        values.update(kwargs)
        for kind, name, default in self.parameters:
            if name not in values:
                if default is None:
                    raise TypeError(f"{self.name}: {name} is missing")
                words = {**{d: d for d in DTYPES}, "inf": np.inf}
                values[name] = eval(default, words)
            values[name] = self.convert(kind, values[name])
        return values

    @staticmethod
    def convert(kind, value):
        """As the op's own types would have it: floats in f64, lists for lists, numpy dtypes."""
        kind = kind.rstrip("?")
        if value is None:
            return None
        if kind in ("Tensor", "Operand", "Tensor[]"):
            return map_arrays(value, lambda a: a.astype(np.float64) if is_float(a) else a)
        if kind == "DType":
            return DTYPES[value]
        if kind in ("int[]", "Shape") and isinstance(value, int):
            return [value]
        return value

    def __call__(self, args, kwargs, result=None):
        """The oracle's value; for a check, whether `result` passes it."""
        words = {"np": np, "sp": sp, "result": result, "axes": axes, **self.bind(args, kwargs)}
        with np.errstate(all="ignore"):
            if not re.search(r"^\s*return\b", self.oracle, re.MULTILINE):
                return eval(self.oracle, words)
            body = "\n".join("    " + line for line in self.oracle.splitlines())
            space = {}
            exec(f"def oracle({', '.join(words)}):\n{body}", space)
            return space["oracle"](**words)


def axes(dim, array=None):
    """A `int[]?` as numpy's axis: None for all; with the array always a tuple, not negative."""
    dims = [] if dim is None else [dim] if isinstance(dim, int) else list(dim)
    if array is None:
        return tuple(dims) or None
    return tuple(sorted(d % array.ndim for d in dims)) or tuple(range(array.ndim))
