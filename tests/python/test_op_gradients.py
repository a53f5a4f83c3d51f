"""The gradient of every record of the composite ops, by every float argument of every sample.

In f64 it is compared with finite differences of the numpy oracle, in f32 with the one in f64. Of a
large argument a few elements are compared; all of them if the environment has FULL_GRADIENTS=1.
"""
import os

import numpy as np
import pytest

import finite_differences
import op_samples
import plait
from test_op_records import RECORDS, TOLERANCE

FULL = os.environ.get("FULL_GRADIENTS", "") not in ("", "0")
ALL_OF, SOME_OF = 16, 8  # elements of an argument up to which all are compared; else so many


class Sample:
    """A sample's arguments with its float arrays in one dtype, those as a list, and weights."""

    def __init__(self, record, text, dtype):
        self.name, self.text = record["name"], text
        self.reference = op_samples.Reference(record)
        self.args, self.kwargs = op_samples.arguments_of(text)
        self.floats = []
        self.map(lambda a: self.floats.append(a.astype(dtype)))
        self.dtype = dtype

    def map(self, function):
        """(args, kwargs) with `function` applied to each float array, in order."""
        def each(array):
            return function(array) if op_samples.is_float(array) else array

        return ([op_samples.map_arrays(a, each) for a in self.args],
                {k: op_samples.map_arrays(a, each) for k, a in self.kwargs.items()})

    def with_floats(self, floats):
        values = iter(floats)
        return self.map(lambda _: next(values))

    def results(self, tensors):
        """The op's results of the dtype under test; a narrower one has steps, not slopes."""
        args, kwargs = self.with_floats(tensors)
        result = getattr(plait, self.name)(*args, **kwargs)
        results = result if isinstance(result, (list, tuple)) else [result]
        wanted = op_samples.NAMES[np.dtype(self.dtype)]
        return [r if str(r.dtype) == wanted else None for r in results]

    def weights(self, results):
        draw = np.random.default_rng(1)
        shapes = [None if r is None else tuple(r.shape) for r in results]
        return [None if s is None else np.asarray(draw.normal(size=s), np.float32) for s in shapes]

    def gradients(self):
        """Lazy, one per float array; None if no result can have one."""
        tensors = [plait.tensor(x, requires_grad=True) for x in self.floats]
        results = self.results(tensors)
        losses = [plait.sum(r * plait.tensor(w.astype(self.dtype)))
                  for r, w in zip(results, self.weights(results)) if r is not None]
        if not losses or not tensors:
            return None
        loss = sum(losses[1:], losses[0])
        return plait.grad(loss, tensors) if loss.requires_grad else None

    def where(self, index, position=None):
        at = "" if position is None else f" at {list(position)}"
        return f"{self.name}{self.text}, float argument {index}{at}"


def evaluated(lazy):
    """The arrays of many tensors of one dtype, from one program."""
    flat = plait.cat([plait.reshape(t, [-1 if t.shape else 1]) if 0 not in t.shape
                      else plait.reshape(t, [0]) for t in lazy]).numpy()
    ends = np.cumsum([int(np.prod(t.shape)) for t in lazy])
    return [part.reshape(t.shape) for part, t in zip(np.split(flat, ends[:-1]), lazy)]


def gradients_of(record, dtype):
    """{sample: [array per float argument]} of the samples that have gradients; one program."""
    samples = [Sample(record, text, dtype) for text in record["samples"]]
    lazy = {sample: sample.gradients() for sample in samples}
    lazy = {sample: gradients for sample, gradients in lazy.items() if gradients is not None}
    arrays = iter(evaluated([g for each in lazy.values() for g in each]) if lazy else [])
    return {sample: [next(arrays) for _ in each] for sample, each in lazy.items()}


def oracle_of(sample):
    """From the float arrays to the op's results as one vector, and the weights of its elements."""
    weights = sample.weights(sample.results([plait.tensor(x) for x in sample.floats]))

    def function(floats):
        args, kwargs = sample.with_floats(floats)
        values = sample.reference(args, kwargs)
        values = values if isinstance(values, (list, tuple)) else [values]
        return np.concatenate([np.ravel(v) for v, w in zip(values, weights) if w is not None])

    return function, np.concatenate([np.ravel(w) for w in weights if w is not None])


def positions_of(array):
    everywhere = list(np.ndindex(array.shape))
    if FULL or len(everywhere) <= ALL_OF:
        return everywhere
    chosen = np.random.default_rng(2).choice(len(everywhere), SOME_OF, replace=False)
    return [everywhere[i] for i in sorted(chosen)]


