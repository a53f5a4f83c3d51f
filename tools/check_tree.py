"""Checks the rules of the source tree: tools/check_tree.py [--root FOLDER] [--junit FILE]

Rooms: an include goes to the same room or a lower one. A third party's headers appear only in its
sub-room, and a header there that includes them is not included from outside. Sizes: lines, files.
Words that mark unfinished work. Tests mirror the rooms. Format: clang-format-19, where it is
installed. Prints each broken rule as FILE:LINE: RULE: TEXT; status 1 if there is one. Only files
that git knows or would add are looked at.
"""

import argparse
import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree

# From low to high; the rooms of one entry may not include each other.
LEVELS = [["core"], ["ops"], ["passes"], ["distributed"], ["jit"], ["python", "tools"], ["tests"]]
LEVEL_OF = {room: level for level, rooms in enumerate(LEVELS) for room in rooms}
TOP_FOLDERS = {*LEVEL_OF, ".ci", "docs"}

# Headers, and the folder whose files may include them.
THIRD_PARTIES = [
    (re.compile(r"llvm(-c)?/|clang/|lld/"), "jit/llvm/"),
    (re.compile(r"cuda|nvrtc|cublas|cudnn"), "jit/cuda/"),
    (re.compile(r"pybind11/|Python\.h"), "python/"),
    (re.compile(r"mpi\.h|nccl\.h"), "distributed/comm/"),
    (re.compile(r"CLI/"), "tools/"),
    (re.compile(r"catch2/"), "tests/"),
]

# Rooms below tests/ that mirror no source folder.
TESTS_ONLY = {"support", "data", "fuzz", "python", "cuda_mock"}

MAX_COLUMNS = 100
LONG_FILE, MAX_FILE = 500, 700
CPP = {".h", ".cpp"}
CODE = {*CPP, ".def", ".py", ".sh", ".txt", ".md", ".json", ".toml", ".pyi"}
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
# Spelled so that this file does not hold them.
UNFINISHED = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X|HA" r"CK)\b")


@dataclasses.dataclass(frozen=True)
class Broken:
    file: str
    line: int
    rule: str
    text: str

    def __str__(self):
        return f"{self.file}:{self.line}: {self.rule}: {self.text}"


def tracked_files(root):
    """What git tracks or would add, relative to `root`; all files if it is no git checkout."""
    listing = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        capture_output=True,
    )
    if listing.returncode == 0:
        names = [name.decode() for name in listing.stdout.split(b"\0") if name]
    else:
        names = [str(p.relative_to(root)) for p in root.rglob("*") if p.is_file()]
    return sorted(name for name in set(names) if (root / name).is_file())


def check_includes(name, lines):
    room = name.split("/")[0]
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        bracket, header = match.groups()
        target = header.split("/")[0]
        if target in LEVEL_OF and "/" in header:
            same = target == room
            if room not in LEVEL_OF or not (same or LEVEL_OF[target] < LEVEL_OF[room]):
                yield Broken(name, number, "upward include", f"{room} may not include {header}")
        elif bracket == '"' and not header.startswith("tests/"):
            yield Broken(name, number, "relative include", f"{header}: write its whole path")
        for headers, folder in THIRD_PARTIES:
            third_party = headers.match(header) and target not in LEVEL_OF
            if third_party and not name.startswith(folder):
                yield Broken(name, number, "third-party include", f"{header} belongs to {folder}")


def check_private_headers(sources):
    """Of `sources` (name -> lines): includes of a header that shows a third party, from outside."""
    private = {}
    for name, lines in sources.items():
        for match in filter(None, map(INCLUDE.match, lines)):
            for headers, folder in THIRD_PARTIES:
                if name.endswith(".h") and name.startswith(folder) and headers.match(match[2]):
                    private[name] = folder
    for name, lines in sources.items():
        for number, line in enumerate(lines, 1):
            match = INCLUDE.match(line)
            folder = match and private.get(match[2])
            if folder and not name.startswith(folder):
                text = f"{match[2]} shows third-party headers and stays in {folder}"
                yield Broken(name, number, "third-party include", text)


