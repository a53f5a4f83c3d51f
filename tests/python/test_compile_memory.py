"""Compiled functions see and leave memory as the function itself: tensors that share it."""

import warnings

import numpy as np
import plait
import pytest
from plait import nn


class World:
    """Memory that a program works on; two worlds of one seed are equal."""

    def __init__(self, seed):
        generator = np.random.default_rng(seed)
        self.cells = [
            plait.tensor(generator.integers(-4, 5, shape).astype(np.float32))
            for shape in [(4, 6), (4, 6), (2, 3, 4)]
        ]
        self.outside = plait.tensor(generator.integers(-4, 5, (4, 6)).astype(np.float32))
        self.slot = nn.Parameter(generator.integers(-4, 5, (4, 6)).astype(np.float32))
        self.everything = [*self.cells, self.outside, self.slot]

    def pick(self, choice):
        """A whole cell, or a view of it."""
        cell, steps = choice
        tensor = self.everything[cell]
        for step in steps:
            tensor = view(tensor, step)
        return tensor


VIEWS = 6


def view(tensor, kind):
    if kind == 0:
        return tensor[1:]
    if kind == 1:
        return tensor.transpose(0, 1) if len(tensor.shape) > 1 else tensor
    if kind == 2:
        return tensor[..., ::2]
    if kind == 3:
        return tensor.reshape(-1)
    if kind == 4:
        return tensor[0] if len(tensor.shape) > 1 and tensor.shape[0] != 0 else tensor
    return tensor.unsqueeze(0)


def make_function(world, code, results, uses_outside):
    """The program `code` over its arguments, and over tensors of outside."""

    def function(*arguments):
        values = list(arguments)
        if uses_outside:
            values += [world.outside, world.slot]
        for kind, i, j, detail in code:
            x, y = values[i % len(values)], values[j % len(values)]
            if kind == 0:
                values.append(view(x, detail))
            elif kind == 1:
                values.append((x * 2 - y.sum()).clamp(-50, 50))
            elif kind == 2:
                x += y.sum().clamp(-3, 3)
            elif kind == 3:
                x[..., :1] = detail
            elif kind == 4:
                x.copy_(y if x.shape == y.shape else y.sum().clamp(-5, 5))
            else:
                x.mul_(x).clamp_(-9, 9)
        return [values[i % len(values)] for i in results]

    return function


def random_choices(generator, few):
    """Views of a few cells, so that they often share memory."""
    return [
        (int(few[generator.integers(len(few))]),
         [int(i) for i in generator.integers(VIEWS, size=generator.integers(0, 3))])
        for _ in range(3)
    ]  # fmt: skip


def contents(world, results):
    return [t.numpy() for t in (*world.everything, *results)]


@pytest.mark.parametrize("seed", range(40))
def test_random_programs_leave_the_memory_that_they_leave_uncompiled(seed):
    generator = np.random.default_rng(seed)
    code = [tuple(int(i) for i in row) for row in generator.integers([6, 99, 99, 6], size=(8, 4))]
    results = [int(i) for i in generator.integers(99, size=3)]
    uses_outside = bool(seed % 2)
    worlds = [World(seed), World(seed)]
    functions = [make_function(world, code, results, uses_outside) for world in worlds]
    functions[1] = plait.compile(functions[1], dynamic=bool(seed % 3))
    all_choices = []
    for _ in range(4):
        few = generator.integers(5 if uses_outside else 4, size=2)
        all_choices.append(random_choices(generator, few))
    for choices in [*all_choices, *all_choices]:
        states = []
        for world, function in zip(worlds, functions):
            with plait.no_grad(), warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of sizes that can't vary
                given = function(*(world.pick(choice) for choice in choices))
                state = contents(world, given)
                for k, result in enumerate(given):  # who sees what is written to a result?
                    if 0 not in result.shape:
                        result.add_(k + 1)
            states.append(state + contents(world, given))
        for eager, compiled in zip(*states):
            np.testing.assert_array_equal(eager, compiled, err_msg=f"{seed} {choices}")


