"""backward(), plait.grad, no_grad; eager steps of optimizers; long chains."""

import threading

import numpy as np
import plait
import pytest
from plait import nn


def programs():
    return plait.compile_count()["programs"]


def test_backward_adds_to_grad():
    w = plait.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    x = plait.tensor([[1.0, -1.0]])
    for times in (1, 2):
        (x @ w).square().sum().backward()
        np.testing.assert_array_equal(w.grad.numpy(), times * np.array([[-4, -4], [4, 4.0]]))
    w.grad.zero_()
    assert (w.grad.numpy() == 0).all()
    w.grad = None
    assert w.grad is None and x.grad is None


def test_backward_frees_the_history_once():
    w = plait.tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    loss.backward()
    np.testing.assert_array_equal(w.grad.numpy(), [4, 8])
    with pytest.raises(plait.UserError, match="retain_graph=True"):
        loss.backward()
    assert loss.item() == 5


def test_gradients_of_gradients():
    x = plait.tensor(3.0, requires_grad=True)
    first = plait.grad(x**3, x, create_graph=True)
    second = plait.grad(first, x)
    assert (first.item(), second.item()) == (27, 18)
    y = plait.tensor([1.0, 2.0], requires_grad=True)
    assert plait.grad(y * y, y, plait.tensor([1.0, 10.0])).tolist() == [2, 40]


@pytest.mark.parametrize("compiled", [False, True])
def test_gradients_are_not_by_what_is_equal(compiled):
    x = plait.tensor([1.0, 2.0], requires_grad=True)

    def by_equal_values(x):
        a, b = x * 2, x * 2
        return plait.grad((a * 3 + b * 5).sum(), [a, b])

    def by_equal_memory(x):
        a, b = (plait.tensor([0.0, 0.0], requires_grad=True) for _ in range(2))
        return plait.grad((a * 3 + b * 5).sum(), [a, b])

    for f in (by_equal_values, by_equal_memory):
        grads = (plait.compile(f) if compiled else f)(x)
        assert [g.tolist() for g in grads] == [[3, 3], [5, 5]]


def test_constants_that_require_gradients_are_variables():
    for make in (plait.zeros, plait.ones, lambda n: plait.full([n], 0.0)):
        x = make(3).requires_grad_()
        (plait.relu(x) + plait.maximum(x, make(3)) + make(3) * x).sum().backward()
        value = x.numpy()[0]
        assert x.grad.tolist() == [(value > 0) + 0.5 + value] * 3 and x.is_leaf


def test_no_grad_detach_and_views():
    w = plait.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with plait.no_grad():
        assert not (w * 2).requires_grad
        w += 1
    with pytest.raises(plait.UserError, match="no_grad"):
        w += 1
    assert w.tolist() == [2, 3, 4] and w.requires_grad
    (w[1:] * w.detach()[1:]).sum().backward()
    assert w.grad.tolist() == [0, 3, 4]


def test_gradients_through_writes():
    w = plait.tensor([1.0, 2.0, 3.0], requires_grad=True)
    y = w * 2
    y[0] = 5
    y[1:] *= w[1:]
    y.sum().backward()
    assert y.tolist() == [5, 8, 18] and w.grad.tolist() == [0, 8, 12]


def test_mistakes():
    w = plait.tensor([1.0, 2.0], requires_grad=True)
    with pytest.raises(plait.UserError, match=r"float of rank 0; got f32\[2\]"):
        (w * 2).backward()  # G12
    with pytest.raises(plait.UserError, match="does not depend on"):
        plait.ones(2).sum().backward()
    with pytest.raises(plait.UserError, match="only floats have gradients; got i64"):
        plait.tensor([1, 2], requires_grad=True)
    with pytest.raises(plait.UserError, match="has its tensor's type; got grad: f64"):
        w.grad = np.ones(2)
    f = plait.compile(lambda x: x * w)
    with pytest.raises(plait.UserError, match="do not pass through a function of plait.compile"):
        f(plait.ones(2)).sum().backward()


