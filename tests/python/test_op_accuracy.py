"""Functions composed of others: the error in units in the last place, and what is easily lost."""
import numpy as np
import pytest
import scipy.special as sp

import plait

RNG = np.random.default_rng(0)


def spread(low, high, count=20_000):
    """Of both signs, evenly over the exponents from `low` to `high`, and evenly over the range."""
    sizes = 10 ** RNG.uniform(np.log10(low), np.log10(high), count)
    return np.concatenate([sizes, -sizes, RNG.uniform(-high, high, count)])


def positive(low, high):
    return np.abs(spread(low, high))


UNIT = np.concatenate([spread(1e-30, 1), 1 - 10 ** RNG.uniform(-6, -1, 5000), [1e-8, 1e-4]])
CASES = [
    ("tan", np.tan, spread(1e-30, 1e3)),
    ("asin", np.arcsin, UNIT),
    ("acos", np.arccos, UNIT),
    ("atan", np.arctan, spread(1e-30, 1e30)),
    ("sinh", np.sinh, np.concatenate([spread(1e-30, 89.4), [1e-8, 1e-4, 80, 80.001, 89.4]])),
    ("cosh", np.cosh, np.concatenate([spread(1e-30, 89.4), [1e-8, 1e-4, 80, 80.001, 89.4]])),
    ("asinh", np.arcsinh, np.concatenate([spread(1e-30, 3e38), [1e-8, 1e-4, 2.0**60]])),
    ("acosh", np.arccosh, np.concatenate([1 + positive(1e-7, 3e38), 1 + positive(1e-7, 10)])),
    ("atanh", np.arctanh, UNIT[np.abs(UNIT) < 0.9999999]),
    ("log10", np.log10, positive(1e-37, 3e38)),
    ("exp2", np.exp2, spread(1e-30, 125)),
    ("logit", sp.logit, np.concatenate([np.abs(UNIT), 0.5 + spread(1e-7, 0.4)])),
    ("hypot", lambda x: np.hypot(x, x[::-1]), spread(1e-18, 1e38)),
]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("name,reference,points", CASES)
def test_within_four_ulp(name, reference, points, dtype):
    """Of f32 against f64, of f64 against the longer double of x86-64."""
    wide = np.float64 if dtype == np.float32 else np.longdouble
    assert np.finfo(wide).nmant > np.finfo(dtype).nmant + 8
    x = points.astype(dtype)
    arguments = [x, x[::-1].copy()] if name == "hypot" else [x]
    result = getattr(plait, name)(*map(plait.tensor, arguments)).numpy()
    with np.errstate(all="ignore"):
        exact = reference(x.astype(wide))
    inside = np.abs(exact) < np.finfo(dtype).max
    assert inside.mean() > 0.9
    unit = np.spacing(np.abs(exact[inside]).astype(dtype)).astype(wide)
    error = np.abs(result[inside].astype(wide) - exact[inside]) / unit
    worst = np.argmax(error)
    assert error[worst] <= 4, f"{name}({x[inside][worst]!r}) errs by {error[worst]} ulp"


@pytest.mark.parametrize("name", ["sinh", "asinh", "atanh", "tan", "asin", "atan"])
@pytest.mark.parametrize("x", [1e-8, -1e-4])
def test_near_zero_it_is_the_argument(name, x):
    point = plait.tensor(np.float32(x), requires_grad=True)
    y = getattr(plait, name)(point)
    assert abs(y.item() / np.float32(x) - 1) < 3e-7
    assert abs(plait.grad(y, point).item() - 1) < 1e-6


def test_gradients_do_not_cancel():
    x = plait.tensor(np.array([1e-8, 1e-4, -1e-4, 50.0, 0.0], np.float32), requires_grad=True)
    expected = np.sinh(x.detach().numpy().astype(np.float64))
    np.testing.assert_allclose(plait.grad(plait.cosh(x).sum(), x).numpy(), expected, rtol=1e-6)
