"""Wrong calls raise and name what was wrong; the process stays usable."""

import itertools

import numpy as np
import plait
import pytest

DTYPES = "bool i8 u8 i16 i32 i64 u32 u64 f16 bf16 f32 f64".split()
OPS = "add sub mul div maximum eq lt pow bitwise_and remainder".split()


def outcome(function):
    """The dtype and elements of a result, or the error."""
    try:
        result = function()
        return str(result.dtype), result.float().numpy().tolist()
    except plait.UserError as error:
        return str(error).split(";")[0]


@pytest.mark.parametrize("name", OPS)
def test_promotion_is_the_same_compiled_uncompiled_and_fused(name):  # C27
    op = getattr(plait, name)
    others = [lambda d=d: plait.tensor([3], dtype=d) for d in DTYPES]
    others += [lambda d=d: plait.tensor(3, dtype=d) for d in ("i32", "f32", "bool")]
    others += [lambda: True, lambda: 3, lambda: 2.5]
    for dtype, other in itertools.product(DTYPES, others):
        x, y = plait.tensor([1, 5], dtype=dtype), other()
        eager = outcome(lambda: op(x, y))
        if isinstance(y, plait.Tensor):
            compiled = outcome(lambda: plait.compile(op)(x, y))
        else:
            compiled = outcome(lambda: plait.compile(lambda x: op(x, y))(x))
        fused = outcome(lambda: op(plait.compile(lambda x: x * 1)(x), y))
        inside = outcome(lambda: plait.compile(lambda x: op(x * 1, y))(x))
        if dtype == "bool":  # a bool times an integer is an integer
            fused, inside = eager, eager
        assert eager == compiled == fused == inside, (name, dtype, y)


def test_plain_numbers_follow_the_stated_rule():  # C27
    assert (plait.tensor([1], dtype="i32") * 2.5).dtype == plait.f32
    assert (plait.tensor([1], dtype="f16") * 2.5).dtype == plait.f16
    assert (plait.tensor([1], dtype="i8") + 1000).dtype == plait.i8
    for a, b in itertools.product(DTYPES, DTYPES):
        result = plait.tensor([1], dtype=a) + plait.tensor([1], dtype=b)
        assert result.dtype == plait._core.promote(a, b)


def test_numpy_arrays_keep_their_dtype():  # G12
    x, w = np.ones((2, 2)), plait.nn.Parameter(np.ones((2, 2), np.float32))
    assert plait.tensor(x).dtype == plait.f64 and plait.tensor([1.0]).dtype == plait.f32
    assert plait.matmul(x, w).dtype == plait.f64
    assert plait.compile(plait.matmul)(x, w.detach()).dtype == plait.f64
    with pytest.raises(plait.UserError, match=r"f32\[2, 2\]"):
        plait.compile(lambda: w * 2, optimizer=plait.optim.SGD([w]))()


@pytest.mark.parametrize(
    "call, text",
    [
        (lambda x: plait.softmax(x, 5), r"\[softmax\] dim out of range; got dim 5 for f32\[2, 3\]"),
        (lambda x: plait.softmax(x), r"argument 'dim' is missing"),
        (lambda x: plait.softmax(x, dim=None), r"'dim' must be int; got None \(NoneType\)"),
        (lambda x: plait.softmax(x, 1.5), r"'dim' must be int; got 1.5 \(float\)"),
        (lambda x: plait.softmax(x, 0, axis=1), r"there is no argument 'axis'"),
        (lambda x: plait.softmax(x, 0, dim=1), r"argument 'dim' is given twice"),
        (lambda x: x + plait.ones(4), r"\[add\].*f32\[2, 3\].*f32\[4\]"),
        (lambda x: x @ x, r"\[matmul\].*3"),
        (lambda x: plait.add("a", x), r"got 'a' \(str\)"),
        (lambda x: plait.add(None, x), r"'input' must be Operand; got None"),
        (lambda x: x.to("f31"), r"no dtype is called 'f31'"),
        (lambda x: plait.cat([x, 3], 0), r"\[cat\]"),
        (lambda x: plait.tensor([[1, 2], [3]]), "not an array"),
        (lambda x: plait.tensor(None), r"got None \(NoneType\)"),
        (lambda x: x.item(), "one element is needed"),
        (lambda x: x.fill_(2**70), "does not fit into 64 bits; got 1180591620717411303424"),
        (lambda x: x.reshape(4, 2), r"\[reshape\]"),
    ],
)
def test_mistakes_are_named(call, text):
    with pytest.raises(plait.UserError, match=text):
        call(plait.ones(2, 3)).numpy()


def test_random_calls_raise_or_run():  # G02
    generator = np.random.default_rng(0)
    x = plait.ones(2, 3)
    pool = [
        None, True, -1, 0, 7, 2**40, 2**70, 1.5, float("nan"), float("inf"), "mean", "", b"x", [],
        [1, -1], [0, 0], [[]], {}, object(), x, plait.tensor(3), plait.tensor([0, 5]),
        plait.zeros(0, 3), plait.ones(2, 3, dtype="bf16"), plait.tensor([True, False]),
        np.ones((2, 3)), np.array("text"), np.array([1j]), np.float32(2), plait.f64, int, x.add,
    ]  # fmt: skip
    functions = [getattr(plait, r["name"]) for r in plait._core.op_records()]
    functions += [getattr(plait.Tensor, name) for name in ("__getitem__", "__setitem__", "_write",
                  "backward", "numpy", "__add__", "clone", "copy_")]  # fmt: skip
    functions += [plait.tensor, plait.from_dlpack, plait.from_numpy, plait.grad]
    ran = 0
    for _ in range(100_000):
        function = functions[generator.integers(len(functions))]
        arguments = [pool[i] for i in generator.integers(len(pool), size=generator.integers(1, 5))]
        arguments = [a.clone() if isinstance(a, plait.Tensor) else a for a in arguments]
        try:
            function(*arguments)
            ran += 1
        except (plait.UserError, plait.DeviceError, TypeError, ValueError, IndexError,
                AttributeError, BufferError, OverflowError):  # fmt: skip
            pass
    assert ran > 500
    assert (x + 1).numpy().tolist() == [[2, 2, 2], [2, 2, 2]]
