#!/bin/sh
# ./run.sh and ./test.sh in a bare Debian 12: scripts/bare_check.sh DIR [COMMAND…], as root, with debootstrap installed.
# DIR/base.tar keeps the bare root for the next time; DIR/root is made anew from it, gets the committed tree (HEAD) and
# nothing else, and each COMMAND (default: ./run.sh ./test.sh) runs in it and is timed; logs lie in DIR. A command that
# fails ends it. PIP_CERT, where set, names a file of certificates that is copied in (networks with their own authority).
set -eu
repo=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] || { echo "usage: bare_check.sh DIR [COMMAND…]" >&2; exit 2; }
[ "$(id -u)" = 0 ] || { echo "bare_check.sh: chroot needs root" >&2; exit 1; }
mkdir -p "$1"
dir=$(cd "$1" && pwd); shift
[ $# -gt 0 ] || set -- ./run.sh ./test.sh
root=$dir/root

unmount() {
  for m in dev/pts dev proc; do
    if mountpoint -q "$root/$m"; then umount "$root/$m" || umount -l "$root/$m"; fi
  done
}
unmount
rm -rf --one-file-system "$root"
if [ ! -f "$dir/base.tar" ]; then
  debootstrap --variant=minbase bookworm "$root" ${DEBIAN_MIRROR:+"$DEBIAN_MIRROR"}
  tar -C "$root" -cf "$dir/base.tar.part" .
  mv "$dir/base.tar.part" "$dir/base.tar"
else
  mkdir "$root"
  tar -C "$root" -xf "$dir/base.tar"
fi
trap unmount EXIT
trap 'exit 1' INT TERM
mount -t proc proc "$root/proc"
mount --bind /dev "$root/dev"
mount --make-private "$root/dev"
mount -t devpts -o newinstance,ptmxmode=0666 devpts "$root/dev/pts"  # for tests that watch a terminal
cp /etc/resolv.conf "$root/etc/resolv.conf"
mkdir "$root/root/lumen"
git -C "$repo" archive HEAD | tar -C "$root/root/lumen" -xf -
set_cert=
if [ -n "${PIP_CERT:-}" ]; then
  cp "$PIP_CERT" "$root/etc/extra-certificates.crt"
  set_cert=PIP_CERT=/etc/extra-certificates.crt
fi

for command; do
  log=$dir/$(basename "${command%% *}").log
  echo "== $command ($(git -C "$repo" rev-parse --short HEAD)), log in $log"
  begin=$(date +%s)
  status=0
  # shellcheck disable=SC2086
  chroot "$root" /usr/bin/env -i HOME=/root PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin $set_cert \
    sh -c "cd /root/lumen && exec $command" >"$log" 2>&1 </dev/null || status=$?
  tail -n 5 "$log"
  echo "== $command: exit status $status after $(($(date +%s) - begin)) s"
  [ "$status" = 0 ] || exit 1
done
