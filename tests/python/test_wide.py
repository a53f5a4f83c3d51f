"""Graphs of thousands of parts (C15)."""

import numpy as np
import plait


def test_stack_of_thousands():
    n = 6131
    y = plait.stack([plait.full((28, 28), float(i)) for i in range(n)]).numpy()
    assert y.shape == (n, 28, 28)
    assert (y == np.arange(n, dtype=np.float32)[:, None, None]).all()


def test_sum_of_thousands_of_products():
    rng = np.random.default_rng(0)
    a, b = rng.integers(-3, 4, (2, 2000, 4, 4)).astype(np.float32)
    total = plait.tensor(a[0]) @ plait.tensor(b[0])
    for x, y in zip(a[1:], b[1:], strict=True):
        total = total + plait.tensor(x) @ plait.tensor(y)
    assert (total.numpy() == np.einsum("nij,njk->ik", a, b)).all()
