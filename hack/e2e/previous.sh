#!/usr/bin/env bash
# Makes what the upgrade test upgrades from: the operator as the commit before this one has it, or the revision that PREVIOUS
# names. Its image is put on the local cluster's node. Prints the folder of its chart, and its image.
set -euo pipefail
cd "$(dirname "$0")/../.."

revision=${PREVIOUS:-HEAD~1}
commit=$(git rev-parse --verify --quiet "$revision^{commit}") || {
  if [[ -n "${PREVIOUS:-}" ]]; then
    echo "There is no commit $PREVIOUS here to upgrade from." >&2
    exit 1
  fi
  echo "THIS CLONE HAS NO HISTORY: what is upgraded from is this very commit. git fetch --unshallow brings the one before." >&2
  commit=$(git rev-parse --verify HEAD)
}
tree=$PWD/.images/previous
if [[ "$(cat "$tree/.commit" 2>/dev/null)" != "$commit" ]]; then
  rm -rf "$tree"
  mkdir -p "$tree"
  git archive "$commit" | tar -x -C "$tree"
  echo "$commit" >"$tree/.commit"
fi
archive=$(go -C hack run ./images --root="$tree" --tag=previous build spider-operator)
go -C hack run ./cluster load "$archive"
echo "$tree/charts/spider-operator"
echo spider-operator:previous