def test_one_tensor_given_twice():
    @plait.compile
    def f(a, b):
        a += 1
        return b * 2

    x, y = plait.tensor([1.0, 2.0]), plait.tensor([5.0, 6.0])
    assert f(x, y).tolist() == [10, 12] and x.tolist() == [2, 3]
    assert f(x, x).tolist() == [6, 8] and x.tolist() == [3, 4]
    z = plait.tensor([7.0, 8.0])
    before = plait.compile_count()["programs"]
    assert f(z, z).tolist() == [16, 18] and z.tolist() == [8, 9]
    assert plait.compile_count()["programs"] == before  # shares as x did
    whole = plait.tensor(np.arange(6.0).reshape(2, 3))
    assert f(whole[0], whole[:, 1]).tolist() == [4, 8]
    assert whole.tolist() == [[1, 2, 3], [3, 4, 5]]


def test_reads_alone_do_not_compile_for_each_way_of_sharing():
    f = plait.compile(lambda a, b: a * b)
    data = plait.tensor(np.arange(40.0).reshape(10, 4))
    rows = [data[i] for i in range(10)]
    arrays = [row.numpy() for row in rows]
    before = plait.compile_count()["programs"]
    for i in range(9):
        np.testing.assert_array_equal(f(rows[i], rows[i + 1]).numpy(), arrays[i] * arrays[i + 1])
    assert plait.compile_count()["programs"] == before + 1


def test_an_argument_that_is_also_taken_from_outside():
    total = plait.zeros(2)

    @plait.compile
    def f(x):
        total.add_(1)
        return x + total

    assert f(plait.zeros(2)).tolist() == [1, 1]
    assert f(total).tolist() == [4, 4]
    assert f(total[:1]).tolist() == [6, 6]
    assert total.tolist() == [3, 3]


def test_gradients_by_arguments_that_are_parameters():
    w = nn.Parameter([2.0, 3.0])

    def f(a, b):
        return plait.grad((a * a * b * w).sum(), a)

    assert plait.compile(f)(w, w).tolist() == f(w, w).tolist() == [32, 108]
    x = plait.tensor([2.0, 3.0], requires_grad=True)
    assert plait.compile(f)(x, x).tolist() == f(x, x).tolist()
    assert plait.compile(f)(x, w).tolist() == f(x, w).tolist()


def test_a_step_trains_a_parameter_that_is_an_argument():
    weights = []
    for compiled in (False, True):
        w, v = nn.Parameter([2.0, 3.0]), nn.Parameter([1.0, 1.0])
        optimizer = plait.optim.SGD([w, v], 0.1)

        def loss_of(a):
            return (a * a * v).sum()

        if compiled:
            step = plait.compile(loss_of, optimizer=optimizer)
            step(w), step(w)
        else:
            for _ in range(2):
                loss_of(w).backward()
                optimizer.step()
                optimizer.zero_grad()
        weights.append((w.tolist(), v.tolist()))
    assert weights[0] == weights[1] and weights[0][0] != [2, 3]


def test_results_share_memory_as_uncompiled():
    def f(x):
        y = x * 2
        return x, y[0], y.transpose(0, 1), x[1:, None]

    for function in (f, plait.compile(f)):
        for size in (3, 4, 5):  # with a symbol for the size from the second on
            x = plait.tensor(np.ones((2, size), np.float32))
            same, row, turned, part = function(x)
            row.add_(1)
            assert turned.tolist() == [[3, 2]] * size
            same.fill_(7)
            assert x.tolist() == [[7] * size] * 2
            part[0, 0, 1] = 5
            assert x.tolist()[1][1] == 5


def test_what_is_written_without_gradients_stays_a_leaf():
    @plait.compile
    def f(w):
        with plait.no_grad():
            w -= 1
        return w

    w = plait.tensor([1.0, 2.0], requires_grad=True)
    assert f(w).tolist() == [0, 1] and w.requires_grad and w.is_leaf
    v = w * 2
    plait.compile(lambda v: v.mul_(w))(v)
    with pytest.raises(plait.UserError, match="do not pass through a function of plait.compile"):
        v.sum().backward()


def test_arrays_are_not_written():
    x = np.ones(3, np.float32)
    assert plait.compile(lambda x: x.add_(1))(x).tolist() == [2, 2, 2]
    assert x.tolist() == [1, 1, 1]
