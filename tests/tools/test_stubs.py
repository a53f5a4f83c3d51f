"""The type stubs: current, whole, and what a type checker makes of user code with them."""

import ast
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PACKAGE = ROOT / "python" / "plait"
STUBS = [PACKAGE / "__init__.pyi", PACKAGE / "_core.pyi"]

plait = pytest.importorskip("plait", reason="this build has no Python package")


def test_stubs_are_current():
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / "gen_stubs.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, ""), result.stderr


def names(body):
    """What a stub's statements define or import under its own name."""
    for node in body:
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            yield node.name
        elif isinstance(node, ast.AnnAssign):
            yield node.target.id
        elif isinstance(node, ast.ImportFrom):
            yield from (alias.asname for alias in node.names if alias.asname)


def public(thing):
    return {name for name in vars(thing) if not name.startswith("_")}


def test_every_public_name_is_there():
    package, core = (ast.parse(stub.read_text("utf-8")) for stub in STUBS)
    assert public(plait) <= set(names(package.body))
    (tensor,) = [n for n in core.body if isinstance(n, ast.ClassDef) and n.name == "Tensor"]
    assert public(plait.Tensor) == {n for n in names(tensor.body) if not n.startswith("_")}


def mypy(*files):
    """What mypy prints, without its last line."""
    result = subprocess.run(
        [sys.executable, "-m", "mypy", "--follow-imports=silent", "--no-error-summary",
         "--cache-dir", os.devnull, *files],
        env={**os.environ, "MYPYPATH": str(ROOT / "python")},
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert result.returncode in (0, 1), result.stderr
    return result.stdout


def test_examples_and_stubs_check():
    assert mypy(*sorted((ROOT / "python" / "examples").glob("*.py")), *STUBS) == ""


USER = """\
import numpy as np
import plait
x = plait.tensor(np.ones((2, 3)), dtype="f32")
reveal_type(x.softmax(-1) * 2)
reveal_type(2 - x)
reveal_type(plait.topk(x, 2)[1])
reveal_type(x.dtype == plait.f32)
plait.softmax(x, 1.5)
x.softmaxx(0)
plait.sum(x, axis=0)
x.gelu(approximate=None)
plait.maximum(np.ones(3), 1.5)
"""
EXPECTED = """\
4: note: Revealed type is "plait._core.Tensor"
5: note: Revealed type is "plait._core.Tensor"
6: note: Revealed type is "plait._core.Tensor"
7: note: Revealed type is "bool"
8: error: Argument 2 to "softmax" has incompatible type "float"; expected "int"  [arg-type]
9: error: "Tensor" has no attribute "softmaxx"; maybe "softmax"?  [attr-defined]
10: error: Unexpected keyword argument "axis" for "sum"  [call-arg]
11: error: Argument "approximate" to "gelu" of "Tensor" has incompatible type "None"; \
expected "str"  [arg-type]
"""


def test_what_users_see(tmp_path):
    source = tmp_path / "user.py"
    source.write_text(USER)
    lines = [line.partition("user.py:")[2] for line in mypy(source).splitlines()]
    lines = [line.replace("builtins.", "") for line in lines if "defined in" not in line]
    assert "\n".join(lines) + "\n" == EXPECTED
