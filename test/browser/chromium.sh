#!/usr/bin/env bash
# Makes sure that there is a Chromium, and prints its path: the one that CHROMIUM names, else one in PATH, else Debian's, which is
# installed where that can be done.
set -euo pipefail

find_chromium() {
  for name in ${CHROMIUM:-chromium chromium-browser google-chrome}; do
    command -v "$name" && return
  done
  return 1
}

find_chromium && exit
if [[ -n "${CHROMIUM:-}" ]]; then
  echo "CHROMIUM names $CHROMIUM, which is no program." >&2
  exit 1
fi
if ! command -v apt-get >/dev/null || [[ $EUID -ne 0 ]]; then
  echo "Chromium is needed to test the documentation's page. Install it, name it in CHROMIUM, or let root run this on Debian." >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
echo "Installing Chromium." >&2
install=(apt-get install -q --yes --no-install-recommends chromium)
"${install[@]}" >&2 || { apt-get update -q >&2 && "${install[@]}" >&2; }
find_chromium
