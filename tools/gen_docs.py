#!/usr/bin/env python3
"""Writes the pages of docs/ that come from the code: tools/gen_docs.py [--check] [--plait FILE]

--check writes nothing: it names each page that is not what the tool prints, with status 1.
"""

import argparse
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]

# Page, arguments of `plait`, and the text above what it prints.
PAGES = [
    (
        "options.md",
        ["options"],
        """# Options

Each option is a field of `Options` (core/options.h), an environment variable, and a flag of
`plait`: `cache_dir` is `PLAIT_CACHE_DIR` and `--cache-dir`. From Python: `plait.set_option(name,
value)`. The environment is read once, at the first use of any option; then C++, Python or the
command line may change values, which count for what is compiled from then on. An unknown name, and
any unknown variable that begins with `PLAIT_`, is an error that lists the nearest names.

"In cache keys": a different value may give a different program.

""",
    ),
    (
        "ops.md",
        ["ops"],
        """# Ops

Every op is a function in C++ (ops/functions.h, made by the build) and in Python; those whose first
argument is `input` are methods of `Tensor` too. Names, order and defaults of arguments are
PyTorch's. `plait ops NAME` prints one. A new op is one record in the file of its family, such as
ops/activation.cpp.

| in a signature | means |
| --- | --- |
| `Operand` | a tensor or a number, which takes the tensor's dtype ([promotion.md](promotion.md)) |
| `int[]` | a list of integers, or one; as `int[]?`, leaving it out or empty means all dims |
| `Size`, `Shape` | a size (a number or a symbol), and a list of them |
| `?` | may be `None` |
| `*` | what follows is given by name |

Gradients come from the meta-ops that an op is made of; where a function has none, see
[numerics.md](numerics.md). `Not differentiable`: the result is an integer or a bool, a draw or a
constant, or steps so that its derivative is 0.

""",
    ),
    (
        "promotion.md",
        ["dtypes"],
        """# Promotion

The dtype in which an op of mixed operands computes, and of its result unless the op says otherwise
(comparisons give bool; `div` makes f32 of integers). Two tensors promote alike whatever their rank.
A plain number has no width: it takes the tensor's dtype, unless it is of a higher category
(bool < integers < floats). The functions are `promote` and `promote_scalar` of core/dtype.h; fusion
and compilation change nothing about them.

""",
    ),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare, write nothing")
    parser.add_argument("--plait", type=pathlib.Path, default=ROOT / "build" / "bin" / "plait")
    arguments = parser.parse_args()
    stale = []
    for name, verb, intro in PAGES:
        run = subprocess.run([arguments.plait, *verb], capture_output=True, text=True, check=True)
        note = f"<!-- Written by tools/gen_docs.py from `plait {' '.join(verb)}`. -->\n\n"
        text = note + intro + run.stdout
        page = ROOT / "docs" / name
        if page.exists() and page.read_text("utf-8") == text:
            continue
        stale.append(name)
        if not arguments.check:
            page.parent.mkdir(exist_ok=True)
            page.write_text(text, "utf-8")
    verdict = "is stale: run tools/gen_docs.py" if arguments.check else "written"
    for name in stale:
        print(f"docs/{name} {verdict}")
    return 1 if arguments.check and stale else 0


if __name__ == "__main__":
    sys.exit(main())
