#!/usr/bin/env bash
# Runs suites of tests, one after the other, and prints the events of all of them as `go test -json` does, so that gotestsum
# can sum them up. A suite that fails does not keep the next from running.
#
#   hack/test.sh unit|integration|browser|clients|e2e|crash...
#
# RACE=on runs the unit tests, and those under load, with the race detector, which needs a C compiler.
set -euo pipefail
cd "$(dirname "$0")/.."
race=$([[ "${RACE:-off}" != on ]] || echo on)

# unit runs what needs nothing but Go, and Helm and promtool for the chart: the product, hack/ and test/manifests.
unit() {
  local flags=(-json -shuffle=on -timeout=15m ${race:+-race}) failed=0
  go test "${flags[@]}" ./... || failed=1
  go -C hack test "${flags[@]}" ./... || failed=1
  go -C test test "${flags[@]}" ./manifests ./spiders/... || failed=1
  return $failed
}

# integration runs what needs a real control plane, and the REST API's tests under load. Each package starts a control plane of its own,
# so they take turns. client-go watches that nobody changes an object in a cache, which all of its readers share.
integration() {
  local failed=0
  go test -json -count=1 -timeout=10m -tags=load ${race:+-race} -run='UnderLoad$' ./apiserver || failed=1
  KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-$(go -C hack run ./cluster assets)}
  export KUBEBUILDER_ASSETS
  KUBE_CACHE_MUTATION_DETECTOR=true go -C test test -json -count=1 -p=1 -timeout=20m ./integration/... || failed=1
  return $failed
}

# browser runs what needs a browser, and a real control plane to show something of.
browser() {
  CHROMIUM=$(test/browser/chromium.sh) || return
  KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-$(go -C hack run ./cluster assets)}
  export CHROMIUM KUBEBUILDER_ASSETS
  go -C test test -json -count=1 -timeout=10m ./browser
}

# clients runs what needs generators of clients, and a real control plane behind the server that they call.
clients() {
  KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-$(go -C hack run ./cluster assets)}
  export KUBEBUILDER_ASSETS
  go -C test test -json -count=1 -timeout=10m ./clients
}

# e2e runs what needs a real kubelet, against the system that `make demo` has left running.
e2e() {
  hack/e2e/run.sh
}

# crash kills the components of the local cluster and the operator under running jobs, so nothing else may run beside it.
crash() {
  hack/e2e/run.sh ./crash/...
}

failed=0
for suite in "$@"; do
  "$suite" || failed=1
done
exit $failed