def check_against_differences(sample, gradients):
    """The number of elements compared."""
    function, weights = oracle_of(sample)
    compared = 0
    for index, gradient in enumerate(gradients):
        assert gradient.shape == sample.floats[index].shape, sample.where(index)
        assert gradient.dtype == np.float64, sample.where(index)
        for position in positions_of(gradient):
            def of_one(x, index=index):
                return function([*sample.floats[:index], x, *sample.floats[index + 1:]])

            slopes = finite_differences.slopes_by(of_one, sample.floats[index], position)
            low, high, size = finite_differences.contracted(slopes, weights)
            if np.isnan(low):
                continue
            slack = 1e-8 * (1 + size)
            got = gradient[position]
            assert low - slack <= got <= high + slack, (
                f"{sample.where(index, position)}: the gradient is {got}, differences say "
                f"{low} to {high}")
            compared += 1
    return compared


# By trait: records whose slopes numpy knows, those that draw numbers, and those without slopes.
DRAWING = [n for n, r in RECORDS.items() if op_samples.Reference(r).checks_result]
SMOOTH = [n for n, r in RECORDS.items() if r["differentiable"] and n not in DRAWING]
FLAT = [n for n, r in RECORDS.items() if not r["differentiable"]]


@pytest.mark.parametrize("name", SMOOTH)
def test_f64_against_finite_differences(name):
    found = gradients_of(RECORDS[name], np.float64)
    assert sum(check_against_differences(*each) for each in found.items()) > 0


@pytest.mark.parametrize("name", SMOOTH)
def test_f32_against_f64(name):
    exact = {s.text: wide for s, wide in gradients_of(RECORDS[name], np.float64).items()}
    relative, absolute = TOLERANCE["float32"]
    for sample, narrow in gradients_of(RECORDS[name], np.float32).items():
        # A sample that names f32 for its result has no gradient in f64 to compare with.
        for index, (expected, got) in enumerate(zip(exact.get(sample.text, []), narrow)):
            assert got.dtype == np.float32, sample.where(index)
            scale = np.max(np.abs(expected), initial=1.0, where=np.isfinite(expected))
            with np.errstate(over="ignore"):
                expected = expected.astype(np.float32)  # what overflows becomes inf
            np.testing.assert_allclose(got, expected, rtol=relative, atol=absolute * scale,
                                       err_msg=sample.where(index))


@pytest.mark.parametrize("name", FLAT)
def test_nothing_flows(name):
    """Of a record that says it is not differentiable: no float result, or all slopes are 0."""
    for sample, gradients in gradients_of(RECORDS[name], np.float64).items():
        for index, gradient in enumerate(gradients):
            assert not np.any(gradient), sample.where(index)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name", [n for n in DRAWING if RECORDS[n]["differentiable"]])
def test_draws(name, dtype):
    """Given its draw such an op scales each element: gradient * input = weight * result."""
    for text in RECORDS[name]["samples"]:
        sample = Sample(RECORDS[name], text, dtype)
        (x,) = sample.floats
        lazy = plait.tensor(x, requires_grad=True)
        (result,) = sample.results([lazy])
        (weight,) = sample.weights([result])
        gradient = plait.grad(plait.sum(result * plait.tensor(weight.astype(dtype))), lazy)
        result, gradient = evaluated([result, gradient])
        np.testing.assert_allclose(gradient * x, weight * result, rtol=TOLERANCE[x.dtype.name][0],
                                   err_msg=sample.where(0))
        np.testing.assert_array_equal(gradient == 0, (result == 0) & (x != 0))


