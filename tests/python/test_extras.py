"""Functions and methods over the ops, against numpy."""

import copy
import pickle

import numpy as np
import plait
import pytest

RNG = np.random.default_rng(0)
A = RNG.standard_normal((4, 6)).astype(np.float32)
CUBE = RNG.standard_normal((3, 4, 5)).astype(np.float32)
NANS = np.array([1, np.nan, np.inf, -np.inf, 0, -2], np.float32)


def same(got, expected):
    if isinstance(expected, tuple):
        assert len(got) == len(expected)
        for g, e in zip(got, expected):
            same(g, e)
        return
    got = got.numpy() if isinstance(got, plait.Tensor) else got
    np.testing.assert_allclose(got, expected, rtol=1e-5, atol=1e-6)
    assert np.shape(got) == np.shape(expected)


@pytest.mark.parametrize(
    "call, oracle",
    [
        (lambda x: x.isclose(x * (1 + 1e-6)), lambda a: np.isclose(a, a * (1 + 1e-6))),
        (lambda x: x.t(), lambda a: a.T),
        (lambda x: x.ravel(), np.ravel),
        (lambda x: plait.hstack([x, x]), lambda a: np.hstack([a, a])),
        (lambda x: plait.hstack([x[0], x[1]]), lambda a: np.hstack([a[0], a[1]])),
        (lambda x: plait.vstack([x[0], x[1]]), lambda a: np.vstack([a[0], a[1]])),
        (lambda x: x.diagonal(), lambda a: a.diagonal()),
        (lambda x: x.diagonal(-2), lambda a: a.diagonal(-2)),
        (lambda x: plait.diag(x, 3), lambda a: np.diag(a, 3)),
        (lambda x: plait.diag(x[0], -1), lambda a: np.diag(a[0], -1)),
        (lambda x: x.trace(), np.trace),
        (lambda x: plait.addmm(x[:, :4], x, x.T, beta=2), lambda a: 2 * a[:, :4] + a @ a.T),
        (lambda x: plait.var_mean(x, 1), lambda a: (a.var(1, ddof=1), a.mean(1))),
        (lambda x: plait.std_mean(x), lambda a: (a.std(ddof=1), a.mean())),
        (lambda x: x.count_nonzero(1), lambda a: np.count_nonzero(a, 1)),
        (lambda x: x.clip(-0.5, 0.5), lambda a: a.clip(-0.5, 0.5)),
        (lambda x: x.median(), lambda a: np.sort(a.ravel())[11]),
        (lambda x: x.median(1), lambda a: (np.sort(a, 1)[:, 2], np.argsort(a, 1)[:, 2])),
        (lambda x: (x > 0).nonzero(), lambda a: np.argwhere(a > 0)),
        (lambda x: (x > 0).nonzero(as_tuple=True), lambda a: np.nonzero(a > 0)),
        (lambda x: x.masked_select(x > 0), lambda a: a[a > 0]),
        (lambda x: x.masked_select(x[0] > 0), lambda a: a[:, a[0] > 0].ravel()),
        (lambda x: plait.unique((x * 2).to("i64"), return_counts=True),
         lambda a: np.unique((a * 2).astype(int), return_counts=True)),
        (lambda x: plait.bincount((x * x).to("i64").ravel()),
         lambda a: np.bincount((a * a).astype(int).ravel())),
        (lambda x: plait.meshgrid(x[0], x[:, 0]),
         lambda a: tuple(np.meshgrid(a[0], a[:, 0], indexing="ij"))),
        (lambda x: plait.meshgrid(x[0], x[:, 0], indexing="xy"),
         lambda a: tuple(np.meshgrid(a[0], a[:, 0]))),
        (lambda x: x.new_zeros(2, 3), lambda a: np.zeros((2, 3), a.dtype)),
        (lambda x: x.new_full([2], 7), lambda a: np.full(2, 7, a.dtype)),
        (lambda x: x.where(x > 0, -1.0), lambda a: np.where(a > 0, a, -1)),
    ],
)  # fmt: skip
def test_against_numpy(call, oracle):
    same(call(plait.tensor(A)), oracle(A))


