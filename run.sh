#!/bin/sh
# From nothing to an answer: ./run.sh [QUESTION]
# Installs what the build needs (Debian or Ubuntu; as root or through sudo), builds build/lumen, fetches the default
# model, verifies it, and asks. What has been done once is not done again.
set -eu
repo=$(cd "$(dirname "$0")" && pwd)
. "$repo/scripts/lib.sh"
cd "$repo"
question=${1:-What is the capital of France?}

# shellcheck disable=SC2086
need_packages $build_packages $fetch_packages
if [ ! -f build/build.ninja ]; then
  cmake --preset release -DLUMEN_TESTS=OFF >&2
fi
cmake --build build --target lumen -j "$(nproc)" >&2
scripts/fetch_model.sh smollm2 >/dev/null
# Greedy and exact: a 135M model's first token is often a near tie, which the noise of 8-bit activations may turn.
exec build/lumen run smollm2 --temp 0 --exact "$question"
