"""`pip install .` gives a package that works without the checkout."""

import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).parents[2]

PROGRAM = """
import plait
print(plait.__version__)
print(plait.__file__)
"""


def test_pip_install(tmp_path):
    # With a build folder beside build/ and the same compiler name, the compiler cache (which takes
    # paths relative to the build folder) has every object already.
    cache = {"CXX": "c++", "CCACHE_BASEDIR": str(ROOT), "CCACHE_NOHASHDIR": "1"}
    environment = {**cache, **os.environ}
    target = tmp_path / "a ü"
    install = [sys.executable, "-m", "pip", "install", "--no-build-isolation", "--no-deps"]
    install += ["--no-index", "--target", target, "--config-settings=build-dir=build-wheel", ROOT]
    result = subprocess.run(install, env=environment, cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout + result.stderr

    result = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, "PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    version, file = result.stdout.splitlines()
    for name in ["py.typed", "__init__.pyi", "_core.pyi"]:
        assert (pathlib.Path(file).parent / name).is_file()
    assert pathlib.Path(file).is_relative_to(target)
    assert f"project(plait VERSION {version} " in (ROOT / "CMakeLists.txt").read_text()
    tool = subprocess.run([ROOT / "build/bin/plait", "--version"], capture_output=True, text=True)
    assert tool.stdout == f"plait {version}\n"
