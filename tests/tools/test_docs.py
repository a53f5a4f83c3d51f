"""The documentation: its code runs, its names exist, its generated pages are current.

A fenced block is `cpp` (a program, or statements for the body of main), `python`, `sh` (run if its
first line is `# run`) or `text`. A block `text output` is what the code block before it prints; a
line `…` stands for any lines, `…` within a line for anything.
"""

import dataclasses
import functools
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
BUILD = ROOT / "build"
PAGES = [ROOT / name for name in ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"]]
PAGES += sorted((ROOT / "docs").glob("*.md"))

FENCE = re.compile(r"^```(.*)\n((?:.*\n)*?)```$", re.MULTILINE)
CODE = re.compile(r"`([^`\n]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)#:]+)\)")
ROOMS = ("core/", "ops/", "passes/", "jit/", "python/", "tools/", "tests/", "docs/", ".ci/")

# What statements in a block without main may use.
PRELUDE = """\
#include <fmt/format.h>

#include "core/error.h"
#include "jit/compile.h"
#include "ops/functions.h"
#include "ops/nn/init.h"
#include "ops/nn/linear.h"
#include "ops/nn/norm.h"
#include "ops/optim/adamw.h"

using namespace plait;

int main() {
"""


@dataclasses.dataclass
class Block:
    page: str
    line: int
    language: str
    text: str
    output: str | None = None

    def __str__(self):
        return f"{self.page}:{self.line}:{self.language}"


def read_blocks(name, page):
    """The blocks of a page; a `text output` belongs to the block before it."""
    blocks = []
    for match in FENCE.finditer(page):
        language = match[1].strip()
        line = page.count("\n", 0, match.start()) + 1
        if language == "text output":
            assert blocks and blocks[-1].output is None, f"{name}:{line}: the output of what?"
            blocks[-1].output = match[2]
        else:
            blocks.append(Block(name, line, language, match[2]))
    return blocks


BLOCKS = [b for page in PAGES for b in read_blocks(page.name, page.read_text("utf-8"))]


def is_run(block):
    runs = block.language in ("cpp", "python")
    return runs or (block.language == "sh" and block.text.startswith("# run\n"))


def matches(expected, output):
    """Whether `output` is `expected`, where `…` stands for the rest."""
    parts = []
    for line in expected.splitlines():
        if line.strip() == "…":
            parts.append(r"(?:.*\n)*?")
        else:
            parts.append(r"[^\n]*?".join(map(re.escape, line.split("…"))) + r"\n")
    return re.fullmatch("".join(parts), output) is not None


@functools.cache
def build_commands():
    """How the build compiles and links hello.cpp: argument lists, outputs and input left out."""
    lines = subprocess.run(
        ["ninja", "-C", BUILD, "-t", "commands", "bin/hello"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    link = shlex.split(lines[-1].removeprefix(": && ").removesuffix(" && :"))
    (compiling,) = [c for c in map(shlex.split, lines) if c and c[-1].endswith("/hello.cpp")]
    for option in ["-o", "-MF", "-MT"]:
        at = compiling.index(option)
        del compiling[at : at + 2]
    if pathlib.Path(compiling[0]).name == "ccache":
        del compiling[0]
    kept = [a for a in compiling[:-1] if a not in ("-MD", "-c")]
    at = link.index("-o")
    libraries = [a for a in link[at + 2 :] if not a.startswith("-O")]
    return kept, libraries


def run(arguments, folder):
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PLAIT_")}
    environment["PLAIT_CACHE_DIR"] = str(folder / "cache")
    result = subprocess.run(
        arguments, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return result.stdout


def run_cpp(block, folder):
    text = block.text if "int main(" in block.text else PRELUDE + block.text + "}\n"
    source = folder / "block.cpp"
    source.write_text(text, "utf-8")
    compiling, libraries = build_commands()
    program = folder / "block"
    subprocess.run(
        [*compiling, "-O0", source, "-o", program, *libraries], cwd=BUILD, check=True
    )
    return run([program], folder)


def run_python(block, folder):
    probe = [sys.executable, "-c", "import plait; plait.compile"]
    if subprocess.run(probe, capture_output=True, check=False).returncode != 0:
        pytest.skip("this build's Python has no plait")
    source = folder / "block.py"
    source.write_text(block.text, "utf-8")
    return run([sys.executable, source], folder)


def run_sh(block, folder):
    (folder / "build").symlink_to(BUILD)
    return run(["bash", "-e", "-c", block.text], folder)


RUNNERS = {"cpp": run_cpp, "python": run_python, "sh": run_sh}


@pytest.mark.parametrize("block", [b for b in BLOCKS if is_run(b)], ids=str)
def test_code_runs(block, tmp_path):
    output = RUNNERS[block.language](block, tmp_path)
    if block.output is not None:
        assert matches(block.output, output), f"{block} prints\n{output}"


def test_blocks_are_of_known_kinds():
    for block in BLOCKS:
        assert block.language in ("cpp", "python", "sh", "text"), block
        assert block.output is None or is_run(block), f"{block} has an output and is not run"


def test_output_patterns():
    assert matches("a\n…\nc…e\n", "a\nb\nb\ncde\n")
    assert matches("…\nb\n", "b\n")
    assert not matches("a\n", "a\nb\n")
    assert not matches("a\n…\nb\n", "b\na\n")


@functools.cache
def source_words():
    """Every word of the sources and scripts, and of the names of files."""
    names = subprocess.run(
        ["git", "-C", ROOT, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    words = set()
    for name in filter(None, names):
        words |= set(re.findall(r"\w+", name))
        file = ROOT / name
        if file.is_file() and file.suffix != ".md" and not name.startswith("tests/data/"):
            words |= set(re.findall(r"\w+", file.read_text("utf-8", "ignore")))
    return words


def prose(page):
    return FENCE.sub("", page.read_text("utf-8"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_names_exist(page):
    """Paths of the repository, and every word in backticks that the page's own code lacks."""
    text = page.read_text("utf-8")
    own = "\n".join(block for _, block in FENCE.findall(text))
    known = source_words() | set(re.findall(r"\w+", own))
    for span in CODE.findall(prose(page)):
        path = span.split(":")[0].split(" ")[0]
        if path.startswith(ROOMS) and "…" not in path:
            assert list(ROOT.glob(path.rstrip("/"))), f"{page.name}: there is no {path}"
        unknown = [w for w in re.findall(r"[A-Za-z_]\w*", span) if w not in known]
        assert not unknown, f"{page.name}: {unknown} of `{span}`"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in LINK.findall(prose(page)):
        assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_generated_pages_are_current():
    result = subprocess.run(
        [sys.executable, ROOT / "tools" / "gen_docs.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (result.returncode, result.stdout) == (0, "")