NAN, INF = float("nan"), float("inf")
# Where there is no derivative: op, float arguments, further ones, and the documented gradient of
# the results' sum by each float argument (docs/numerics.md, docs/ops.md).
CHOICES = [
    ("relu", [[0.0, -0.0, NAN]], [], [[0, 0, 1]]),
    ("leaky_relu", [[0.0, 1.0]], [0.5], [[0.5, 1]]),
    ("relu6", [[0.0, 6.0, 3.0]], [], [[0, 0, 1]]),
    ("hardtanh", [[1.0, -1.0, 0.5]], [], [[0, 0, 1]]),
    ("hardsigmoid", [[3.0, -3.0]], [], [[0, 0]]),
    ("prelu", [[0.0, 1.0], [0.25]], [], [[0.25, 1], [0]]),
    ("asin", [[1.0, -1.0]], [], [[INF, INF]]),
    ("acos", [[1.0, -1.0]], [], [[-INF, -INF]]),
    ("atanh", [[1.0, -1.0]], [], [[INF, INF]]),
    ("logit", [[0.0, 1.0, 0.5]], [], [[INF, INF, 4]]),
    ("hypot", [[0.0, 3.0], [0.0, -4.0]], [], [[0, 0.6], [0, -0.8]]),
    ("copysign", [[0.0, 2.0], [-1.0, -1.0]], [], [[0, -1], [0, 0]]),
    ("xlogy", [[0.0, 0.0], [0.0, 2.0]], [], [[0, np.log(2.0)], [0, 0]]),
    ("nan_to_num", [[NAN, INF, 1.0]], [], [[0, 0, 1]]),
    ("cosine_similarity", [[0.0, 0.0], [0.0, 0.0]], [0], [[0, 0], [0, 0]]),
    ("cdist", [[[1.0, 2.0]], [[1.0, 2.0]]], [], [[[0, 0]], [[0, 0]]]),
    ("kthvalue", [[2.0, 1.0, 1.0]], [2], [[0, 0, 1]]),
    ("abs", [[0.0, -0.0, -2.0]], [], [[0, 0, -1]]),
    ("softplus", [[0.0]], [], [[0.5]]),
    ("maximum", [[1.0, 2.0, 0.0], [1.0, 3.0, -0.0]], [], [[0.5, 0, 0.5], [0.5, 1, 0.5]]),
    ("minimum", [[1.0, 2.0, 0.0], [1.0, 3.0, -0.0]], [], [[0.5, 1, 0.5], [0.5, 0, 0.5]]),
    ("clamp", [[0.0, 1.0, 2.0, -1.0]], [0.0, 1.0], [[1, 1, 0, 0]]),
    ("amax", [[2.0, 1.0, 2.0, 2.0]], [], [[1 / 3, 0, 1 / 3, 1 / 3]]),
    ("amin", [[2.0, 1.0, 1.0, 2.0]], [], [[0, 0.5, 0.5, 0]]),
    ("max_pool1d", [[[[2.0, 2.0, 1.0, 1.0]]]], [2], [[[[0.5, 0.5, 0.5, 0.5]]]]),
    ("norm", [[0.0, 0.0]], [], [[0, 0]]),
    ("norm", [[0.0, 0.0]], [1.5], [[0, 0]]),
    ("std", [[4.0, 4.0, 4.0]], [], [[0, 0, 0]]),
    ("l1_loss", [[1.0, 2.0], [1.0, 0.0]], [], [[0, 0.5], [0, -0.5]]),
    ("pow", [[0.0, 2.0, 0.0], [0.0, 0.0, 2.0]], [], [[0, 0, 0], [0, np.log(2.0), 0]]),
    ("atan2", [[0.0], [0.0]], [], [[0], [0]]),
    ("prod", [[0.0, 2.0, 3.0]], [], [[6, 0, 0]]),
    ("prod", [[0.0, 2.0, 0.0]], [], [[0, 0, 0]]),
    ("cumprod", [[2.0, 0.0, 3.0, 4.0]], [0], [[1, 2 + 6 + 24, 0, 0]]),
    ("cumprod", [[0.0, 0.0, 3.0]], [0], [[1, 0, 0]]),
    ("softmax", [[-INF, -INF]], [0], [[0, 0]]),
    ("topk", [[1.0, 1.0, 1.0]], [2], [[1, 1, 0]]),
    ("scatter", [[0.0, 0.0], [5.0, 6.0, 7.0]], {"dim": 0, "index": np.array([1, 1, 0])},
     [[0, 0], [0, 1, 1]]),
    ("scatter_reduce", [[2.0, 1.0], [2.0, 0.0]],
     {"dim": 0, "index": np.array([0, 1]), "reduce": "amax"}, [[0.5, 1], [0.5, 0]]),
    ("scatter_reduce", [[0.0, 0.0], [3.0, 0.0]],
     {"dim": 0, "index": np.array([0, 1]), "reduce": "prod"}, [[3, 0], [0, 0]]),
]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("name,floats,more,expected", CHOICES)
def test_choices(name, floats, more, expected, dtype):
    tensors = [plait.tensor(np.array(x, dtype), requires_grad=True) for x in floats]
    if isinstance(more, dict):
        result = getattr(plait, name)(input=tensors[0], src=tensors[1], **more)
    else:
        result = getattr(plait, name)(*tensors, *more)
    result = result[0] if isinstance(result, (list, tuple)) else result
    for got, want in zip(plait.grad(plait.sum(result), tensors), expected, strict=True):
        np.testing.assert_allclose(got.numpy(), np.array(want, dtype), rtol=1e-6, atol=0)
