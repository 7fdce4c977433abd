# shellcheck shell=sh disable=SC2034
# Shell functions that run.sh, test.sh and the scripts here share. Sourced by POSIX sh.
# Everything a person reads goes to stderr: stdout is for answers and paths.

build_packages="g++ cmake ninja-build ccache libasmjit-dev libboost1.81-dev libcurl4-openssl-dev libssl-dev libutf8proc-dev libpcre2-dev
  libedit-dev libxxhash-dev libcli11-dev libfmt-dev libspdlog-dev"
fetch_packages="python3 python3-pip unzip ca-certificates"
test_packages="libgtest-dev libbenchmark-dev python3-venv mesa-vulkan-drivers libvulkan1"

if [ -z "${HOME:-}" ]; then
  HOME=$(getent passwd "$(id -u)" | cut -d: -f6)
  export HOME
fi
model_store=${XDG_DATA_HOME:-$HOME/.local/share}/lumen/models  # where the binary looks up a model's name

say() { printf '%s\n' "$*" >&2; }
die() { say "$(basename "$0"): $*"; exit 1; }

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# need_packages NAME…: installs those that are missing; on a system without apt, leaves it to the build to complain.
need_packages() {
  command -v dpkg >/dev/null 2>&1 || { say "no dpkg here: install by hand what this build needs: $*"; return 0; }
  missing=
  for p; do
    dpkg -s "$p" 2>/dev/null | grep -q '^Status: install ok installed' || missing="$missing $p"
  done
  [ -n "$missing" ] || return 0
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null 2>&1; then
    die "as root, run: apt-get install$missing"
  fi
  say "installing:$missing"
  as_root env DEBIAN_FRONTEND=noninteractive apt-get update -q >&2 || die "apt-get update failed"
  # shellcheck disable=SC2086
  as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q --no-install-recommends $missing >&2 ||
    die "apt-get install failed for:$missing"
}

# python_with MODULE: the name of a python that has it (Debian's own where another stands first in PATH and lacks it)
python_with() {
  for py in python3 /usr/bin/python3; do
    if command -v "$py" >/dev/null 2>&1 && "$py" -c "import $1" 2>/dev/null; then echo "$py"; return 0; fi
  done
  die "no python3 with the module '$1'; on Debian: apt-get install $fetch_packages python3-venv"
}

# pip_download DIR NAME==VERSION: one wheel into DIR; a progress bar when a person watches
pip_download() {
  quiet=-q
  if [ -t 2 ]; then quiet=; fi
  py=$(python_with pip) || exit 1
  # shellcheck disable=SC2086
  "$py" -m pip download $quiet --disable-pip-version-check --no-cache-dir --no-deps --only-binary :all: -d "$1" "$2" >&2 ||
    die "could not download the Python package $2"
}

sha256_of() { sha256sum "$1" | cut -d' ' -f1; }