def test_values_that_are_no_numbers():
    x = plait.tensor(NANS)
    same(x.nan_to_num(), np.nan_to_num(NANS))
    same(x.nan_to_num(1, 2, 3), np.nan_to_num(NANS, True, 1, 2, 3))
    assert not plait.allclose(x, x) and plait.allclose(x, x, equal_nan=True)
    assert not plait.allclose(plait.tensor(1e30), plait.tensor(float("inf")))
    assert np.isnan(x.median().item()) and x.median(0)[1].item() == 1
    assert plait.equal(x[2:], x[2:]) and not plait.equal(x, x) and not plait.equal(x[:2], x[:3])


def test_diagonals_of_batches_have_gradients():
    x = plait.tensor(CUBE, requires_grad=True)
    y = x.diagonal(1, 1, 2)
    same(y.detach(), CUBE.diagonal(1, 1, 2))
    y.square().sum().backward()
    expected = np.zeros_like(CUBE)
    for i in range(4):
        expected[:, i, i + 1] = 2 * CUBE[:, i, i + 1]
    same(x.grad, expected)


def test_pairs_have_names():
    top = plait.tensor(A).topk(2, 1)
    same(top.values, -np.sort(-A, 1)[:, :2])
    values, indices = plait.tensor(A).max(dim=1)
    same((values, indices), (A.max(1), A.argmax(1)))
    result = plait.compile(lambda x: x.sort(0))(A)
    same(result.indices, A.argsort(0))


def test_conveniences():
    x = plait.tensor(A)
    assert x.to("cpu") is x and x.cpu() is x and x.to(plait.tensor(1)).dtype == plait.i64
    assert f"{plait.tensor(3.14159):.2f} {plait.tensor(3)}" == "3.14 tensor(3, dtype=i64)"
    assert 3.0 in plait.tensor([1.0, 3.0]) and 2.0 not in plait.tensor([1.0, 3.0])
    assert x.nelement() == 24 and x.nbytes == 96 and x.is_floating_point()
    assert plait.as_tensor(x) is x and plait.as_tensor([1.5]).dtype == plait.f32
    assert plait.empty(2, 3).shape == (2, 3) and plait.empty_like(x, dtype="i32").dtype == plait.i32
    plait.manual_seed(0)
    assert (plait.randn_like(x).numpy() != plait.randn_like(x).numpy()).all()
    y = plait.zeros(1000)
    y.normal_(2, 0.5)
    assert abs(y.mean().item() - 2) < 0.1 and abs(y.std().item() - 0.5) < 0.1
    y.uniform_(3, 4)
    assert 3 <= y.min().item() and y.max().item() < 4
    y.data.fill_(1)
    assert y.sum().item() == 1000


def test_copies_and_pickles():
    x = plait.tensor(A, requires_grad=True)
    for other in (copy.deepcopy(x), copy.copy(x).detach().clone(), pickle.loads(pickle.dumps(x))):
        same(other.detach(), A)
        with plait.no_grad():
            other.fill_(0)
    assert copy.deepcopy(x).requires_grad and pickle.loads(pickle.dumps(x)).requires_grad
    same(x.detach(), A)
    with pytest.raises(plait.UserError, match=r"no results of ops.*got f32\[4, 6\]"):
        copy.deepcopy(x * 2)
    model = plait.nn.Sequential(plait.nn.Linear(6, 2), plait.nn.BatchNorm1d(2))
    twin = copy.deepcopy(model)
    same(twin(x.detach()).detach(), model(x.detach()).detach().numpy())
    with plait.no_grad():
        twin[0].weight.fill_(0)
    assert model[0].weight.numpy().any() and isinstance(twin[0].weight, plait.nn.Parameter)
    assert [n for n, _ in twin.named_parameters()] == [n for n, _ in model.named_parameters()]
    assert list(twin.state_dict()) == list(model.state_dict())


def test_shapes_that_values_decide_are_not_captured():
    for f in (plait.nonzero, plait.unique, lambda x: plait.masked_select(x, x > 0)):
        with pytest.raises(plait.UserError, match="capture|only its values know"):
            plait.compile(f)(plait.ones(3))
    with pytest.raises(plait.UserError, match="'ij' or 'xy'; got 'yx'"):
        plait.meshgrid(plait.ones(2), indexing="yx")
    with pytest.raises(plait.UserError, match=r"at most two axes; got shape \[3, 4, 5\]"):
        plait.tensor(CUBE).t()
