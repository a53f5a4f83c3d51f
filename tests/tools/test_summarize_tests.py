"""The counts of tools/summarize_tests.py, on results as ctest and pytest write them."""

import pathlib
import subprocess
import sys

SCRIPT = pathlib.Path(__file__).parents[2] / "tools" / "summarize_tests.py"


def summarize(tmp_path, **files):
    for name, cases in files.items():
        (tmp_path / f"{name}.xml").write_text(f"<testsuite>{cases}</testsuite>", "utf-8")
    return subprocess.run([sys.executable, SCRIPT, tmp_path], capture_output=True, text=True)


def ctest(output, status="run"):
    output = f"<system-out>{output}</system-out>"
    return f'<testcase name="t" time="1.5" status="{status}">{output}</testcase>'


def last_line(result):
    return result.stdout.splitlines()[-1]


def test_catch_cases_are_counted_one_by_one(tmp_path):
    result = summarize(
        tmp_path,
        a=ctest("All tests passed (30 assertions in 12 test cases)\n"),
        b=ctest("x\nAll tests passed (1 assertion in 1 test case)\n"),
    )
    assert result.returncode == 0
    assert last_line(result) == "13 passed, 0 failed"


def test_catch_failures(tmp_path):
    failed = "test cases: 9 | 7 passed | 2 failed\nassertions: 9 | 7 passed | 2 failed\n"
    result = summarize(tmp_path, a=ctest(failed, "fail"))
    assert (result.returncode, last_line(result)) == (1, "7 passed, 2 failed")
    all_failed = "test cases: 2 | 2 failed\nassertions: 2 | 2 failed\n"
    result = summarize(tmp_path, a=ctest(all_failed, "fail"))
    assert (result.returncode, last_line(result)) == (1, "0 passed, 2 failed")


def test_a_crash_is_a_failure(tmp_path):
    result = summarize(tmp_path, a=ctest("Segmentation fault\n", "fail"))
    assert (result.returncode, last_line(result)) == (1, "0 passed, 1 failed")


def test_a_bad_status_after_passing_cases_is_a_failure(tmp_path):
    leak = "All tests passed (3 assertions in 3 test cases)\nERROR: LeakSanitizer\n"
    result = summarize(tmp_path, a=ctest(leak, "fail"))
    assert (result.returncode, last_line(result)) == (1, "3 passed, 1 failed")


def test_skipped_cases_show_their_reason(tmp_path):
    catch = "[skipped] needs root\nAll tests passed (3 assertions in 3 test cases)\n"
    pytest_case = '<testcase name="p" time="0.1"><skipped message="no torch"/></testcase>'
    result = summarize(tmp_path, a=ctest(catch), b=pytest_case + '<testcase name="q" time="0"/>')
    assert "skipped: needs root" in result.stdout
    assert "skipped: p: no torch" in result.stdout
    assert (result.returncode, last_line(result)) == (0, "3 passed, 0 failed, 2 skipped")


def test_pytest_failures_and_errors(tmp_path):
    cases = (
        '<testcase name="a" time="0"/>'
        '<testcase name="b" time="0"><failure message="x"/></testcase>'
        '<testcase name="c" time="0"><error message="x"/></testcase>'
    )
    result = summarize(tmp_path, a=cases)
    assert (result.returncode, last_line(result)) == (1, "1 passed, 2 failed")


def test_no_tests_is_a_failure(tmp_path):
    result = summarize(tmp_path, a="")
    assert result.returncode == 1
    assert "'a' ran no test" in result.stdout
    empty = tmp_path / "empty"
    empty.mkdir()
    assert summarize(empty).returncode == 1
