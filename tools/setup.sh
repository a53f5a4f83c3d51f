#!/usr/bin/env bash
# Installs what this checkout needs and lacks: tools/setup.sh [demo|test]
#   demo   Debian packages and the Python environment build/venv to build, run and use Plait
#   test   (the default) also what the tests need
# Debian packages need root; nothing else does. Does nothing, quickly, when nothing is missing.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

profile="${1:-test}"
# libzstd, zlib, libcurl, libedit, libffi: LLVM's CMake files name their targets.
packages=(ca-certificates g++ cmake ninja-build ccache llvm-19-dev libzstd-dev zlib1g-dev
  libfmt-dev libtbb-dev nlohmann-json3-dev libcli11-dev libxxhash-dev
  python3 python3-venv python3-dev bible-kjv)
requirements=(tools/requirements.txt)
case "$profile" in
  demo) ;;
  test)
    packages+=(catch2 clang-format-19 dataset-fashion-mnist)
    requirements+=(tools/requirements-test.txt)
    ;;
  *) fail "unknown profile '$profile'. usage: tools/setup.sh [demo|test]" ;;
esac

install_packages() {
  local missing=() package
  for package in "${packages[@]}"; do
    [[ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" == installed ]] ||
      missing+=("$package")
  done
  ((${#missing[@]})) || return 0
  ((EUID == 0)) || fail "these Debian packages are missing: ${missing[*]}
hint: run as root: apt-get install ${missing[*]}"
  say "installing Debian packages: ${missing[*]}"
  export DEBIAN_FRONTEND=noninteractive
  local log="$root/build/apt.log"
  mkdir -p "$root/build"
  { apt-get update && apt-get install -y --no-install-recommends "${missing[@]}"; } \
    >"$log" 2>&1 </dev/null || {
    tail -n 30 "$log" >&2
    fail "apt-get could not install: ${missing[*]}"
  }
}

# The first Python ≥ 3.10 that has its headers: Debian's, else one of the PATH.
find_python() {
  local candidate
  for candidate in "${PYTHON:-}" /usr/bin/python3 python3 python3.13 python3.12 python3.11; do
    [[ -n "$candidate" ]] && command -v "$candidate" >/dev/null || continue
    "$candidate" - <<'PY' 2>/dev/null && command -v "$candidate" && return
import os, sys, sysconfig
header = os.path.join(sysconfig.get_path("include"), "Python.h")
sys.exit(sys.version_info < (3, 10) or not os.path.exists(header))
PY
  done
  fail "no Python ≥ 3.10 with its C headers. hint: install python3-dev, or set PYTHON"
}

# The stamp holds all that the environment depends on, also its place (scripts name it). Each
# profile has its own: they share the environment, and test's holds all that demo's needs.
make_venv() {
  local python stamp
  python="$(find_python)"
  stamp="$(echo "$root $("$python" -c 'import sys; print(sys.executable, sys.version)')"
    cat "${requirements[@]}")"
  [[ -f "$venv/.setup-$profile" && "$(<"$venv/.setup-$profile")" == "$stamp" ]] && return
  if [[ -e "$venv" ]] && ! grep -qxF "$root" "$venv/.root" 2>/dev/null; then rm -rf "$venv"; fi
  say "preparing the Python environment build/venv ($("$python" --version))"
  [[ -x "$venv/bin/python" ]] && "$venv/bin/python" -m pip --version >/dev/null 2>&1 ||
    "$python" -m venv --clear "$venv"
  echo "$root" >"$venv/.root"
  local options=() file
  for file in "${requirements[@]}"; do options+=(-r "$file"); done
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check "${options[@]}" ||
    fail "pip could not install the requirements of ${requirements[*]}"
  # The package as the build leaves it; Python files are links to the source, so edits count.
  "$venv/bin/python" - "$root/build/python" <<'PY'
import pathlib, sys, sysconfig
pathlib.Path(sysconfig.get_path("purelib"), "plait.pth").write_text(sys.argv[1] + "\n", "utf-8")
PY
  printf '%s' "$stamp" >"$venv/.setup-$profile"
}

if command -v dpkg-query >/dev/null; then
  install_packages
else
  say "not a Debian system: these packages, under their names here, must be there: ${packages[*]}"
fi
make_venv
