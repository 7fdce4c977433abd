#!/bin/sh
# Runs the fuzz programs of a build directory, each for some seconds: fuzz/run.sh BUILD SECONDS [NAME…]   (fuzz/NAME_fuzz.cpp)
# Corpora grow in BUILD/corpus/NAME and are used again by the next run. What fails is kept in BUILD/findings and makes the exit
# status 1; BUILD/fuzz_NAME FILE shows it again.
set -u
cd "$(dirname "$0")/.." || exit 2
[ $# -ge 2 ] || { echo "usage: fuzz/run.sh BUILD SECONDS [NAME…]" >&2; exit 2; }
build=$1 seconds=$2
shift 2
# shellcheck disable=SC2046
[ $# -gt 0 ] || set -- $(find fuzz -name '*_fuzz.cpp' | sed 's|.*/||; s|_fuzz.cpp||' | sort)

# Every example of the documentation as a file of its own: fences marked `lum`.
examples() {
  for doc in docs/*.md; do
    awk -v out="$1/$(basename "$doc" .md)" '/^```lum/ {n++; inside=1; next} /^```/ {inside=0} inside {print > (out "-" n ".lum")}' "$doc"
  done
}

seeds() {
  case $1 in
    gguf) cp tests/golden/*.gguf "$2" ;;
    lum)
      examples "$2"
      for file in lum/*/*.lum tests/filetests/*/*.lum; do
        cp "$file" "$2/$(echo "$file" | tr / -)"
      done ;;
    jinja) cp tests/golden/chat/*.jinja "$2" ;;
    tokenizer) cp tests/golden/tokenizer/hf/*.json "$2" ;;
    hub) cp tests/golden/hub/*.json "$2" ;;
  esac
}

mkdir -p "$build/findings"
status=0
for name; do
  mkdir -p "$build/corpus/$name"
  rm -rf "$build/seeds/$name"
  mkdir -p "$build/seeds/$name"
  seeds "$name" "$build/seeds/$name"
  count() { find "$1" -type f | wc -l; }
  echo "fuzz_$name: $seconds s, $(count "$build/seeds/$name") seeds, $(count "$build/corpus/$name") inputs found earlier"
  words=-use_value_profile=0  # the default: says nothing
  [ ! -f "fuzz/$name.dict" ] || words=-dict=fuzz/$name.dict
  if "$build/fuzz_$name" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2560 "$words" -print_final_stats=1 \
    -artifact_prefix="$build/findings/$name-" "$build/corpus/$name" "$build/seeds/$name" >"$build/fuzz_$name.log" 2>&1; then
    echo "fuzz_$name: nothing found; $(grep number_of_executed "$build/fuzz_$name.log")"
  else
    echo "fuzz_$name: FAILED, $build/fuzz_$name.log:"
    grep -E -m 5 'ERROR|runtime error|internal error|Test unit written|SUMMARY' "$build/fuzz_$name.log"
    status=1
  fi
done
exit $status
