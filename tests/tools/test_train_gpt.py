"""build/bin/train_gpt: a run is a function of its options, also when it is stopped and resumed."""

import pathlib
import signal
import subprocess

import pytest

TRAIN_GPT = pathlib.Path(__file__).parents[2] / "build" / "bin" / "train_gpt"

# fmt: off
SMALL = [
    "--layers", "1", "--width", "16", "--heads", "2", "--context", "16", "--batch", "4",
    "--warmup", "10", "--sample", "0", "--log-every", "1", "--checkpoint-every", "50",
]
# fmt: on


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text é") / "text.txt"
    path.write_text("".join(f"{i} times {i + 1} is {i * (i + 1)}.\n" for i in range(2000)))
    return path


def command(text, out, steps, *more):
    return [TRAIN_GPT, "--text", text, "--out", out, "--steps", str(steps), *SMALL, *more]


def run(text, out, steps, *more):
    return subprocess.run(command(text, out, steps, *more), capture_output=True, text=True)


def results(folder):
    return [(folder / name).read_bytes() for name in ("losses.txt", "checkpoint.safetensors")]


def stop(sent, text, out, steps, *more):
    """Sends the signal after some steps; the exit status."""
    process = subprocess.Popen(
        command(text, out, steps, *more),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        made = 0
        while made < 60:
            line = process.stderr.readline()
            assert line, "train_gpt ended by itself"
            made += line.startswith("step ")
        process.send_signal(sent)
        process.communicate(timeout=60)
    return process.returncode


def test_threads_do_not_change_a_bit(text, tmp_path):
    for threads in ("1", "2", "3"):
        assert run(text, tmp_path / threads, 40, "--threads", threads).returncode == 0
    assert results(tmp_path / "1") == results(tmp_path / "2") == results(tmp_path / "3")


def test_stopped_and_resumed_gives_the_bits_of_an_unstopped_run(text, tmp_path):
    steps = 1200
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert run(text, whole, steps).returncode == 0
    assert stop(signal.SIGINT, text, parts, steps) == 128 + signal.SIGINT
    assert stop(signal.SIGKILL, text, parts, steps, "--resume") == -signal.SIGKILL
    assert stop(signal.SIGTERM, text, parts, steps, "--resume") == 128 + signal.SIGTERM
    assert results(whole) != results(parts)
    assert run(text, parts, steps, "--resume").returncode == 0
    assert results(whole) == results(parts)


def test_losses_fall_and_are_written_exactly(text, tmp_path):
    result = run(text, tmp_path, 300, "--lr", "0.01")
    lines = [line.split() for line in (tmp_path / "losses.txt").read_text().splitlines()]
    assert [int(step) for step, _, _ in lines] == list(range(300))
    assert all(float.fromhex(a) == pytest.approx(float(b), rel=1e-8) for _, a, b in lines)
    assert float(lines[0][2]) == pytest.approx(5.545, abs=0.05)  # log(256)
    assert float(lines[-1][2]) < 3
    assert f"checkpoint: {tmp_path / 'checkpoint.safetensors'}" in result.stdout
    assert any((tmp_path / "kernels").iterdir())


def test_mistakes_are_named(text, tmp_path):
    assert "did you mean '--steps'" in run(text, tmp_path, 1, "--stps=5").stderr
    assert "must be a number of at least 0; got -1" in run(text, tmp_path, 1, "--lr=-1").stderr
    missing = run(text, tmp_path / "none", 1, "--resume")
    assert missing.returncode == 1
    assert "checkpoint.safetensors" in missing.stderr
    assert run(text, tmp_path / "a", 2, "--seed", "1").returncode == 0
    other = run(text, tmp_path / "a", 2, "--seed", "2", "--resume")
    assert other.returncode == 1
    assert "seed was 1 when" in other.stderr
    schedule = run(text, tmp_path / "a", 4, "--seed", "1", "--resume")
    assert schedule.returncode == 0
    assert "note: steps was 2 before, now 4" in schedule.stderr
    short = tmp_path / "short.txt"
    short.write_text("too short")
    assert "too short; got 9 bytes for windows of 17" in run(short, tmp_path / "b", 1).stderr
