"""The command-line tool as a user runs it; oracles: NumPy and the public safetensors package."""

import json
import os
import pathlib
import re
import subprocess

import ml_dtypes
import numpy as np
import pytest
import safetensors.numpy

PLAIT = pathlib.Path(__file__).parents[2] / "build" / "bin" / "plait"

SCALE = """graph
  %0 = input "x" : f32[2, 3]
  %1 = parameter "w" : f32[3]
  %2 = broadcast [1] %1 : f32[2, 3]
  %3 = binary mul %0 %2 : f32[2, 3]
  output "y" %3
"""


def plait(*arguments, cwd=None, stdin=None, **environment):
    return subprocess.run(
        [PLAIT, *arguments],
        cwd=cwd,
        input=stdin,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
    )


def good(*arguments, **more):
    result = plait(*arguments, **more)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout


def error(*arguments, **more):
    result = plait(*arguments, **more)
    assert result.returncode == 1
    assert result.stderr.startswith("plait: ") and result.stderr.count("\n") == 1
    return result.stderr


@pytest.fixture
def folder(tmp_path):
    """A folder with a graph, in a path with a blank and a non-ASCII letter."""
    place = tmp_path / "a ü"
    place.mkdir()
    (place / "scale.txt").write_text(SCALE)
    return place


ENGINES = [["--evaluate"], ["--backend", "interp"], ["--backend", "llvm"]]


def test_version_and_help():
    assert good("--version").startswith("plait 0.")
    text = good("--help")
    for verb in ["opt", "options", "run"]:
        assert verb in text
    assert plait().returncode > 100
    assert plait("rum").returncode > 100


def test_options_are_listed_and_set_by_flags_and_variables():
    assert "| `threads` | `PLAIT_THREADS` | `0` | no |" in good("options")
    assert "threads=0" in good("options", "--values")
    assert "threads=2" in good("options", "--values", PLAIT_THREADS="2")
    # The command line is nearer to the user than the environment.
    values = good("options", "--values", "--threads", "3", "--cache-dir", "off", PLAIT_THREADS="2")
    assert "threads=3" in values and "cache_dir=off" in values


def test_wrong_options():
    assert "PLAIT_THREAD is no option of Plait. hint: did you mean 'PLAIT_THREADS'?" in error(
        "options", PLAIT_THREAD="2"
    )
    assert "[options] PLAIT_THREADS is 'two'" in error("options", PLAIT_THREADS="two")
    assert "[options] threads is 'two'" in error("options", "--threads", "two")


def test_ops():
    text = good("ops", "relu", "argmax")
    assert text.startswith("relu(Tensor input) -> Tensor\n\nmax(input, 0). ")
    assert text.count("Not differentiable.") == 1 and text.endswith("Not differentiable.\n")
    (record,) = json.loads(good("ops", "--json", "gelu"))
    assert (record["family"], record["differentiable"]) == ("activation", True)
    assert record["signature"] == "gelu(Tensor input, str approximate='none') -> Tensor"
    names = [record["name"] for record in json.loads(good("ops", "--json"))]
    assert sorted(re.findall(r"^- `(\w+)\(", good("ops"), re.MULTILINE)) == names
    assert len(set(names)) == len(names)
    hint = "[plait] no op is called 'sofmax'. hint: did you mean 'softmax'?"
    assert hint in error("ops", "relu", "sofmax")


@pytest.mark.parametrize("engine", ENGINES, ids=" ".join)
def test_run_on_npy_files(folder, engine):
    x = np.arange(6, dtype=np.float32).reshape(2, 3) - 2.5
    w = np.array([2, -1, 0.5], np.float32)
    np.save(folder / "x.npy", np.asfortranarray(x))
    np.save(folder / "w.npy", w)
    arguments = ["run", "scale.txt", "x=x.npy", "w=w.npy", *engine]
    assert good(*arguments, cwd=folder) == "y: f32[2, 3] = [[-5, 1.5, -0.25], [1, -1.5, 1.25]]\n"
    good(*arguments, "--out", "y.npy", cwd=folder)
    np.testing.assert_array_equal(np.load(folder / "y.npy"), x * w)


@pytest.mark.parametrize("engine", ENGINES, ids=" ".join)
def test_run_on_safetensors_files(folder, engine):
    x = np.ones((2, 3), np.float32)
    w = np.array([2, -1, 0.5], np.float32)
    safetensors.numpy.save_file({"x": x, "w": w}, folder / "both.safetensors", {"made": "by"})
    out = folder / "y.safetensors"
    good("run", "scale.txt", "both.safetensors", *engine, "--out", out, cwd=folder)
    np.testing.assert_array_equal(safetensors.numpy.load_file(out)["y"], x * w)
    good("run", "scale.txt", "x=both.safetensors", "w=both.safetensors:w", *engine, cwd=folder)


DTYPES = {
    "bool": np.bool_, "i8": np.int8, "u8": np.uint8, "i16": np.int16, "i32": np.int32,
    "i64": np.int64, "u32": np.uint32, "u64": np.uint64, "f16": np.float16,
    "bf16": ml_dtypes.bfloat16, "f32": np.float32, "f64": np.float64,
}  # fmt: skip


