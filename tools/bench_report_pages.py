"""The pages of tools/bench_report.py: what `plait bench --json` measured, for people."""

import html as markup
import math

PEERS = {"torch": "torch", "compile": "torch.compile", "jax": "jax"}

# Headings, by how the names of their works begin; in this order.
GROUPS = [
    ("Products", ("gemm_",)),
    ("Norms, losses, optimizers", ("softmax_", "layernorm_", "bias_dropout_", "cross_entropy_",
                                   "linear_cross_entropy_", "adamw_", "gelu_")),
    ("Attention", ("attention_",)),
    ("Convolutions", ("conv",)),
    ("Training steps", ("mlp_", "gpt_", "gpt2_", "resnet")),
    ("Compile, dispatch, import", ("compile_", "dispatch_", "import")),
]  # fmt: skip
OTHERS = "Others"


def duration(seconds):
    if seconds is None:
        return ""
    for unit, scale in (("s", 1), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1 or unit == "µs":
            return f"{seconds * scale:.3g} {unit}" if seconds < 100 else f"{seconds:.0f} s"
    return ""


def mebibytes(count):
    return "" if count is None else f"{count / 2**20:.0f} MiB"


def rate(value):
    return f"{value:.3g}" if value else ""


def percent(row):
    """Of the limit, by the median and by the best run."""
    if not row.get("of_limit"):
        return ""
    return f"{100 * row['of_limit']:.0f} % / {100 * row['of_limit_best']:.0f} % {row['limit_by']}"


def percent_of_copy(row):
    """Of a copy of the work's bytes, by the median."""
    return f"{100 * row['of_copy']:.0f} %" if row.get("of_copy") else ""


def grouped(rows):
    """(heading, rows), without empty groups."""
    groups = {heading: [] for heading, _ in GROUPS} | {OTHERS: []}
    for row in rows:
        headings = (h for h, beginnings in GROUPS if row["work"].startswith(beginnings))
        groups[next(headings, OTHERS)].append(row)
    return [(heading, members) for heading, members in groups.items() if members]


def peer_names(rows):
    used = {name for row in rows for name in row.get("peers", {})}
    return [name for name in PEERS if name in used] + sorted(used - PEERS.keys())


def against_best(row):
    """The best peer's median over Plait's; None if there is no such pair."""
    ratios = [peer["ratio"] for peer in row.get("peers", {}).values() if "ratio" in peer]
    return min(ratios, default=None) if "error" not in row else None


def summary(rows):
    ratios = [r for r in map(against_best, rows) if r is not None]
    failed = [row["work"] for row in rows if "error" in row]
    text = f"{len(rows)} works."
    if ratios:
        mean = math.exp(sum(map(math.log, ratios)) / len(ratios))
        faster = sum(ratio >= 1 for ratio in ratios)
        text += (f" Plait is at least as fast as the best of its peers in {faster} of the"
                 f" {len(ratios)} that can be compared; geometric mean of best peer / Plait:"
                 f" {mean:.2f}.")  # fmt: skip
    if failed:
        text += f" Without a result of Plait: {', '.join(failed)}."
    return text


def limit_lines(limits):
    if limits is None:
        return []
    if "error" in limits:
        return [f"limits: {limits['error']}"]
    giga = 1e-9
    lines = [f"f32 multiply-adds: {limits['fma_one_core'] * giga:.0f} GFLOP/s on one core, "
             f"{limits['fma'] * giga:.0f} on {limits['threads']} threads"]  # fmt: skip
    if "bf16" in limits:
        lines.append(f"bf16 products: {limits['bf16_one_core'] * giga:.0f} GFLOP/s on one core, "
                     f"{limits['bf16'] * giga:.0f} on all threads")  # fmt: skip
    for traffic in limits["traffic"]:
        lines.append(
            f"traffic through {traffic['bytes'] >> 20} MiB: read {traffic['read'] * giga:.1f}, "
            f"copy {traffic['copy'] * giga:.1f}, in place {traffic['in_place'] * giga:.1f} GB/s"
        )
    lines.append(f"exp {limits['exp'] * giga:.2f}, erf {limits['erf'] * giga:.2f}, "
                 f"random words {limits['random'] * giga:.2f} G/s")  # fmt: skip
    return lines


def about(run):
    versions = ", ".join(f"{name} {version}" for name, version in run.get("versions", {}).items())
    facts = [("Machine", run.get("machine")), ("Date", run.get("date")),
             ("Commit", run.get("commit")), ("Command", run.get("command")),
             ("Peers", versions), ("Load when it began", run.get("load"))]  # fmt: skip
    return [(name, str(value)) for name, value in facts if value not in (None, "")]


EXPLANATION = (
    "Times are the median of a work's runs, in which Plait and its peers take turns; the first "
    "run of a turn does not count where it is short of 0.2 s. The limit "
    "is the largest of the work's FLOPs, bytes, exponentials, error functions and random words "
    "over what the machine was measured to do; a percentage is the limit's time over the "
    "work's, by the median and by the best run. Bytes are held against an update in place, "
    "which reads each line once and needs no other; results elsewhere cost more, so the time of "
    "a copy of the bytes over the work's time stands beside it. A factor is a peer's time over "
    "Plait's, by the medians and by the bests: above 1, Plait is faster. Cold is the first "
    "compile with an empty cache (of a peer: its first call); plan is the memory plan of the "
    "program, peak the most resident memory of the process."
)


def cell(text):
    """As the cell of a Markdown table."""
    return " ".join(str(text).split()).replace("\\", "\\\\").replace("|", "\\|")


def factors(peer):
    if "ratio" not in peer:
        return ""
    return f"{peer['ratio']:.2f}x / {peer['ratio_best']:.2f}x"


def peer_cell(peer):
    if peer is None:
        return ""
    if "error" in peer:
        return "—"
    return " ".join(filter(None, [duration(peer["median"]), factors(peer)]))


def markdown_row(row, peers):
    theirs = [peer_cell(row.get("peers", {}).get(name)) for name in peers]
    if "error" in row:
        cells = [f"`{row['work']}`", "—", *[""] * 5, *theirs, *[""] * 4]
    else:
        cells = [f"`{row['work']}`", duration(row["median"]), duration(row["best"]),
                 percent(row), percent_of_copy(row), rate(row.get("gflops")),
                 rate(row.get("gbs")), *theirs,
                 duration(row.get("cold")), row.get("kernels", ""),
                 mebibytes(row.get("planned_bytes")), mebibytes(row.get("peak_rss"))]  # fmt: skip
    return "| " + " | ".join(map(cell, cells)) + " |"


def reasons(rows):
    """Why something has no result: (work, who, text)."""
    found = []
    for row in rows:
        if "error" in row:
            found.append((row["work"], "Plait", row["error"]))
        for name, peer in row.get("peers", {}).items():
            if "error" in peer:
                found.append((row["work"], PEERS.get(name, name), peer["error"]))
    return found


def markdown(run, limits, rows):
    peers = peer_names(rows)
    lines = ["# Measurements", "", "Written by `tools/bench_report`; bench.html shows the same as "
             "bars.", ""]  # fmt: skip
    lines += [f"- {name}: {value}" for name, value in about(run)]
    lines += [f"- {line}" for line in limit_lines(limits)]
    lines += ["", summary(rows), "", EXPLANATION]
    head = ["work", "median", "best", "of limit", "of copy", "GFLOP/s", "GB/s",
            *(PEERS.get(name, name) for name in peers), "cold", "kernels", "plan",
            "peak"]  # fmt: skip
    for heading, members in grouped(rows):
        lines += ["", f"## {heading}", "", "| " + " | ".join(head) + " |", "|---" * len(head) + "|"]
        lines += [markdown_row(row, peers) for row in members]
    missing = reasons(rows)
    if missing:
        lines += ["", "## Without a result", ""]
        lines += [f"- `{work}`, {who}: {cell(text)}" for work, who, text in missing]
    return "\n".join(lines) + "\n"


STYLE = """
:root { color-scheme: light dark; --plait: #2563c9; --peer: #9aa3ad; --limit: #c2410c;
  --track: #8881; --quiet: #777; }
@media (prefers-color-scheme: dark) { :root { --plait: #6ea0f5; --peer: #6b747d;
  --limit: #f08a4b; --quiet: #9a9a9a; } }
body { font: 15px/1.45 system-ui, sans-serif; max-width: 62rem; margin: 2rem auto;
  padding: 0 1rem; }
code, .work { font-family: ui-monospace, monospace; font-size: 0.92em; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 0.1rem 1rem; }
dt { color: var(--quiet); } dd { margin: 0; overflow-wrap: anywhere; }
section { break-inside: avoid; margin: 1.1rem 0; }
.facts, .why, .key { color: var(--quiet); font-size: 0.88em; }
.why { overflow-wrap: anywhere; }
.line { display: grid; grid-template-columns: 7.5rem 1fr 13rem; gap: 0.6rem;
  align-items: center; }
.line > :last-child { font-variant-numeric: tabular-nums; }
.track { position: relative; height: 0.85rem; background: var(--track); }
.bar { height: 100%; background: var(--peer); } .plait .bar { background: var(--plait); }
.mark { position: absolute; top: -0.15rem; bottom: -0.15rem; width: 2px;
  background: var(--limit); }
.best { position: absolute; top: 0; bottom: 0; width: 1px; background: currentColor;
  opacity: 0.55; }
.swatch { display: inline-block; width: 0.8rem; height: 0.8rem; vertical-align: -0.1rem; }
@media (max-width: 40rem) { .line { grid-template-columns: 5rem 1fr; }
  .line > :last-child { grid-column: 2; } }
"""


def escape(text):
    return markup.escape(str(text))


def position(value, longest):
    return f"{100 * min(value / longest, 1):.2f}%"


def bar_line(name, entry, longest, limit, text, kind=""):
    inside = f'<div class="bar" style="width:{position(entry["median"], longest)}"></div>'
    inside += f'<div class="best" style="left:{position(entry["best"], longest)}"></div>'
    if limit:
        inside += f'<div class="mark" style="left:{position(limit, longest)}"></div>'
    return (
        f'<div class="line {kind}"><span>{escape(name)}</span>'
        f'<div class="track">{inside}</div><span>{escape(text)}</span></div>'
    )


def why(name, text):
    return f'<div class="why">{escape(name)}: {escape(text)}</div>'


def facts_of(row):
    facts = [percent(row) and f"{percent(row)} limit",
             percent_of_copy(row) and f"{percent_of_copy(row)} of a copy",
             rate(row.get("gflops")) and f"{rate(row['gflops'])} GFLOP/s",
             rate(row.get("gbs")) and f"{rate(row['gbs'])} GB/s",
             "cold" in row and f"cold {duration(row['cold'])}",
             "kernels" in row and f"{row['kernels']} kernels",
             "planned_bytes" in row and f"plan {mebibytes(row['planned_bytes'])}",
             "peak_rss" in row and f"peak {mebibytes(row['peak_rss'])}"]  # fmt: skip
    return " · ".join(fact for fact in facts if fact)


def peer_text(peer):
    parts = [duration(peer["median"]), factors(peer)]
    if "cold" in peer:
        parts.append(f"cold {duration(peer['cold'])}")
    return " · ".join(filter(None, parts))


def section(row, peers):
    """A work: a bar for Plait and each peer, to a common scale, the limit marked in each."""
    entries = [(name, row.get("peers", {}).get(name)) for name in peers]
    entries = [(PEERS.get(name, name), peer) for name, peer in entries if peer is not None]
    good = [peer["median"] for _, peer in entries if "error" not in peer]
    lines = [f'<div class="work">{escape(row["work"])}</div>']
    limit = None
    if "error" in row:
        lines.append(why("Plait", row["error"]))
    else:
        good.append(row["median"])
        limit = row.get("of_limit", 0) * row["median"]
    # A time below the clock's step must not divide by zero.
    longest = max([*good, limit or 0, 1e-12])
    if "error" not in row:
        text = duration(row["median"])
        lines.append(bar_line("Plait", row, longest, limit, text, "plait"))
    for name, peer in entries:
        if "error" in peer:
            lines.append(why(name, peer["error"]))
        else:
            lines.append(bar_line(name, peer, longest, limit, peer_text(peer)))
    facts = "" if "error" in row else f'<div class="facts">{escape(facts_of(row))}</div>'
    return f"<section>{''.join(lines)}{facts}</section>"


KEY = (
    '<p class="key"><span class="swatch" style="background:var(--plait)"></span> Plait · '
    '<span class="swatch" style="background:var(--peer)"></span> peers · '
    '<span class="swatch" style="background:var(--limit);width:2px"></span> limit · thin line: '
    "best run · shorter is faster; every work has a scale of its own</p>"
)


def html(run, limits, rows):
    peers = peer_names(rows)
    facts = "".join(f"<dt>{escape(n)}</dt><dd>{escape(v)}</dd>" for n, v in about(run))
    measured = "".join(f"<dt></dt><dd>{escape(line)}</dd>" for line in limit_lines(limits))
    body = [f"<h1>Measurements</h1><dl>{facts}{measured}</dl>",
            f"<p>{escape(summary(rows))}</p><p>{escape(EXPLANATION)}</p>", KEY]  # fmt: skip
    for heading, members in grouped(rows):
        body.append(f"<h2>{escape(heading)}</h2>")
        body += [section(row, peers) for row in members]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Plait: measurements</title><style>{STYLE}</style></head>\n<body>\n"
        + "\n".join(body)
        + "\n</body></html>\n"
    )
