#!/usr/bin/env bash
# Sets up, builds and runs all tests: tools/test.sh
# In order: source rules, C++ tests (release), Python tests, C++ tests under sanitizers.
# Failing tests do not keep the later steps from running; a failing build does.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

results="$root/build/test-results"

"$root/tools/setup.sh" test
rm -rf "$results"
mkdir -p "$results"
status=0

# run_ctest NAME FOLDER [LABEL]
run_ctest() {
  ctest --test-dir "$2" ${3:+-L "^$3\$"} -j 2 --output-on-failure --no-tests=error \
    --test-output-size-passed 4000000 --test-output-size-failed 4000000 \
    --output-junit "$results/$1.xml" >"$results/$1.log" 2>&1 || {
    status=1
    cat "$results/$1.log"
  }
}

say "checking the source tree (tools/check_tree.py)"
"$venv/bin/python" tools/check_tree.py --junit "$results/source rules.xml" || status=1

say "configuring and building (cmake --preset release)"
configure release build
build build

say "running the C++ tests"
run_ctest "C++" build

say "running the Python tests"
"$venv/bin/python" -m pytest -q -rs --junitxml="$results/Python.xml" tests || status=1

say "building the sanitizer part (cmake --preset sanitize: address, undefined)"
configure sanitize build-sanitize
build build-sanitize sanitize_tests
say "running it"
run_ctest "C++, address and undefined sanitizers" build-sanitize sanitize

say "building the thread part (cmake --preset tsan)"
configure tsan build-tsan
build build-tsan tsan_tests
say "running it"
run_ctest "C++, thread sanitizer" build-tsan tsan

say "done; results are in build/test-results"
"$venv/bin/python" tools/summarize_tests.py "$results" || status=1
exit "$status"
