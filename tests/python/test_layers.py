"""Layers against plain numpy; initial values."""

import math

import numpy as np
import plait
import pytest
from plait import nn

RNG = np.random.default_rng(0)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def oracle_step(kind, x, state, w):
    """One step of torch.nn's RNN, LSTM or GRU by its formulas."""
    a, b = x @ w["weight_ih"].T + w["bias_ih"], state[0] @ w["weight_hh"].T + w["bias_hh"]
    if kind == "RNN":
        return [np.tanh(a + b)]
    if kind == "LSTM":
        i, f, g, o = np.split(a + b, 4, -1)
        c = sigmoid(f) * state[1] + sigmoid(i) * np.tanh(g)
        return [sigmoid(o) * np.tanh(c), c]
    (ra, za, na), (rb, zb, nb) = np.split(a, 3, -1), np.split(b, 3, -1)
    z = sigmoid(za + zb)
    return [(1 - z) * np.tanh(na + sigmoid(ra + rb) * nb) + z * state[0]]


def oracle(kind, module, x, states):
    """x is [length, batch, inputs]; states is a list of [layers * directions, batch, hidden]."""
    weights = {name: p.numpy() for name, p in module.named_parameters()}
    last = []
    for layer in range(module.num_layers):
        outputs = []
        for suffix in module._directions():
            end = f"_l{layer}{suffix}"
            w = {name[: -len(end)]: p for name, p in weights.items() if name.endswith(end)}
            state = [s[len(last)] for s in states]
            steps = []
            for step in x[::-1] if suffix else x:
                state = oracle_step(kind, step, state, w)
                steps.append(state[0])
            outputs.append(np.stack(steps[::-1] if suffix else steps))
            last.append(state)
        x = np.concatenate(outputs, -1)
    return x, [np.stack(parts) for parts in zip(*last)]


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
@pytest.mark.parametrize("layers, both", [(1, False), (2, True)])
def test_recurrent_layers(kind, layers, both):
    plait.manual_seed(1)
    module = getattr(nn, kind)(3, 5, layers, bidirectional=both)
    x = RNG.standard_normal((4, 2, 3)).astype(np.float32)
    count = 2 if kind == "LSTM" else 1
    shape = (count, layers * (1 + both), 2, 5)
    for states in (np.zeros(shape, np.float32), RNG.standard_normal(shape).astype(np.float32)):
        expected, last = oracle(kind, module, x, list(states))
        hx = tuple(plait.tensor(s) for s in states) if count == 2 else plait.tensor(states[0])
        calls = [lambda x, hx=hx: module(x, hx), plait.compile(lambda x, hx=hx: module(x, hx))]
        for call in calls if states.any() else [module]:
            with plait.no_grad():
                output, final = call(plait.tensor(x))
            np.testing.assert_allclose(output.numpy(), expected, rtol=1e-5, atol=1e-6)
            for a, b in zip(final if count == 2 else [final], last):
                np.testing.assert_allclose(a.numpy(), b, rtol=1e-5, atol=1e-6)
    first = nn.LSTM(3, 5, batch_first=True) if kind == "LSTM" else None
    if first:
        rows = first(plait.tensor(x.transpose(1, 0, 2)))[0].numpy()
        alone = first(plait.tensor(x[:, 1]))[0].numpy()
        np.testing.assert_allclose(rows[1], alone, rtol=1e-5, atol=1e-6)
    module(plait.tensor(x))[0].square().sum().backward()
    assert all(p.grad.numpy().any() for p in module.parameters())


@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU"])
def test_cells(kind):
    cell = getattr(nn, kind + "Cell")(3, 5)
    weights = {name: p.numpy() for name, p in cell.named_parameters()}
    x = RNG.standard_normal((2, 3)).astype(np.float32)
    state, expected = None, [np.zeros((2, 5), np.float32)] * (2 if kind == "LSTM" else 1)
    for _ in range(3):
        state = cell(plait.tensor(x), state)
        expected = oracle_step(kind, x, expected, weights)
        got = state if kind == "LSTM" else [state]
        for a, b in zip(got, expected, strict=True):
            np.testing.assert_allclose(a.detach().numpy(), b, rtol=1e-5, atol=1e-6)


