# Shared by setup.sh, test.sh and demo.sh; sourced, not run. Leaves the shell in the root folder.
set -euo pipefail

root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
cd "$root"
venv="$root/build/venv"
SECONDS=0

# One line per step, with the seconds since the start.
say() { printf '[%5d s] %s\n' "$SECONDS" "$*"; }
fail() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Objects are found again from any checkout, and without a home folder.
export CCACHE_BASEDIR="$root" CCACHE_NOHASHDIR=1
if [[ -z "${CCACHE_DIR:-}" && ! -w "${HOME:-/nonexistent}" ]]; then
  export CCACHE_DIR="$root/build/ccache"
fi

# configure PRESET FOLDER: runs cmake; starts afresh if the folder was made for another place.
configure() {
  local fresh=()
  if [[ -f "$2/CMakeCache.txt" ]] &&
    ! grep -qxF "CMAKE_HOME_DIRECTORY:INTERNAL=$root" "$2/CMakeCache.txt"; then
    fresh=(--fresh)
  fi
  mkdir -p "$2"
  cmake --preset "$1" "${fresh[@]}" >"$2/configure.log" 2>&1 || {
    cat "$2/configure.log" >&2
    fail "cmake --preset $1 failed"
  }
}

# build FOLDER [TARGET…]: prints what fails, and otherwise the last line only.
build() {
  local folder="$1"
  shift
  cmake --build "$folder" ${1:+--target "$@"} >"$folder/build.log" 2>&1 || {
    grep -v '^\[[0-9]*/[0-9]*\] ' "$folder/build.log" | tail -n 200 >&2
    fail "the build in $folder failed"
  }
  tail -n 1 "$folder/build.log"
}
