#!/usr/bin/env bash
# Writes config/ from the chart: what it installs with its default values, and with the optional parts that config/ has as
# components. The kustomizations beside the rendered files are written by hand.
#
#   HELM=bin/helm hack/render-config.sh
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
chart=$root/charts/spider-operator

# render FILE KINDS [argument of helm template...] writes the rendered objects of some kinds, a regular expression. It leaves out the labels
# that only Helm needs, and the namespace of what is for any tenant.
render() {
  local file=$root/config/$1 kinds=$2
  shift 2
  mkdir -p "${file%/*}"
  {
    echo '# Rendered from charts/spider-operator by hack/render-config.sh. Change the chart, and run make manifests.'
    "$HELM" template spider-operator "$chart" --namespace spider-operator-system --skip-tests "$@" |
      awk -v RS='(^|\n)---\n' -v kinds="\nkind: ($kinds)\n" '$0 ~ kinds { print "---"; print }' |
      sed -E -e '/^# Source: /d' -e '/^ +(helm\.sh\/chart|app\.kubernetes\.io\/(managed-by|version)):/d' -e '/^  namespace: tenant$/d' -e '/^$/d'
  } >"$file"
}

render default/spider-operator.yaml '[A-Za-z]+' --set crds.enabled=false
render monitoring/spider-operator.yaml 'ServiceMonitor|PrometheusRule' \
  --set metrics.serviceMonitor.enabled=true,metrics.prometheusRule.enabled=true
render monitoring/dashboard.yaml ConfigMap --set metrics.dashboard.enabled=true --show-only templates/monitoring/dashboard.yaml
render kubernetes-tokens/spider-operator.yaml 'ClusterRole|ClusterRoleBinding' --set apiserver.kubernetesTokens.enabled=true \
  --show-only templates/apiserver/kubernetestokens.yaml
# The cluster's own addresses are taken for private ones. No IPv6 address is let through: a cluster that has them adds another ipBlock.
render spider-network-policy/network_policy.yaml NetworkPolicy --show-only templates/spiders/networkpolicy.yaml \
  --set spiderNetworkPolicy.enabled=true,spiderNetworkPolicy.namespaces={tenant} \
  --set 'spiderNetworkPolicy.clusterCIDRs={10.0.0.0/8,172.16.0.0/12,192.168.0.0/16,100.64.0.0/10}'
