"""Measures works with `plait bench` and writes two pages about them, bench.md and bench.html.

Every work runs in a process of its own; one that fails, is killed or takes too long is a row that
says so. The results are collected in a file of JSON lines: first one about the run (`run`), then
those of `plait bench --json`, the limits before the works. --from renders such a file again.
"""

import argparse
import datetime
import json
import os
import pathlib
import shlex
import signal
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import bench_report_pages  # noqa: E402: beside this file, wherever it is loaded from

ROOT = pathlib.Path(__file__).resolve().parents[1]
PEERS = ("torch", "compile", "jax")


def write_atomically(path, text):
    """A reader finds the old file or the new one, never a part."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name + ".")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def output_of(command):
    """What a command prints, or nothing if it fails."""
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    return result.stdout.strip() if result.returncode == 0 else ""


def cpu_name():
    for line in pathlib.Path("/proc/cpuinfo").read_text("utf-8").splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return os.uname().machine


def machine():
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{cpu_name()}, {len(os.sched_getaffinity(0))} CPUs, {memory:.0f} GiB"


def versions(python, peers):
    """Of the packages behind the peers; those that are not installed are left out."""
    found = {}
    for package in sorted({"jax" if peer == "jax" else "torch" for peer in peers}):
        code = f"import importlib.metadata as m; print(m.version('{package}'))"
        version = output_of([python, "-c", code])
        if version:
            found[package] = version
    return found


def about_run(options, argv):
    commit = output_of(["git", "rev-parse", "--short=12", "HEAD"]) or "unknown"
    if output_of(["git", "status", "--porcelain", "--untracked-files=no"]):
        commit += " with changes"
    return {
        "machine": machine(),
        "date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit,
        "command": shlex.join(["tools/bench_report", *argv]),
        "versions": versions(options.python, options.peers),
        "load": round(os.getloadavg()[0], 1),
    }


def row_of(text, status, stderr):
    """The object on the last line of a bench's output; else why there is none."""
    try:
        row = json.loads(text.strip().splitlines()[-1])
        if isinstance(row, dict):
            return row
    except (IndexError, ValueError):
        pass
    if status < 0:
        return {"error": f"ended by signal {-status} ({signal.strsignal(-status)})"}
    last = (stderr.strip().splitlines() or ["no output"])[-1]
    return {"error": f"ended with status {status}: {last}"}


def measure(work, options):
    command = [options.plait, "bench", work, "--json", "--seconds", str(options.seconds)]
    command += ["--python", options.python, "--threads", str(options.threads)]
    if options.peers and work != "limits":
        command += ["--peers", ",".join(options.peers)]
    # A session of its own, so that its peers end with it.
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        text, errors = process.communicate(timeout=options.timeout)
    except subprocess.TimeoutExpired:
        row = {"error": f"stopped after {options.timeout:g} s"}
    else:
        row = row_of(text, process.returncode, errors)
    finally:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        process.wait()
    return {**row, "work": work}


def known_works(plait):
    result = subprocess.run([plait, "bench", "--list"], capture_output=True, text=True)
    if result.returncode != 0:
        sys.exit(f"`{plait} bench --list` failed: {result.stderr.strip()}")
    return result.stdout.split()


def measure_all(options, argv):
    if not os.access(options.plait, os.X_OK):
        sys.exit(f"error: there is no {options.plait}. hint: build it, or name it by --plait")
    works = options.works or known_works(options.plait)
    options.json.parent.mkdir(parents=True, exist_ok=True)
    with open(options.json, "w", encoding="utf-8") as file:

        def keep(row):
            print(json.dumps(row, ensure_ascii=False), file=file, flush=True)

        keep({"run": about_run(options, argv)})
        for number, work in enumerate(["limits", *works]):
            row = measure(work, options)
            keep(row)
            note = row.get("error") or bench_report_pages.duration(row.get("median"))
            print(f"[{number}/{len(works)}] {work}: {note}", flush=True)


def read_rows(path):
    """(about the run, limits or None, the works' rows in the order of the file)."""
    run, limits, rows = {}, None, []
    for number, line in enumerate(path.read_text("utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
        except ValueError as error:
            sys.exit(f"error: {path}:{number}: not a line of JSON: {error}")
        if "run" in row:
            run = row["run"]
        elif row.get("work") == "limits":
            limits = row
        else:
            rows.append(row)
    return run, limits, rows


def parse(argv):
    parser = argparse.ArgumentParser(
        prog="tools/bench_report",
        description="Measures works with `plait bench` and writes bench.md and bench.html.",
    )
    add = parser.add_argument
    add("works", nargs="*", metavar="WORK", help="as `plait bench --list` names them; all if none")
    add("--peers", default=",".join(PEERS), help="commas between them; '' for none (%(default)s)")
    add("--python", default=sys.executable, help="the Python that has the peers (%(default)s)")
    add("--seconds", type=float, default=2, help="of each contestant, at least (%(default)s)")
    add("--threads", type=int, default=0, help="0: all the process may use (%(default)s)")
    add("--timeout", type=float, default=1800, help="seconds, of a work (%(default)s)")
    add("--plait", default=str(ROOT / "build" / "bin" / "plait"), help="the tool (%(default)s)")
    add("--json", type=pathlib.Path, default=ROOT / "build" / "bench.jsonl",
        help="where the results are collected (%(default)s)")  # fmt: skip
    add("--out", type=pathlib.Path, default=ROOT / "docs", help="folder of the pages (%(default)s)")
    add("--from", type=pathlib.Path, dest="source", metavar="FILE",
        help="render this file of results; measure nothing")  # fmt: skip
    options = parser.parse_args(argv)
    options.peers = [peer for peer in options.peers.split(",") if peer]
    unknown = sorted(set(options.peers) - set(PEERS))
    if unknown:
        parser.error(f"unknown peer {unknown[0]!r}; there are {', '.join(PEERS)}")
    return options


def main(argv):
    options = parse(argv)
    if options.source is None:
        measure_all(options, argv)
    run, limits, rows = read_rows(options.source or options.json)
    write_atomically(options.out / "bench.md", bench_report_pages.markdown(run, limits, rows))
    write_atomically(options.out / "bench.html", bench_report_pages.html(run, limits, rows))
    print(f"wrote {options.out / 'bench.md'} and {options.out / 'bench.html'}")


if __name__ == "__main__":
    main(sys.argv[1:])
