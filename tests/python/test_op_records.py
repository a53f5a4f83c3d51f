"""Every record of the composite ops, on all its samples, against its numpy oracle."""
import ml_dtypes
import numpy as np
import pytest

import op_samples
import plait
from plait import _core

if not hasattr(_core, "op_records"):
    pytest.skip("this build's module has no ops", allow_module_level=True)

RECORDS = {record["name"]: record for record in _core.op_records()}
CASES = [(name, sample) for name, record in RECORDS.items() for sample in record["samples"]]

# By dtype: relative and absolute.
TOLERANCE = {"float64": (1e-12, 1e-12), "float32": (2e-5, 2e-6), "float16": (4e-3, 4e-3),
             "bfloat16": (3e-2, 3e-2)}
# Results that round to other integers, or samples made for wide types, say nothing in halves.
NOT_IN_HALVES = {"floor", "ceil", "round", "trunc", "floor_divide", "remainder", "fmod", "argmax",
                 "argmin", "max_dim", "min_dim", "sort", "argsort", "topk", "eq", "ne", "lt", "le",
                 "gt", "ge", "to", "prod", "cumprod", "randn", "rand", "uniform", "normal",
                 "dropout", "bernoulli", "arange", "linspace"}


def run(name, args, kwargs, given):
    """The op's results as a list of arrays; `given` makes what the op gets of each array."""
    args = [op_samples.map_arrays(a, given) for a in args]
    kwargs = {k: op_samples.map_arrays(a, given) for k, a in kwargs.items()}
    result = _core.call(name, *args, **kwargs)
    results = result if isinstance(result, (list, tuple)) else [result]
    return [np.asarray(r.numpy()) for r in results]


def compare(result, expected, where):
    assert result.shape == expected.shape, where
    if not op_samples.is_float(result):
        kind = "b" if result.dtype == bool else "i"
        assert kind == expected.dtype.kind.replace("u", "i"), where
        np.testing.assert_array_equal(result, expected, err_msg=where)
        return
    assert op_samples.is_float(expected), where
    relative, absolute = TOLERANCE[result.dtype.name]
    expected = expected.astype(result.dtype).astype(np.float64)  # what overflows becomes inf
    scale = np.max(np.abs(expected), initial=1.0, where=np.isfinite(expected))
    np.testing.assert_allclose(result.astype(np.float64), expected, rtol=relative,
                               atol=absolute * scale, err_msg=where)


def check(name, args, kwargs, dtype, where, given=lambda array: array):
    reference = op_samples.Reference(RECORDS[name])
    results = run(name, args, kwargs, given)
    if dtype is not None:
        for result in filter(op_samples.is_float, results):
            assert result.dtype == dtype, f"{where} gave {result.dtype}"
    if reference.checks_result:
        result = results[0]
        wide = result.astype(np.float64) if op_samples.is_float(result) else result
        with np.errstate(all="ignore"):
            assert reference(args, kwargs, wide), where
        return
    expected = reference(args, kwargs)
    expected = expected if isinstance(expected, (list, tuple)) else [expected]
    assert len(results) == len(expected), where
    for result, want in zip(results, expected):
        compare(result, np.asarray(want), where)


def with_floats(sample, dtype):
    """The sample with its f32 arrays in `dtype`, and the dtype that float results must have: None
    where the sample names dtypes or has no floats."""
    args, kwargs = op_samples.arguments_of(sample)
    found = []

    def cast(array):
        found.extend([array] if array.dtype == np.float32 else [])
        return array.astype(dtype) if array.dtype == np.float32 else array

    args = [op_samples.map_arrays(a, cast) for a in args]
    kwargs = {k: op_samples.map_arrays(a, cast) for k, a in kwargs.items()}
    named = any(isinstance(a, str) and a in op_samples.DTYPES for a in [*args, *kwargs.values()])
    return args, kwargs, np.dtype(dtype) if found and not named else None


@pytest.mark.parametrize("name,sample", CASES)
def test_f32(name, sample):
    check(name, *with_floats(sample, np.float32), f"{name}{sample}")


@pytest.mark.parametrize("name,sample", CASES)
def test_f64(name, sample):
    check(name, *with_floats(sample, np.float64), f"{name}{sample} in f64")


@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16])
@pytest.mark.parametrize("name,sample", [c for c in CASES if c[0] not in NOT_IN_HALVES])
def test_halves(name, sample, dtype):
    check(name, *with_floats(sample, dtype), f"{name}{sample} in {np.dtype(dtype).name}")


def takes_arrays(record):
    return any(op_samples.arrays_of(*op_samples.arguments_of(s)) for s in record["samples"])


@pytest.mark.parametrize("name", [n for n, r in RECORDS.items()
                                  if takes_arrays(r) and not op_samples.has_windows(r)])
def test_sizes(name):
    samples = [op_samples.resized(RECORDS[name], size) for size in op_samples.SIZES]
    assert any(samples), "no sample has an axis of 5, 7 or 3"
    for sample in filter(None, samples):
        check(name, *with_floats(sample, np.float32), f"{name}{sample}")


@pytest.mark.parametrize("name", [n for n, r in RECORDS.items() if op_samples.is_elementwise(r)])
def test_rank_zero(name):
    sample = op_samples.rank_zero(RECORDS[name])
    check(name, *with_floats(sample, np.float32), f"{name}{sample}")


def as_view(array):
    """The same values, not contiguous: transposed, every second element, or one of two."""
    if array.ndim == 0:
        return plait.select(plait.tensor(np.stack([array, array])), 0, 1)
    if array.ndim == 1:
        return plait.slice(plait.tensor(np.repeat(array, 2)), 0, 0, 2 * len(array), 2)
    dims = list(range(array.ndim))[::-1]
    return plait.permute(plait.tensor(np.ascontiguousarray(array.transpose())), dims)


@pytest.mark.parametrize("name", RECORDS)
def test_views(name):
    for sample in RECORDS[name]["samples"]:
        args, kwargs, dtype = with_floats(sample, np.float32)
        if op_samples.arrays_of(args, kwargs):
            check(name, args, kwargs, dtype, f"{name}{sample} of views", as_view)


# What the formula makes of infinities is not what the oracle's makes, or numpy leaves it open.
# docs/numerics.md says what windows over an edge make of them.
OTHER_FORMULA = {"lerp", "binary_cross_entropy_with_logits", "to", "conv_transpose1d"}


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("name", [n for n, r in RECORDS.items() if n not in OTHER_FORMULA
                                  and not op_samples.Reference(r).checks_result])
def test_one_special_value(name, value):
    """In the middle of each float array in turn."""
    for sample in RECORDS[name]["samples"][:2]:
        args, kwargs, dtype = with_floats(sample, np.float32)
        floats = [a for a in op_samples.arrays_of(args, kwargs) if op_samples.is_float(a)]
        for chosen in filter(lambda a: a.size, floats):
            def spoil(array, chosen=chosen):
                if array is not chosen:
                    return array
                array = array.copy()
                array.flat[array.size // 2] = value
                return array

            spoilt = [op_samples.map_arrays(a, spoil) for a in args]
            named = {k: op_samples.map_arrays(a, spoil) for k, a in kwargs.items()}
            check(name, spoilt, named, dtype, f"{name}{sample} with {value}")


@pytest.mark.parametrize("name", RECORDS)
def test_record_is_whole(name):
    record = RECORDS[name]
    parsed, parameters, _ = op_samples.parse_signature(record["signature"])
    assert parsed == name and len(record["doc"]) > 3 and len(record["samples"]) >= 2
    assert all(parameters)
