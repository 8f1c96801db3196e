#!/usr/bin/env bash
# Keeps what chart and kustomize have in common in one place: copies what controller-gen writes under config/ (the CRDs and the
# two processes' RBAC rules) and the dashboard into the chart, and writes the alerts of the chart, with its default thresholds, as
# the PrometheusRule of config/monitoring. A test in test/manifests holds the two equal.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
chart=$root/charts/spider-operator
files=$chart/files

rm -rf "$files/crds" "$files/rbac"
mkdir -p "$files/crds" "$files/rbac"
cp "$root"/config/crd/bases/*.yaml "$files/crds/"
for component in controller apiserver; do
  cp "$root/config/rbac/$component/role.yaml" "$files/rbac/$component.yaml"
done
cp "$root/config/kubernetes-tokens/role.yaml" "$files/rbac/apiserver-tokens.yaml"
cp "$root/config/monitoring/dashboard.json" "$files/dashboard.json"

# The entries of metrics.prometheusRule.thresholds, as "name value".
thresholds=$(awk '
  /^    thresholds:$/ { inside = 1; next }
  inside && !/^      / { exit }
  inside && $1 != "#" { sub(":", "", $1); print $1, $2 }
' "$chart/values.yaml")

rules=$(sed -e '/^#/d' -e 's/^./  &/' "$files/alerts.yaml")
while read -r name value; do
  rules=${rules//"\${$name}"/$value}
done <<<"$thresholds"

cat >"$root/config/monitoring/prometheus_rule.yaml" <<YAML
# Written by hack/sync-chart.sh from charts/spider-operator/files/alerts.yaml. To change a threshold, patch this in an overlay.
apiVersion: monitoring.coreos.com/v1
kind: PrometheusRule
metadata:
  name: spider-operator
  namespace: spider-operator-system
  labels:
    app.kubernetes.io/name: spider-operator
    app.kubernetes.io/instance: spider-operator
    app.kubernetes.io/part-of: spider-operator
spec:
$rules
YAML
