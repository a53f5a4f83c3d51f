"""Ops in compiled functions, at symbolic sizes, under options.check; dims of rank 0."""
import numpy as np
import pytest

import plait
import plait.nn.functional as F

RNG = np.random.default_rng(0)


def draws(*shape):
    return np.asarray(RNG.standard_normal(shape), np.float32)


FUNCTIONS = {
    "hyperbolic": lambda x: plait.sinh(x) + plait.cosh(x) * plait.asinh(x) - plait.atan(x),
    "inverse": lambda x: plait.asin(plait.tanh(x)) + plait.atanh(plait.tanh(x) * 0.9),
    "logarithms": lambda x: plait.logit(plait.sigmoid(x)) + plait.log10(plait.exp2(x)),
    "activations": lambda x: F.mish(x) + F.hardswish(x) + F.hardsigmoid(x) + F.relu6(x),
    "normalize": lambda x: F.normalize(x, dim=-1),
    "cdist": lambda x: plait.cdist(x[0], x[0], 1.5),
    "cosine": lambda x: F.cosine_similarity(x, x.flip([1]), -1),
    "nearest": lambda x: F.interpolate(x, 5),
    "nearest by a factor": lambda x: F.interpolate(x, scale_factor=1.5),
    "linear": lambda x: F.interpolate(x, 5, mode="linear"),
    "linear by a factor": lambda x: F.interpolate(x, scale_factor=2.0, mode="linear"),
    "linear with corners": lambda x: F.interpolate(x, 5, mode="linear", align_corners=True),
    "to another's size": lambda x: F.interpolate(x[:, :, :3], x.shape[2:]),
    "adaptive_avg_pool1d": lambda x: F.adaptive_avg_pool1d(x, 3),
    "quantile": lambda x: plait.quantile(x, 0.3, -1),
    "quantile of all": lambda x: plait.quantile(x, 0.7),
    "kthvalue": lambda x: plait.kthvalue(x, 2, -1).values,
    "nanmean": lambda x: plait.nanmean(plait.where(x > 0, x, float("nan")), 1),
}


@pytest.fixture
def checked():
    plait.set_option("check", True)
    yield
    plait.set_option("check", False)


@pytest.mark.parametrize("name", FUNCTIONS)
def test_symbolic_sizes_give_the_bits_of_fixed_ones(name, checked):
    def with_gradient(x):
        y = FUNCTIONS[name](x)
        return y.detach(), plait.grad((y * y).sum(), x)

    dynamic, fixed = plait.compile(with_gradient), plait.compile(with_gradient, dynamic=False)
    for shape in [(2, 3, 4), (3, 3, 7), (4, 3, 10)]:
        x = plait.tensor(draws(*shape), requires_grad=True)
        for got, want in zip(dynamic(x), fixed(x), strict=True):
            np.testing.assert_array_equal(got.numpy(), want.numpy())


def test_images(checked):
    image = plait.tensor(draws(1, 4, 3, 5), requires_grad=True)
    f = plait.compile(lambda x: F.interpolate(F.pixel_shuffle(x, 2), [5, 7], mode="bilinear"))
    y = f(image)
    assert y.shape == (1, 1, 5, 7)
    np.testing.assert_array_equal(y.detach().numpy(), F.interpolate(
        F.pixel_shuffle(image, 2), [5, 7], mode="bilinear").detach().numpy())  # fmt: skip


def test_draws_differ_and_repeat_by_the_seed():
    weights = plait.tensor(np.arange(50, dtype=np.float32))
    for draw in (plait.multinomial, plait.compile(plait.multinomial)):
        plait.manual_seed(3)
        first, second = draw(weights, 9).tolist(), draw(weights, 9).tolist()
        assert first != second
        plait.manual_seed(3)
        assert draw(weights, 9).tolist() == first


def test_draws_follow_the_weights():
    """Without replacement the first draw is as probable as its weight says."""
    plait.manual_seed(0)
    weights = plait.tensor([1.0, 0.0, 3.0, 4.0])
    rows = plait.multinomial(plait.expand(weights, [4000, 4]), 3).numpy()
    assert (np.sort(rows, 1) == [0, 2, 3]).all()
    first = np.bincount(rows[:, 0], minlength=4) / 4000
    np.testing.assert_allclose(first, [1 / 8, 0, 3 / 8, 1 / 2], atol=0.03)


@pytest.mark.parametrize("dim", [0, -1])
def test_dims_of_rank_zero(dim):
    x = plait.tensor(-1.5, requires_grad=True)
    same = ["sum", "mean", "prod", "amax", "amin", "cumsum", "cumprod", "logcumsumexp", "logsumexp",
            "nansum", "nanmean", "squeeze"]
    for name in same:
        y = getattr(plait, name)(x, dim)
        assert y.shape == () and abs(y.item() + 1.5) < 1e-6, name
        assert plait.grad(y, x).item() == 1, name
    for name in ("sort", "max", "min", "median"):
        pair = getattr(plait, name)(x, dim)
        assert [p.item() for p in pair] == [-1.5, 0] and pair[1].dtype == plait.i64, name
    for name in ("topk", "kthvalue"):
        assert [p.item() for p in getattr(plait, name)(x, 1, dim)] == [-1.5, 0], name
    assert plait.softmax(x, dim).item() == 1 and plait.log_softmax(x, dim).item() == 0
    assert plait.argmax(x, dim).item() == plait.argsort(x, dim).item() == 0
    assert plait.norm(x, dim=dim).item() == 1.5 and plait.normalize(x, dim=dim).item() == -1
    assert plait.var(x, dim, correction=0).item() == 0 and plait.any(x, dim).item()
    assert plait.quantile(x, 0.3, dim).item() == -1.5
    assert plait.transpose(x, dim, 0).item() == plait.flip(x, [dim]).item() == -1.5
    assert plait.topk(x, 0, dim).values.shape == (0,)
    with pytest.raises(plait.UserError, match=r"\[sum\] dim out of range; got dim 1 for f32\[\]"):
        plait.sum(x, 1)
