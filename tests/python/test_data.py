"""Data sets, and the perceptron of examples/train_mnist.py: it has the bits of the C++ one."""

import pathlib
import subprocess
import sys

import numpy as np
import plait
import pytest
from plait.utils.data import DataLoader, TensorDataset, shuffled

ROOT = pathlib.Path(__file__).parents[2]
SMALL = "--epochs 1 --batch 500 --width 32".split()


def losses(path):
    return [float.fromhex(line) for line in path.read_text().split()]


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    path = tmp_path_factory.mktemp("mnist") / "losses"
    command = [ROOT / "build" / "bin" / "train_mnist", *SMALL, "--losses", path]
    subprocess.run(command, check=True, capture_output=True)
    assert len(losses(path)) == 120
    return losses(path)


@pytest.mark.parametrize("mode", [[], ["--eager"]])
def test_losses_are_those_of_the_cpp_program(expected, tmp_path, mode):
    example = ROOT / "python" / "examples" / "train_mnist.py"
    command = [sys.executable, example, *SMALL, "--losses", tmp_path / "losses", *mode]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert losses(tmp_path / "losses") == expected
    assert float(result.stdout.split("accuracy ")[1].split()[0]) > 70


def test_orders_are_permutations_that_epochs_change():
    for count in (0, 1, 2, 1000):
        assert sorted(shuffled(count, 3)) == list(range(count))
    assert (shuffled(1000, 3) == shuffled(1000, 3, 0)).all()
    for seed, epoch in [(3, 1), (4, 0)]:
        assert (shuffled(1000, 3) != shuffled(1000, seed, epoch)).sum() > 900
    with pytest.raises(plait.UserError, match="lies in"):
        shuffled(-1, 0)


def test_loaders():
    x, y = np.arange(20, dtype=np.float32).reshape(10, 2), np.arange(10)
    data = TensorDataset(x, plait.tensor(y))
    loader = DataLoader(data, 4)
    assert [b.tolist() for _, b in loader] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    assert len(loader) == 3 and len(DataLoader(data, 4, drop_last=True)) == 2
    loader = DataLoader(data, 3, shuffle=True, seed=5)
    first, second = ([b.tolist() for _, b in loader] for _ in range(2))
    assert first != second and sorted(sum(first, [])) == list(range(10))
    loader.epoch = 0
    for a, b in loader:
        np.testing.assert_array_equal(a.numpy(), x[b.numpy()])
    assert a.dtype == plait.f32 and b.dtype == plait.i64

    class Squares:
        def __len__(self):
            return 5

        def __getitem__(self, i):
            return {"x": plait.ones(2) * i, "y": i * 0.5}

    batch = next(iter(DataLoader(Squares(), 3)))
    assert batch["x"].tolist() == [[0, 0], [1, 1], [2, 2]] and batch["y"].dtype == plait.f32
    assert list(DataLoader(range(3), 2, collate_fn=list)) == [[0, 1], [2]]
    with pytest.raises(plait.UserError, match=r"equally many rows.*\[10, 2\], \[3\]"):
        TensorDataset(x, np.ones(3))
    with pytest.raises(plait.UserError, match="at least 1; got 0"):
        DataLoader(data, 0)