def test_float_numbers_that_vary_compile_nothing():
    x = plait.tensor([1.0, 2.0])
    counts = []
    for i in range(6):
        y = plait.softmax(x * (0.3 + i) + 1.5 * i, -1)
        np.testing.assert_allclose(y.numpy().sum(), 1, rtol=1e-6)
        counts.append(programs())
    assert counts[1:] == [counts[1]] * 5


def test_half_numbers_keep_their_dtype_when_they_vary():
    x = plait.tensor([1.0, 2.0], dtype="bf16")
    for number in (0.1, 0.2, 0.3, 0.4):
        y = x * number
        assert y.dtype == plait.bf16
        expected = (x.float() * plait.tensor(number).bfloat16()).bfloat16()
        assert y.float().tolist() == expected.tolist()


def regression(optimizer_of, compiled):
    plait.manual_seed(3)
    model = nn.Sequential(nn.Linear(5, 7), nn.GELU(), nn.LayerNorm(7), nn.Linear(7, 1))
    optimizer = optimizer_of(model.parameters())
    generator = np.random.default_rng(0)
    batches = [generator.standard_normal((3, 5), np.float32) for _ in range(6)]

    def loss_of(x):
        return (model(x) - 1).square().mean()

    def eager(x):
        loss = loss_of(plait.tensor(x))
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        return loss

    step = plait.compile(loss_of, optimizer=optimizer) if compiled else eager
    losses = [step(x).item() for x in batches]
    return losses, [p.numpy() for p in model.parameters()], list(optimizer.state_dict().values())