def check_lines(name, lines):
    for number, line in enumerate(lines, 1):
        if len(line) > MAX_COLUMNS and not name.endswith(".md"):
            yield Broken(name, number, "long line", f"{len(line)} columns of {MAX_COLUMNS}")
        if line != line.rstrip():
            yield Broken(name, number, "blank at the end of the line", repr(line[-10:]))
        if match := UNFINISHED.search(line):
            yield Broken(name, number, "unfinished", match[0])


def check_size(name, lines):
    if name.endswith(".pyi"):  # written by tools/gen_stubs.py
        return
    if len(lines) > MAX_FILE:
        yield Broken(name, len(lines), "long file", f"{len(lines)} lines, at most {MAX_FILE}")


def check_place(name, names):
    parts = name.split("/")
    if len(parts) > 1 and parts[0] not in TOP_FOLDERS:
        yield Broken(name, 1, "unknown folder", f"{parts[0]}/ is not in the plan of the house")
    if parts[0] == "tests" and len(parts) > 2 and parts[1] not in TESTS_ONLY:
        mirrored = "/".join(parts[1:-1])
        if not any(other.startswith(mirrored + "/") for other in names):
            yield Broken(name, 1, "tests mirror the folders", f"there is no folder {mirrored}/")


def check_format(root, names, tool):
    """Files that clang-format would change, each at the first place."""
    files = [name for name in names if pathlib.Path(name).suffix in CPP]
    if not tool or not files:
        return
    run = subprocess.run(
        [tool, "--dry-run", "--ferror-limit=0", *files], cwd=root, capture_output=True, text=True
    )
    seen = set()
    for line in run.stderr.splitlines():
        match = re.match(r"(.*?):(\d+):\d+: (?:warning|error): (.*)", line)
        if match and match[1] not in seen:
            seen.add(match[1])
            yield Broken(match[1], int(match[2]), "format", f"run {tool} -i {match[1]}")


RULES = {
    "includes": check_includes,
    "lines": check_lines,
    "sizes": check_size,
}


def check(root, format_tool=None):
    """The broken rules, by the name of their check; and (lines, name) of the long files."""
    names = tracked_files(root)
    found = {rule: [] for rule in [*RULES, "places", "format"]}
    long_files = []
    sources = {}
    for name in names:
        found["places"] += check_place(name, names)
        if pathlib.Path(name).suffix not in CODE and not name.endswith(".ci/run"):
            continue
        if name.startswith("tests/data/"):
            continue
        lines = (root / name).read_text("utf-8").splitlines()
        cpp = pathlib.Path(name).suffix in CPP
        if cpp:
            sources[name] = lines
        for rule, function in RULES.items():
            if rule == "includes" and not cpp:
                continue
            found[rule] += function(name, lines)
        if len(lines) > LONG_FILE:
            long_files.append((len(lines), name))
    found["includes"] += check_private_headers(sources)
    found["format"] += check_format(root, names, format_tool)
    return found, sorted(long_files, reverse=True)


def write_junit(path, found):
    suite = xml.etree.ElementTree.Element("testsuite", name="check_tree")
    for rule, broken in found.items():
        case = xml.etree.ElementTree.SubElement(suite, "testcase", name=rule, time="0")
        if broken:
            failure = xml.etree.ElementTree.SubElement(case, "failure")
            failure.text = "\n".join(map(str, broken))
    xml.etree.ElementTree.ElementTree(suite).write(path, "utf-8", xml_declaration=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=pathlib.Path, default=pathlib.Path(__file__).parents[1])
    parser.add_argument("--junit", type=pathlib.Path, help="also write the results there")
    arguments = parser.parse_args()
    tool = shutil.which("clang-format-19")
    if not tool:
        print("clang-format-19 is not installed: the format is not checked")
    found, long_files = check(arguments.root.resolve(), tool and "clang-format-19")
    for lines, name in long_files:
        print(f"long, though allowed: {name} has {lines} lines; look for the second thing it does")
    for broken in found.values():
        for item in broken:
            print(item)
    if not tool:
        del found["format"]
    if arguments.junit:
        write_junit(arguments.junit, found)
    count = sum(map(len, found.values()))
    print(f"{len(found)} checks of the source tree, {count} broken rules")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main())
