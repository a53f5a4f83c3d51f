"""Each rule of tools/check_tree.py, on a small tree that breaks it beside one that does not."""

import importlib.util
import pathlib
import shutil
import subprocess
import sys
import xml.etree.ElementTree

import pytest

SCRIPT = pathlib.Path(__file__).parents[2] / "tools" / "check_tree.py"


def load_script():
    spec = importlib.util.spec_from_file_location("check_tree", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    sys.modules["check_tree"] = module
    spec.loader.exec_module(module)
    return module


check_tree = load_script()


def broken(tmp_path, files, tool=None):
    """What the check says about a tree of `files`: path -> text."""
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")
    found, _ = check_tree.check(tmp_path, tool)
    return [str(item) for items in found.values() for item in items]


def include(path, system=False):
    return f"#include <{path}>\n" if system else f'#include "{path}"\n'


ROOMS = ["core", "ops", "passes", "distributed", "jit", "tools", "tests"]


@pytest.mark.parametrize("room", ROOMS)
def test_includes_go_one_way(tmp_path, room):
    for target in ROOMS:
        name = f"{room}/a.cpp"
        found = broken(tmp_path, {name: include(f"{target}/b.h")})
        if ROOMS.index(target) <= ROOMS.index(room):
            assert found == []
        else:
            assert found == [f"{name}:1: upward include: {room} may not include {target}/b.h"]


def test_python_and_tools_do_not_include_each_other(tmp_path):
    assert len(broken(tmp_path, {"python/a.cpp": include("tools/b.h")})) == 1
    assert broken(tmp_path, {"python/a.cpp": include("jit/compile.h")}) == []


def test_indented_and_spaced_includes_are_seen(tmp_path):
    assert len(broken(tmp_path, {"core/a.h": "  #  include <jit/b.h>\n"})) == 1


@pytest.mark.parametrize(
    "header, allowed, refused",
    [
        ("llvm/IR/Module.h", "jit/llvm/emit.cpp", "jit/backend.h"),
        ("llvm-c/Core.h", "jit/llvm/emit.cpp", "jit/compile.cpp"),
        ("cuda.h", "jit/cuda/driver.cpp", "jit/llvm/emit.cpp"),
        ("pybind11/numpy.h", "python/tensor.h", "core/shape.cpp"),
        ("mpi.h", "distributed/comm/mpi.cpp", "distributed/mesh.cpp"),
        ("CLI/CLI.hpp", "tools/plait/main.cpp", "jit/compile.cpp"),
        ("catch2/catch.hpp", "tests/core/a.cpp", "core/a.cpp"),
    ],
)
def test_third_party_headers_stay_in_their_room(tmp_path, header, allowed, refused):
    assert broken(tmp_path, {"core/x.h": "", allowed: include(header, system=True)}) == []
    (found,) = broken(tmp_path, {refused: include(header, system=True)})
    assert found.startswith(f"{refused}:1: third-party include: {header} belongs to ")


def test_headers_that_show_a_third_party_stay_in_their_room(tmp_path):
    emitter = {"jit/llvm/emitter.h": include("llvm/IR/Module.h", system=True)}
    inside = {"jit/llvm/emit.cpp": include("jit/llvm/emitter.h")}
    assert broken(tmp_path, {**emitter, **inside}) == []
    assert broken(tmp_path, {"jit/compile.cpp": "\n" + include("jit/llvm/emitter.h")}) == [
        "jit/compile.cpp:2: third-party include: jit/llvm/emitter.h shows third-party headers"
        " and stays in jit/llvm/"
    ]


def test_includes_by_relative_path_are_refused(tmp_path):
    assert "relative include" in broken(tmp_path, {"core/a.cpp": include("a.h")})[0]
    assert "relative include" in broken(tmp_path, {"core/a.cpp": include("../core/a.h")})[0]


def test_long_lines(tmp_path):
    assert broken(tmp_path, {"core/a.h": "x" * 100 + "\n"}) == []
    (found,) = broken(tmp_path, {"core/a.h": "\n" + "é" * 101 + "\n"})
    assert found == "core/a.h:2: long line: 101 columns of 100"
    assert "long line" in broken(tmp_path, {"tools/a.py": "x" * 101})[0]


def test_blanks_at_the_end(tmp_path):
    assert "blank at the end" in broken(tmp_path, {"core/a.h": "int a; \n"})[0]


@pytest.mark.parametrize("word", ["TO" "DO", "FIX" "ME", "XX" "X", "HA" "CK"])
def test_unfinished_work(tmp_path, word):
    assert broken(tmp_path, {"core/a.cpp": f"// {word}: later\n"}) == [
        f"core/a.cpp:1: unfinished: {word}"
    ]
    assert broken(tmp_path, {"core/a.cpp": f"// {word.lower()}{word}S\n"}) == []


def test_long_files(tmp_path):
    assert broken(tmp_path, {"core/a.cpp": "\n" * 700}) == []
    assert check_tree.check(tmp_path)[1] == [(700, "core/a.cpp")]
    assert broken(tmp_path, {"core/a.cpp": "\n" * 701}) == [
        "core/a.cpp:701: long file: 701 lines, at most 700"
    ]


def test_folders(tmp_path):
    assert broken(tmp_path, {"core/io/npy.h": "", "tests/core/io/npy.cpp": ""}) == []
    assert broken(tmp_path, {"tests/support/a.h": "", "tests/data/odd/a.txt": "x \n"}) == []
    assert broken(tmp_path, {"tests/core/oi/npy.cpp": ""}) == [
        "tests/core/oi/npy.cpp:1: tests mirror the folders: there is no folder core/oi/"
    ]
    shutil.rmtree(tmp_path / "tests")
    assert "unknown folder" in broken(tmp_path, {"utils/a.cpp": ""})[0]


@pytest.mark.skipif(not shutil.which("clang-format-19"), reason="clang-format-19 is not installed")
def test_format(tmp_path):
    style = {".clang-format": "BasedOnStyle: Google\n"}
    assert broken(tmp_path, {**style, "core/a.h": "int a;\n"}, "clang-format-19") == []
    assert broken(tmp_path, {"core/ü b.h": "int  a;\nint  b;\n"}, "clang-format-19") == [
        "core/ü b.h:1: format: run clang-format-19 -i core/ü b.h"
    ]


def test_ignored_files_are_not_looked_at(tmp_path):
    subprocess.run(["git", "init", "-q", tmp_path], check=True)
    assert broken(tmp_path, {".gitignore": "/build/\n", "build/x.h": "x" * 200}) == []
    assert len(broken(tmp_path, {"core/untracked.h": "x" * 200})) == 1


def test_as_a_command(tmp_path):
    def run(*arguments):
        command = [sys.executable, SCRIPT, "--root", tmp_path, *arguments]
        return subprocess.run(command, capture_output=True, text=True)

    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "a.h").write_text("int a;\n")
    assert run().returncode == 0
    (tmp_path / "core" / "b.h").write_text(include("jit/x.h"))
    result = run("--junit", tmp_path / "out.xml")
    assert result.returncode == 1
    assert "core/b.h:1: upward include" in result.stdout
    cases = xml.etree.ElementTree.parse(tmp_path / "out.xml").findall("testcase")
    assert [c.get("name") for c in cases if c.find("failure") is not None] == ["includes"]
