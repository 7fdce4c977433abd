#!/bin/sh
# Unpacks the wgpu-native library and its C headers into build/third_party/wgpu: scripts/fetch_wgpu.sh [DIR]
# They come inside the Python package `wgpu`. Only the WGSL tests and `--target wgsl` need them; the binary opens the
# library at run time and works without it.
set -eu
repo=$(cd "$(dirname "$0")/.." && pwd)
. "$repo/scripts/lib.sh"
dir=${1:-$repo/build/third_party/wgpu}
version=0.32.0
[ "$(cat "$dir/.version" 2>/dev/null)" = "$version" ] && exit 0
mkdir -p "$dir"
rm -rf "$dir/wheel"
pip_download "$dir/wheel" "wgpu==$version"
unzip -q -o -j -d "$dir" "$dir"/wheel/*.whl wgpu/resources/webgpu.h wgpu/resources/wgpu.h wgpu/resources/libwgpu_native-release.so ||
  die "wgpu $version: the wheel does not hold what was expected"
rm -rf "$dir/wheel"
echo "$version" >"$dir/.version"
