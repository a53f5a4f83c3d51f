"""Counts the tests of a folder of JUnit files, by kind, and closes with `N passed, N failed`.

usage: summarize_tests.py FOLDER

A kind is a file, named by what it holds. ctest reports one case per executable; the Catch2 cases
within it are counted from its output. Ends with status 1 if a test failed or a file holds none.
"""

import dataclasses
import pathlib
import re
import sys
import xml.etree.ElementTree

CATCH_PASSED = re.compile(r"^All tests passed \(.* in (\d+) test cases?\)$", re.MULTILINE)
CATCH_FAILED = re.compile(
    r"^test cases: *(\d+) \|(?: *(\d+) passed \|)? *(\d+) failed", re.MULTILINE
)
CATCH_SKIPPED = re.compile(r"^\[skipped\] (.*)$", re.MULTILINE)


@dataclasses.dataclass
class Counts:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    seconds: float = 0.0
    reasons: list[str] = dataclasses.field(default_factory=list)

    def add(self, other: "Counts") -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.seconds += other.seconds
        self.reasons += other.reasons


def catch_counts(output: str, ok: bool) -> Counts:
    """Of one Catch2 executable; one without a closing line (it crashed) counts as a failure."""
    skipped = CATCH_SKIPPED.findall(output)
    if match := CATCH_PASSED.search(output):
        return Counts(int(match[1]) - len(skipped), 0 if ok else 1, len(skipped), reasons=skipped)
    if match := CATCH_FAILED.search(output):
        passed = int(match[2] or 0) - len(skipped)
        return Counts(passed, int(match[3]), len(skipped), reasons=skipped)
    return Counts(passed=1) if ok else Counts(failed=1)


def case_counts(case: xml.etree.ElementTree.Element) -> Counts:
    bad = case.find("failure") is not None or case.find("error") is not None
    bad = bad or case.get("status") == "fail"
    skip = case.find("skipped")
    output = case.findtext("system-out") or ""
    if skip is not None:
        counts = Counts(skipped=1, reasons=[f"{case.get('name')}: {skip.get('message')}"])
    else:
        counts = catch_counts(output, not bad)
    counts.seconds = float(case.get("time") or 0)
    return counts


def main(folder: str) -> int:
    files = sorted(pathlib.Path(folder).glob("*.xml"))
    rows: list[tuple[str, Counts]] = []
    for file in files:
        counts = Counts()
        for case in xml.etree.ElementTree.parse(file).iter("testcase"):
            counts.add(case_counts(case))
        rows.append((file.stem, counts))

    width = max([len(name) for name, _ in rows] + [4])
    print(f"{'kind':{width}}  passed  failed  skipped  seconds")
    total = Counts()
    empty = not rows
    for name, counts in rows:
        print(
            f"{name:{width}}  {counts.passed:6}  {counts.failed:6}  {counts.skipped:7}"
            f"  {counts.seconds:7.1f}"
        )
        if counts.passed + counts.failed == 0:
            print(f"error: '{name}' ran no test")
            empty = True
        total.add(counts)
    for reason in total.reasons:
        print(f"skipped: {reason}")
    skipped = f", {total.skipped} skipped" if total.skipped else ""
    print(f"{total.passed} passed, {total.failed} failed{skipped}")
    return 1 if total.failed or empty else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    sys.exit(main(sys.argv[1]))
