"""The GPT of plait.models has the bits of the C++ one, with any number of threads."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TRAIN_GPT = ROOT / "build" / "bin" / "train_gpt"
SMALL = "--layers 2 --width 16 --heads 2 --context 16 --batch 4 --warmup 10 --steps 25".split()


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "text.txt"
    path.write_text("".join(f"{i} times {i + 1} is {i * (i + 1)}.\n" for i in range(2000)))
    return path


@pytest.fixture(scope="module")
def expected(text, tmp_path_factory):
    out = tmp_path_factory.mktemp("out")
    command = [TRAIN_GPT, "--text", text, "--out", out, "--sample", "0", "--log-every", "1", *SMALL]
    subprocess.run(command, check=True, capture_output=True)
    lines = [line.split() for line in (out / "losses.txt").read_text().splitlines()]
    assert len(lines) == 25
    return [float.fromhex(loss) for _, loss, _ in lines]


@pytest.mark.parametrize("mode", [["--threads=1"], ["--threads=2"], ["--threads=3"], ["--eager"]])
def test_losses_are_those_of_the_cpp_program(text, expected, mode):
    example = ROOT / "python" / "examples" / "train_gpt.py"
    result = subprocess.run(
        [sys.executable, example, text, *SMALL, *mode], check=True, capture_output=True, text=True
    )
    losses = [float.fromhex(line.split()[1]) for line in result.stdout.splitlines()]
    assert losses == expected