@pytest.mark.parametrize("name", DTYPES)
def test_files_are_read_and_written_as_by_others(folder, name):
    rng = np.random.default_rng(1)
    array = (rng.integers(0, 2 if name == "bool" else 100, (3, 5))).astype(DTYPES[name])
    graph = f'graph\n  %0 = input "x" : {name}[3, 5]\n  output "y" %0\n'
    np.save(folder / "x.npy", array)
    run = ["run", "-", "x=x.npy", "--evaluate", "--out"]
    good(*run, "y.npy", cwd=folder, stdin=graph)
    assert (folder / "y.npy").read_bytes() == (folder / "x.npy").read_bytes()
    good(*run, "y.safetensors", cwd=folder, stdin=graph)
    (loaded,) = safetensors.numpy.load_file(folder / "y.safetensors").values()
    assert loaded.dtype == array.dtype
    assert loaded.tobytes() == array.tobytes()


@pytest.mark.parametrize("engine", ENGINES, ids=" ".join)
def test_symbols_take_their_sizes_from_the_inputs(folder, engine):
    (folder / "sum.txt").write_text(
        "graph\n"
        "  dim n 0..64\n"
        '  %0 = input "x" : f32[n]\n'
        "  %1 = reduce sum [0] %0 : f32[]\n"
        '  output "total" %1\n'
    )
    for n in [0, 1, 50]:
        np.save(folder / "x.npy", np.ones(n, np.float32))
        assert good("run", "sum.txt", "x=x.npy", *engine, cwd=folder) == f"total: f32[] = {n}\n"


def test_long_arrays_are_shortened(folder):
    np.save(folder / "x.npy", np.arange(100))
    text = good("run", "-", "x=x.npy", "--evaluate", cwd=folder,
                stdin='graph\n  %0 = input "x" : i64[100]\n  output "y" %0\n')  # fmt: skip
    assert text == "y: i64[100] = [0, 1, 2, 3, …, 96, 97, 98, 99]\n"


def test_wrong_values(folder):
    np.save(folder / "x.npy", np.ones((2, 3), np.float32))
    np.save(folder / "bad.npy", np.ones(4, np.float32))
    np.save(folder / "complex.npy", np.ones(3, np.complex64))

    def run_error(*values):
        return error("run", "scale.txt", *values, "--evaluate", cwd=folder)

    assert "[run] the graph has no input or slot 'v'. hint: there are 'w' and 'x'" in run_error(
        "v=x.npy"
    )
    assert "[run] 'x' is given twice" in run_error("x=x.npy", "x=x.npy")
    assert "'x.npy' names no input. hint: NAME=x.npy" in run_error("x.npy")
    assert "neither a .npy nor a .safetensors file" in run_error("x=scale.txt")
    assert "cannot read 'none.npy': No such file or directory" in run_error("x=none.npy")
    assert "has dtype '<c8', which is not supported" in run_error("x=complex.npy")
    assert "x" in run_error()
    assert "f32[2, 3]" in run_error("x=bad.npy")
    assert "f32[3]" in run_error("x=x.npy", "w=bad.npy")
    assert "neither a .npy nor a .safetensors file" in run_error("x=x.npy", "--out", "y.txt")


def test_wrong_graphs(folder):
    assert "cannot read 'none.txt'" in error("run", "none.txt", cwd=folder)
    (folder / "bad.txt").write_text("graph\n  %0 = softmax\n")
    text = error("opt", "bad.txt", cwd=folder)
    assert text.startswith("plait: bad.txt: ") and "line 2" in text
    assert "standard input: " in error("opt", "-", stdin="")


def test_opt_prints_what_it_reads(folder):
    text = good("opt", "scale.txt", cwd=folder)
    assert good("opt", "-", stdin=text) == text
    good("opt", "scale.txt", "--out", "again.txt", cwd=folder)
    assert (folder / "again.txt").read_text() == text


def test_opt_runs_passes(folder):
    loss = SCALE.replace('output "y" %3', '%4 = reduce sum [0, 1] %3 : f32[]\n  output "loss" %4')
    text = good("opt", "-", "--pass", "gradients", "--pipeline", stdin=loss)
    np.save(folder / "x.npy", np.arange(6, dtype=np.float32).reshape(2, 3))
    result = good("run", "-", "x=x.npy", "--evaluate", cwd=folder, stdin=text)
    assert "grad/w: f32[3] = [3, 5, 7]\n" in result
    # The multiplication by a gradient of one is gone.
    plain = good("opt", "-", "--pass", "gradients", stdin=loss)
    assert text.count("\n") < plain.count("\n")
    simplified = good("opt", "-", "--pass", "simplify", stdin=text)
    assert simplified == text
    assert "there is no pass 'gradient'. hint: did you mean 'gradients'?" in error(
        "opt", "-", "--pass", "gradient", stdin=loss
    )
