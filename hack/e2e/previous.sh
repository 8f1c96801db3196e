#!/usr/bin/env bash
# Makes what the upgrade test upgrades from: the operator as the commit before this one has it, or the revision that PREVIOUS
# names. Its image is put on the local cluster's node. Prints the folder of its chart, and its image.
set -euo pipefail
cd "$(dirname "$0")/../.."

revision=${PREVIOUS:-HEAD~1}
commit=$(git rev-parse --verify --quiet "$revision^{commit}") || {
  echo "There is no commit $revision here to upgrade from. A clone without history lacks it: git fetch --unshallow brings it," \
    "PREVIOUS=REVISION names another, and PREVIOUS=HEAD upgrades from this very commit." >&2
  exit 1
}
tree=$PWD/.images/previous
if [[ "$(cat "$tree/.commit" 2>/dev/null)" != "$commit" ]]; then
  rm -rf "$tree"
  mkdir -p "$tree"
  git archive "$commit" | tar -x -C "$tree"
  echo "$commit" >"$tree/.commit"
fi
archive=$(go -C hack/images run . --root="$tree" --tag=previous build spider-operator)
go -C hack/cluster run . load "$archive"
echo "$tree/charts/spider-operator"
echo spider-operator:previous
