#!/usr/bin/env bash
# Copies what controller-gen writes under config/ (the CRDs and the two processes' RBAC rules) into the chart. The chart's
# templates read these copies, so chart and kustomize cannot differ in them; a test in this folder holds the copies equal.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
files=$root/charts/spider-operator/files

rm -rf "$files/crds" "$files/rbac"
mkdir -p "$files/crds" "$files/rbac"
cp "$root"/config/crd/bases/*.yaml "$files/crds/"
for component in controller apiserver; do
  cp "$root/config/rbac/$component/role.yaml" "$files/rbac/$component.yaml"
done
cp "$root/config/kubernetes-tokens/role.yaml" "$files/rbac/apiserver-tokens.yaml"