def test_recurrent_mistakes():
    with pytest.raises(plait.UserError, match=r"\[GRU\] input is .*got \[4, 2, 7\]"):
        nn.GRU(3, 5)(plait.ones(4, 2, 7))
    f = plait.compile(nn.GRU(3, 5))
    with plait.no_grad():
        f(plait.ones(4, 2, 3))
        with pytest.warns(UserWarning, match="the length must be a number"):
            assert f(plait.ones(6, 2, 3))[0].shape == (6, 2, 5)


def test_transposed_convolution_is_the_adjoint():
    plait.manual_seed(3)
    up = nn.ConvTranspose2d(4, 6, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False)
    y = RNG.standard_normal((2, 4, 5, 5)).astype(np.float32)
    x = plait.tensor(RNG.standard_normal((2, 6, 10, 10)).astype(np.float32), requires_grad=True)
    down = plait.conv2d(x, up.weight, None, 2, 1, 1, 2)
    (down * plait.tensor(y)).sum().backward()
    np.testing.assert_allclose(up(plait.tensor(y)).detach().numpy(), x.grad.numpy(), rtol=1e-4,
                               atol=1e-5)  # fmt: skip


def test_small_layers():
    x = plait.tensor(RNG.standard_normal((3, 8, 6, 6)).astype(np.float32))
    assert nn.AdaptiveAvgPool2d(1)(x).shape == (3, 8, 1, 1)
    assert nn.Unflatten(1, (2, 4))(x).shape == (3, 2, 4, 6, 6)
    plait.manual_seed(0)
    dropped = nn.Dropout2d(0.5)(x).numpy() != 0
    assert (dropped.all((2, 3)) | ~dropped.any((2, 3))).all() and 0 < dropped.mean() < 1
    assert nn.Dropout2d(0.5).eval()(x) is x
    np.testing.assert_allclose(nn.Softplus()(x).numpy(), np.log1p(np.exp(x.numpy())), rtol=1e-5)
    np.testing.assert_allclose(nn.LogSigmoid()(x).numpy(), np.log(sigmoid(x.numpy())), rtol=1e-4)
    p, q = sigmoid(x.numpy()), (x.numpy() > 0).astype(np.float32)
    expected = -(q * np.log(p) + (1 - q) * np.log(1 - p)).mean()
    np.testing.assert_allclose(nn.BCEWithLogitsLoss()(x, q).item(), expected, rtol=1e-5)
    assert nn.SmoothL1Loss("sum")(x, x).item() == 0
    logs = plait.log_softmax(x, 1)
    assert abs(nn.KLDivLoss("sum")(logs, plait.exp(logs)).item()) < 1e-4
    labels = RNG.integers(0, 8, (3, 6, 6))
    np.testing.assert_allclose(nn.NLLLoss()(logs, labels).item(),
                               plait.cross_entropy(x, labels).item(), rtol=1e-6)  # fmt: skip


@pytest.mark.parametrize(
    "fill, deviation, bound",
    [
        (lambda w: nn.init.xavier_uniform_(w), math.sqrt(2 / 864), math.sqrt(6 / 864)),
        (lambda w: nn.init.xavier_normal_(w, 2.0), 2 * math.sqrt(2 / 864), None),
        (lambda w: nn.init.kaiming_uniform_(w, nonlinearity="relu"), math.sqrt(2 / 288),
         math.sqrt(6 / 288)),
        (lambda w: nn.init.kaiming_normal_(w, mode="fan_out"), math.sqrt(2 / 576), None),
    ],
)  # fmt: skip
def test_initial_values(fill, deviation, bound):
    plait.manual_seed(2)
    w = nn.Parameter(np.zeros((64, 32, 3, 3), np.float32))
    assert fill(w) is w and abs(w.numpy().std() / deviation - 1) < 0.03
    if bound:
        assert 0.99 * bound < np.abs(w.numpy()).max() <= bound


def test_initial_mistakes():
    with pytest.raises(plait.UserError, match=r"at least two axes is needed; got shape \[3\]"):
        nn.init.xavier_uniform_(nn.Parameter([1.0, 2.0, 3.0]))
    with pytest.raises(plait.UserError, match="unknown nonlinearity 'exp'"):
        nn.init.kaiming_uniform_(nn.Parameter(np.ones((2, 2))), nonlinearity="exp")
    with pytest.raises(plait.UserError, match="'fan_in' or 'fan_out'; got 'in'"):
        nn.init.kaiming_normal_(nn.Parameter(np.ones((2, 2))), mode="in")
