"""tools/bench_report.py: pages of a fixed file of results, and runs of stand-ins for the tool."""

import json
import pathlib
import re
import subprocess
import sys
from html.parser import HTMLParser

import pytest

TOOLS = pathlib.Path(__file__).parents[2] / "tools"
ROWS = pathlib.Path(__file__).with_name("bench_rows.jsonl")


def report(out, *arguments):
    command = [sys.executable, TOOLS / "bench_report.py", "--out", out, *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60)


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    out = tmp_path_factory.mktemp("pages") / "new folder"
    result = report(out, "--from", ROWS)
    assert result.returncode == 0, result.stderr
    # Nothing else is left in the folder.
    assert sorted(path.name for path in out.iterdir()) == ["bench.html", "bench.md"]
    return [(out / name).read_text("utf-8") for name in ("bench.md", "bench.html")]


def table_row(page, work):
    line = next(line for line in page.splitlines() if line.startswith(f"| `{work}` |"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_markdown_names_the_run(pages):
    for text in ("Test CPU <9000>", "2026-01-02 03:04 UTC", "abc123", "torch 2.0",
                 "tools/bench_report --seconds 1", "100 GFLOP/s on one core"):  # fmt: skip
        assert text in pages[0]


def test_markdown_rows(pages):
    expected = ["`gemm_8x8x8`", "4 ms", "3.2 ms", "40 % / 50 % fma", "", "50", "1.5",
                "8 ms 2.00x / 1.50x", "—", "250 ms", "1", "1 MiB", "100 MiB"]  # fmt: skip
    assert table_row(pages[0], "gemm_8x8x8") == expected
    broken = table_row(pages[0], "softmax_8x8")
    assert broken[1] == "—" and broken[7] == "1 ms"
    assert table_row(pages[0], "brand_new")[1:3] == ["2 µs", "1 µs"]


def test_markdown_tables_are_rectangular(pages):
    tables = re.findall(r"(?:^\|.*\n)+", pages[0], re.MULTILINE)
    assert len(tables) == 4  # products, norms, attention, others
    for table in tables:
        assert len({len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}) == 1


def test_missing_results_say_why(pages):
    assert "- `softmax_8x8`, Plait: ended by signal 9 (Killed)" in pages[0]
    assert "- `gemm_8x8x8`, jax: jax failed: error ModuleNotFoundError: No module" in pages[0]
    assert "Without a result of Plait: softmax_8x8." in pages[0]
    assert "Plait: ended by signal 9 (Killed)" in pages[1]


def test_the_summary_compares_with_the_best_peer(pages):
    # 2.0 and 0.5; the broken row does not count.
    text = "in 1 of the 2 that can be compared; geometric mean of best peer / Plait: 1.00"
    assert text in pages[0] and text in pages[1]


class Bars(HTMLParser):
    VOID = {"meta"}

    def __init__(self):
        super().__init__()
        self.open, self.widths, self.marks, self.text, self.outside = [], [], [], [], []

    def handle_starttag(self, tag, attributes):
        attributes = dict(attributes)
        if tag not in self.VOID:
            self.open.append(tag)
        self.outside += [tag] if tag in ("script", "link", "img", "iframe") else []
        self.outside += [value for key, value in attributes.items() if key in ("src", "href")]
        style = attributes.get("style") or ""
        if attributes.get("class") == "bar":
            self.widths.append(style)
        if attributes.get("class") == "mark":
            self.marks.append(style)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


def test_html_is_well_formed_and_self_contained(pages):
    parser = Bars()
    parser.feed(pages[1])
    parser.close()
    assert parser.open == [] and parser.outside == []
    assert "url(" not in pages[1] and "@import" not in pages[1]
    text = " ".join(parser.text)
    for fact in ("Test CPU <9000>", "abc123", "2026-01-02 03:04 UTC", "--seconds 1", "| <b>"):
        assert fact in text


def test_html_bars(pages):
    parser = Bars()
    parser.feed(pages[1])
    # gemm: 4 and 8 ms; softmax: torch alone; attention: 2 and 1 ms; the last work alone.
    widths = ["50.00%", "100.00%", "100.00%", "100.00%", "50.00%", "100.00%"]
    assert parser.widths == [f"width:{width}" for width in widths]
    # The limits, 0.4 of 4 ms and 0.1 of 2 ms, in each bar of their works.
    assert parser.marks == ["left:20.00%"] * 2 + ["left:10.00%"] * 2


def test_a_line_that_is_no_json_is_named(tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"work": "x", "error": "y"}\n{"work"\n', "utf-8")
    result = report(tmp_path, "--from", bad)
    assert result.returncode == 1 and f"{bad}:2:" in result.stderr
    assert not (tmp_path / "bench.md").exists()


STAND_IN = """#!/usr/bin/env python3
import os, signal, sys, time
work = sys.argv[2]
if work == "--list":
    print("good\\nkilled\\nbroken\\nslow")
elif work == "killed":
    os.kill(os.getpid(), signal.SIGKILL)
elif work == "slow":
    time.sleep(600)
elif work == "good":
    print('{"work": "good", "median": 0.5, "best": 0.25, "seconds": "%s"}' % sys.argv[5])
else:
    sys.exit("plait: it broke")
"""


def test_a_broken_killed_or_endless_work_is_a_row(tmp_path):
    tool = tmp_path / "plait"
    tool.write_text(STAND_IN, "utf-8")
    tool.chmod(0o755)
    rows = tmp_path / "rows" / "bench.jsonl"
    result = report(tmp_path, "--plait", tool, "--json", rows, "--timeout", "5", "--peers", "",
                    "--seconds", "0.5")  # fmt: skip
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in rows.read_text("utf-8").splitlines()]
    assert lines[0]["run"]["command"].startswith("tools/bench_report --out")
    assert [line["work"] for line in lines[1:]] == ["limits", "good", "killed", "broken", "slow"]
    assert lines[2]["median"] == 0.5 and lines[2]["seconds"] == "0.5"
    assert lines[3]["error"] == "ended by signal 9 (Killed)"
    assert lines[4]["error"] == "ended with status 1: plait: it broke"
    assert lines[5]["error"] == "stopped after 5 s"
    page = (tmp_path / "bench.md").read_text("utf-8")
    assert "limits: ended with status 1" in page and "`slow`, Plait: stopped after 5 s" in page
    assert "Without a result of Plait: killed, broken, slow." in page


def test_options_are_checked(tmp_path):
    assert "unknown peer 'torche'" in report(tmp_path, "--peers", "torche").stderr
    result = report(tmp_path, "--plait", tmp_path / "none")
    assert result.returncode == 1 and "build it, or name it by --plait" in result.stderr