OPTIMIZERS = {
    "SGD": lambda p: plait.optim.SGD(p, 0.1),
    "momentum": lambda p: plait.optim.SGD(p, 0.01, 0.9, 0.01, nesterov=True),
    "Adam": lambda p: plait.optim.Adam(p, 0.01, weight_decay=0.1),
    "AdamW": lambda p: plait.optim.AdamW(
        p, 0.01, clip_norm=0.5, decay_min_rank=2, schedule=plait.optim.warmup_cosine(2, 6, 0.1)
    ),
    "schedule": lambda p: plait.optim.SGD(p, 0.1, schedule=lambda step: 1 / (1 + step)),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_eager_steps_have_the_bits_of_the_compiled_program(name):
    eager, compiled = (regression(OPTIMIZERS[name], c) for c in (False, True))
    assert eager[0] == compiled[0] and eager[0][-1] < eager[0][0]
    for a, b in zip(eager[1], compiled[1]):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(eager[2], compiled[2]):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_eager_steps_compile_once():
    w = nn.Parameter(np.ones(4, np.float32))
    optimizer = plait.optim.AdamW([w])
    counts = []
    for i in range(5):
        (w * (i + 0.5)).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()
        optimizer.lr = 0.1 / (i + 1)
        counts.append(programs())
    assert counts[1:] == [counts[1]] * 4 and optimizer.steps == 5


def addresses(tensors):
    return [t.numpy(copy=False).ctypes.data for t in tensors]


@pytest.mark.parametrize("uses", ["loss", "loss before", "logits", "logits before"])
def test_eager_steps_update_in_place(uses):
    plait.manual_seed(0)
    model = nn.Sequential(nn.Linear(64, 128), nn.Tanh(), nn.Linear(128, 4))
    optimizer = plait.optim.AdamW(model.parameters())
    x = plait.randn(8, 64)
    weights = [model[0].weight, model[0].bias, model[2].weight]
    tensors = [*weights, *optimizer.state_dict().values()]
    x.numpy()
    sizes = []
    for i in range(5):
        logits = model(x)
        loss = logits.square().mean()
        if uses.endswith("before"):
            assert (loss if uses.startswith("loss") else logits.sum()).item() > -100
        loss.backward()
        optimizer.step()
        if uses.startswith("logits"):
            assert logits.argmax(1).shape == (8,) and np.isfinite(logits.numpy()).all()
        optimizer.zero_grad()
        if i == 1:
            before = addresses(tensors)
        sizes.append(plait.live_bytes())
    assert addresses(tensors) == before
    assert sizes[2:] == [sizes[2]] * 3


def test_an_eager_step_takes_no_more_than_gradients_and_activations():
    w = nn.Parameter(np.ones((2048, 2048), np.float32))
    optimizer = plait.optim.SGD([w], 1e-3, momentum=0.9)
    x = plait.tensor(np.ones((2, 2048), np.float32))
    plait.clear_cache()
    base = plait.live_bytes()
    plait.linear(x, w).square().sum().backward()
    optimizer.step()
    size = 2048 * 2048 * 4
    assert size <= plait.live_bytes() - base < 1.1 * size  # w's gradient, and scratch


def test_old_values_that_are_still_needed_stay():
    w = nn.Parameter(np.arange(4, dtype=np.float32))
    optimizer = plait.optim.SGD([w], 1.0)
    pending = w * 2
    kept = w.numpy(copy=False)
    other = (w * w).sum()
    w.sum().backward()
    optimizer.step()
    assert w.tolist() == [-1, 0, 1, 2] and kept.tolist() == [0, 1, 2, 3]
    assert pending.tolist() == [0, 2, 4, 6]
    optimizer.zero_grad()
    other.backward()
    assert w.grad.tolist() == [0, 2, 4, 6]


def test_a_gradient_that_is_pending_keeps_the_history():
    w = plait.tensor([1.0, 2.0], requires_grad=True)
    loss = (w * w).sum()
    by_w = plait.grad(loss, w)
    loss.backward()
    assert loss.item() == 5 and w.grad.tolist() == [2, 4] and by_w.tolist() == [2, 4]
    hidden = w * 3
    (hidden * w).sum().backward()
    with pytest.raises(plait.UserError, match="retain_graph=True"):
        hidden.sum().backward()
    assert hidden.tolist() == [3, 6]


def test_clip_grad_norm():
    w = nn.Parameter(np.zeros(2, np.float32))
    (w * plait.tensor([3.0, 4.0])).sum().backward()
    norm = plait.optim.clip_grad_norm_([w], 1.0)
    assert norm.item() == 5
    np.testing.assert_allclose(w.grad.numpy(), [0.6, 0.8], rtol=1e-6)
    with pytest.raises(plait.UserError, match="no parameter has a gradient"):
        plait.optim.clip_grad_norm_([nn.Parameter([1.0])], 1.0)


def test_a_step_needs_gradients():
    w = nn.Parameter([1.0])
    with pytest.raises(plait.UserError, match="call backward"):
        plait.optim.SGD([w]).step()
    with pytest.raises(plait.UserError, match="made by nn.Parameter; got a tensor"):
        plait.optim.SGD([plait.ones(1)])


def long_chain():
    x = start = plait.ones(3)
    for _ in range(100_000):
        x = x + x * 1e-9
    np.testing.assert_allclose(x.numpy(), np.full(3, 1.0001), rtol=1e-3)
    del x
    start = plait.tensor(np.ones(3), requires_grad=True)
    x = start
    for _ in range(100_000):
        x = x + x * 1e-9
    x.sum().backward()
    np.testing.assert_allclose(start.grad.numpy(), np.exp(1e-4), rtol=1e-9)
    unused = start
    for _ in range(100_000):
        unused = unused * 0.5
    del unused


def test_long_chains_need_no_stack():  # C14
    failed = []

    def run():
        try:
            long_chain()
        except BaseException as error:
            failed.append(error)

    size = threading.stack_size(256 * 1024)
    try:
        thread = threading.Thread(target=run)
        thread.start()
        thread.join()
    finally:
        threading.stack_size(size)
    assert not failed, failed
