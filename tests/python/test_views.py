"""Views alias and in-place ops write through them, as numpy does."""

import numpy as np
import plait
import pytest


def both(shape, dtype=np.float32):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
    return plait.tensor(array), array.copy()


class Pair:
    """A tensor and a numpy array that go through the same ops."""

    def __init__(self, tensor, array):
        self.tensor, self.array = tensor, array


def random_slice(generator, size):
    start, stop = sorted(generator.integers(-size, size + 1, 2))
    return slice(int(start), int(stop), int(generator.integers(1, 4)))


def random_view(generator, pair):
    t, a = pair.tensor, pair.array
    rank = a.ndim
    kind = generator.integers(0, 7)
    if kind == 0 and rank:
        index = tuple(
            int(generator.integers(-n, n)) if n and generator.random() < 0.2
            else random_slice(generator, n)
            for n in a.shape
        )  # fmt: skip
        return Pair(t[index], a[(*index, ...)])  # numpy: also of rank 0 a view
    if kind == 1 and rank >= 2:
        i, j = (int(i) for i in generator.integers(-rank, rank, 2))
        return Pair(t.transpose(i, j), a.swapaxes(i, j))
    if kind == 2:
        axis = int(generator.integers(0, rank + 1))
        return Pair(t.unsqueeze(axis), np.expand_dims(a, axis))
    if kind == 3 and rank:
        order = [int(i) for i in generator.permutation(rank)]
        return Pair(t.permute(order), a.transpose(order))
    if kind == 4 and a.flags.c_contiguous and a.size:
        shape = (-1,) if generator.random() < 0.5 or a.size % 2 else (2, a.size // 2)
        return Pair(t.reshape(shape), a.reshape(shape))
    if kind == 5 and rank:
        return Pair(t[..., None, 0:], a[..., None, 0:])
    if kind == 6 and rank and a.shape[0] > 1:
        parts = t.split([1, a.shape[0] - 1], 0)
        return Pair(parts[1], a[1:])
    return Pair(t, a)


def random_write(generator, target, source):
    t, a = target.tensor, target.array
    kind = generator.integers(0, 6)
    if kind == 0:
        t += 1
        a += 1
    elif kind == 1:
        number = float(generator.integers(-3, 4))
        t.fill_(number)
        a.fill(number)
    elif kind == 2 and a.ndim and a.shape[0]:
        part = random_slice(generator, a.shape[0])
        t[part] = 7
        a[part] = 7
    elif kind == 3 and source.array.shape == a.shape:
        t.copy_(source.tensor)
        np.copyto(a, source.array.copy())
    elif kind == 4:
        t.mul_(t)
        a *= a.copy()
        t.clamp_(-9, 9)
        np.clip(a, -9, 9, out=a)
    elif a.ndim and a.shape[0]:
        positions = generator.integers(-a.shape[0], a.shape[0], 3)
        t[positions] = t[positions] + 2
        a[positions] = a[positions] + 2


@pytest.mark.parametrize("seed", range(25))
def test_random_programs_equal_numpy(seed):
    generator = np.random.default_rng(seed)
    pairs = [Pair(*both((4, 6))), Pair(*both((2, 3, 5))), Pair(*both((7,)))]
    for _ in range(25):
        pair = pairs[generator.integers(len(pairs))]
        if generator.random() < 0.5:
            pairs.append(random_view(generator, pair))
        else:
            random_write(generator, pair, pairs[generator.integers(len(pairs))])
        if generator.random() < 0.1:
            np.testing.assert_array_equal(pair.tensor.numpy(), pair.array)
    for pair in pairs:
        np.testing.assert_array_equal(pair.tensor.numpy(), pair.array, err_msg=f"seed {seed}")


def test_parts_that_change_compile_nothing():
    data, a = both((50, 3, 4))
    out, b = plait.zeros(50, 4), np.zeros((50, 4), np.float32)
    doubled = lambda x: x * 2 + 1  # noqa: E731
    counts = []
    for i in range(48):
        out[i] = doubled(data[i : i + 2, 1].sum(0))
        b[i] = doubled(a[i : i + 2, 1].sum(0))
        out[i, 1:3] += data[i, 2, ::3]
        b[i, 1:3] += a[i, 2, ::3]
        assert data[i][1][2].item() == a[i, 1, 2]
        counts.append(plait.compile_count()["programs"])
    np.testing.assert_array_equal(out.numpy(), b)
    assert counts[2:] == [counts[2]] * 46


def test_parts_are_written_where_nobody_else_looks():
    x = plait.tensor(np.arange(6.0, dtype=np.float32))
    before = x.clone()
    pending, held, shared = x * 2, x.numpy(copy=False), x[2:]
    x[1] = 9
    x[2:4] = x[0:2]
    assert x.tolist() == [0, 9, 0, 9, 4, 5] and shared.tolist() == [0, 9, 4, 5]
    assert pending.tolist() == [0, 2, 4, 6, 8, 10]
    assert held.tolist() == before.tolist() == [0, 1, 2, 3, 4, 5]
    del held, pending, shared
    x[0] = 1  # into memory of its own from now on
    where = x.numpy(copy=False).ctypes.data
    x[5] = 2
    assert x.numpy(copy=False).ctypes.data == where and x.tolist() == [1, 9, 0, 9, 4, 2]
    array = np.zeros(3, np.float32)
    plait.from_numpy(array)[1] = 5
    assert array.tolist() == [0, 0, 0]
    w = plait.tensor([1.0, 2.0, 3.0], requires_grad=True)
    with plait.no_grad():
        w[1] = 7
    assert w.is_leaf and w.requires_grad and w.tolist() == [1, 7, 3]
    part = plait.nn.Parameter([1.0, 2.0])
    with plait.no_grad():
        part[0] = 4
    assert part.tolist() == [4, 2]


def test_a_lazy_read_before_a_write_sees_the_old_value():  # C07
    def f(x):
        y = x.view(2, 4) * 2
        x[2:5] = 2
        return y

    for function in (f, plait.compile(f)):
        x = plait.tensor(np.arange(8))
        assert function(x).numpy().tolist() == [[0, 2, 4, 6], [8, 10, 12, 14]]
        assert x.numpy().tolist() == [0, 1, 2, 2, 2, 5, 6, 7]


def test_rows_that_an_index_repeats_are_doubled_once():  # C07
    def g(i, y):
        y[i + 10] += y[i + 10]

    def h(i, y):
        g(i, y)
        return y

    for function in (g, plait.compile(h)):
        y = plait.tensor(np.arange(12.0).reshape(4, 3))
        function(plait.tensor([[-10, -10]]), y)
        assert y.numpy()[0].tolist() == [0, 2, 4]
        assert y.numpy()[1:].tolist() == np.arange(3.0, 12).reshape(3, 3).tolist()


def test_in_place_ops_keep_dtype_and_shape():
    x = plait.tensor(np.arange(4, dtype=np.int32))
    x += 1
    assert x.dtype == plait.i32
    with pytest.raises(plait.UserError, match="floats are not written into i32"):
        x += 0.5
    with pytest.raises(plait.UserError, match=r"expand"):
        x += plait.ones(2, 4, dtype="i32")
    assert x.numpy().tolist() == [1, 2, 3, 4]


def test_shared_elements_are_not_written():
    x = plait.ones(3)
    with pytest.raises(plait.UserError, match="several elements of this view are one in memory"):
        x.expand(2, 3)[0, 0] = 5
    assert x.clone().fill_(2).numpy().tolist() == [2, 2, 2]
    assert x.numpy().tolist() == [1, 1, 1]


def test_masks_write():
    x, a = both((3, 4))
    x[x > 5] = 0
    a[a > 5] = 0
    np.testing.assert_array_equal(x.numpy(), a)
    x[x > 2] += 1
    a[a > 2] += 1
    x[x > 3] = np.array([7, 8, 9], np.float32)
    a[a > 3] = [7, 8, 9]
    np.testing.assert_array_equal(x.numpy(), a)
    with pytest.raises(plait.UserError, match="only its values know"):
        plait.compile(lambda x: x[x > 2])(x)
    with pytest.raises(plait.UserError, match="each value goes is not known"):
        plait.compile(lambda x: x.__setitem__(x > 3, plait.ones(2)))(x)
    with pytest.raises(IndexError, match=r"got mask: \[2\], tensor: \[3, 4\]"):
        x[plait.tensor([True, False])] = 1
    with pytest.raises(IndexError, match=r"got mask: \[4\], axes from 0: \[3\]"):
        x[x[0] > 0]


def test_masks_read():
    x, a = both((2, 3, 4))
    some, row = np.array([True, False, True]), a[:, :, 0] > 3
    np.testing.assert_array_equal(x[x > 5].numpy(), a[a > 5])
    np.testing.assert_array_equal(x[plait.tensor(row)].numpy(), a[row])
    np.testing.assert_array_equal(x[1, some, 1:].numpy(), a[1, some, 1:])
    np.testing.assert_array_equal(x[:, [True, False, True]].numpy(), a[:, some])
    assert x[x > 100].shape == (0,)
    w = plait.tensor([1.0, 2.0, 3.0], requires_grad=True)
    w[w > 1].square().sum().backward()
    assert w.grad.tolist() == [0, 4, 6]


@pytest.mark.parametrize("n", [3, 100, 10**6])
def test_a_tensor_copies_the_array(n):  # G03
    a = np.zeros(n, np.float32)
    t = plait.tensor(a)
    y = t + 1
    a[:] = 9
    assert (y.numpy() == 1).all() and (t.numpy() == 0).all()


def test_sharing_is_explicit_and_marks_the_array():  # G03
    a = np.arange(6, dtype=np.float32)
    t = plait.from_numpy(a)
    assert not a.flags.writeable
    assert np.shares_memory(t.numpy(copy=False), a)
    t += 1  # the tensor's value, not the array
    assert a.tolist() == [0, 1, 2, 3, 4, 5] and t.numpy()[0] == 1
    with pytest.raises(plait.UserError, match="row-major"):
        plait.from_numpy(np.zeros((4, 4), np.float32).T[1:])


def test_dlpack_shares_both_ways():
    a = np.arange(6, dtype=np.int64).reshape(2, 3)
    t = plait.from_dlpack(a)
    assert np.shares_memory(t.numpy(copy=False), a)
    back = np.from_dlpack(t * 2)
    assert back.tolist() == (a * 2).tolist()
    assert np.shares_memory(np.from_dlpack(t), a)
    with pytest.raises(plait.UserError, match="row-major"):
        plait.from_dlpack(a.T)
    with pytest.raises(plait.UserError, match="__dlpack__ is needed; got 3"):
        plait.from_dlpack(3)


def test_indexing_mistakes():
    x, _ = both((3, 4))
    for index, text in [
        (3, "index 3 is out of range; axis 0 has size 3"),
        ((0, -5), "index -5 is out of range; axis 1 has size 4"),
        ((0, 0, 0), "3 indices for a tensor of rank 2"),
        ((..., ...), "at most one"),
    ]:
        with pytest.raises(IndexError, match=text):
            x[index]
    with pytest.raises(plait.UserError, match="steps must be positive"):
        x[::-1]
    with pytest.raises(TypeError, match="got str for axis 0"):
        x["a"]


def test_numpy_on_the_left():
    x, a = both((3,))
    assert isinstance(a + x, plait.Tensor)
    np.testing.assert_array_equal((np.float32(2) * x).numpy(), 2 * a)
    assert (1.5 - x).dtype == plait.f32


def test_parts_of_one_row_major_value_are_all_written():
    x, a = both((4, 6))
    parts = plait.compile(lambda x: x.reshape(2, 12).split(1, 0))(x)
    for part, expected in zip(parts, np.split(a.reshape(2, 12), 2)):
        np.testing.assert_array_equal(part.numpy(), expected)
