#!/usr/bin/env bash
# Records the corpus: real runs of the Scrapy of several of Debian's releases, each in a root file system that mmdebstrap makes.
#
#   test/spiders/corpus/make.sh [RELEASE... [-- NAME...]]
#
# Releases are bookworm (Scrapy 2.8), trixie (2.12) and sid (2.19 when this was written); none means all. Names are those of
# cases.py. Root file systems are kept in $XDG_CACHE_HOME/spider-operator/corpus: remove that folder to have them made afresh.
# Needs root, mmdebstrap and Debian's archive, and takes some four minutes a release besides. Neither CI nor any test runs it.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
roots=${XDG_CACHE_HOME:-$HOME/.cache}/spider-operator/corpus
logs=$here/../../../controllers/spiderjob/stats/testdata/corpus
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}
packages=python3-scrapy,python3-structlog,python3-colorlog,python3-loguru,python3-rich,python3-pythonjsonlogger

releases=()
while [[ $# -gt 0 && $1 != -- ]]; do
  releases+=("$1")
  shift
done
[[ $# -eq 0 ]] || shift
[[ ${#releases[@]} -gt 0 ]] || releases=(bookworm trixie sid)

mkdir -p "$roots" "$logs"
for release in "${releases[@]}"; do
  root=$roots/$release
  if [[ ! -e $root/made ]]; then
    rm -rf "$root"
    # A mirror's copy of sid may be older than the week for which its signature is valid.
    mmdebstrap --mode=root --variant=essential --include="$packages" --aptopt='Acquire::Check-Valid-Until "false"' \
      --dpkgopt=force-unsafe-io --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr "$release" "$root" "deb $mirror $release main"
    touch "$root/made"
  fi
  # The mounts and the network (of a loopback only) are gone with the process.
  unshare --mount --net --pid --fork bash -euc '
    ip link set lo up
    mkdir -p "$1/app" "$1/logs"
    mount --bind "$2" "$1/app"
    mount --bind "$3" "$1/logs"
    mount -t proc proc "$1/proc"
    exec chroot "$1" env -i PATH=/usr/bin:/bin PYTHONDONTWRITEBYTECODE=1 python3 /app/record.py /logs "${@:4}"
  ' recorder "$root" "$here" "$logs" "$@"
done
