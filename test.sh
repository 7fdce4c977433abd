#!/bin/sh
# Everything that shows whether Lumen works: ./test.sh [CTEST ARGUMENTS]
# Installs what building and testing need, builds (Release; assertions stay on in it), fetches the default model and the
# WebGPU library, makes a Python environment in build/venv, and runs ctest, whose summary and exit status are the last.
set -eu
repo=$(cd "$(dirname "$0")" && pwd)
. "$repo/scripts/lib.sh"
cd "$repo"

# shellcheck disable=SC2086
need_packages $build_packages $fetch_packages $test_packages
scripts/fetch_wgpu.sh
if ! cmp -s tests/requirements.txt build/venv/requirements.done; then
  say "making the tests' Python environment, build/venv"
  py=$(python_with ensurepip)
  "$py" -m venv build/venv
  build/venv/bin/python -m pip install -q --disable-pip-version-check -r tests/requirements.txt >&2
  cp tests/requirements.txt build/venv/requirements.done
fi
if [ -z "${LUMEN_TEST_MODELS:-}" ]; then
  LUMEN_TEST_MODELS=$model_store
  scripts/fetch_model.sh smollm2 >/dev/null
fi
export LUMEN_TEST_MODELS

cmake --preset release -DLUMEN_TESTS=ON >&2
cmake --build build -j "$(nproc)" >&2
exec ctest --test-dir build --output-on-failure -j "$(nproc)" "$@"
