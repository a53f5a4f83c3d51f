"""Mixed precision by option: products round their factors to bf16, all else stays in f32."""

import ml_dtypes
import numpy as np
import pytest

import plait


@pytest.fixture
def autocast():
    plait.set_option("autocast", "bf16")
    yield
    plait.set_option("autocast", "off")


def rounded(x):
    return x.astype(ml_dtypes.bfloat16).astype(np.float64)


def numbers(*shape):
    return np.random.default_rng(3).standard_normal(shape).astype(np.float32)


def test_products_round_their_factors(autocast):
    x, w = numbers(17, 70), numbers(40, 70)
    product = plait.nn.functional.linear(plait.tensor(x), plait.tensor(w))
    assert product.dtype == plait.f32
    expected = rounded(x) @ rounded(w).T
    assert np.abs(product.numpy() - expected).max() < 1e-4
    assert np.abs(x.astype(np.float64) @ w.T - expected).max() > 1e-2


def test_all_else_stays(autocast):
    x = numbers(5, 100)
    assert np.abs(plait.tensor(x).sum(1).numpy() - x.astype(np.float64).sum(1)).max() < 1e-4
    assert np.array_equal((plait.tensor(x) * 1.001).numpy(), x * np.float32(1.001))


def losses(steps=30):
    plait.manual_seed(5)
    model = plait.nn.Sequential(
        plait.nn.Linear(20, 64), plait.nn.GELU(), plait.nn.Linear(64, 3))
    optimizer = plait.optim.AdamW(model.parameters(), lr=1e-2)
    x = plait.tensor(numbers(50, 20))
    target = plait.tensor(np.arange(50) % 3)

    history = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = plait.nn.functional.cross_entropy(model(x), target)
        loss.backward()
        optimizer.step()
        history.append(loss.item())
    return history


def test_training_follows_that_in_f32(autocast):
    cast = losses()
    plait.set_option("autocast", "off")
    plain = losses()
    assert cast != plain
    assert cast[-1] < 0.5 * cast[0]
    assert np.allclose(cast, plain, rtol=0.05)


def test_other_values_are_refused():
    with pytest.raises(plait.UserError, match="off or bf16"):
        plait.set_option("autocast", "f32")
