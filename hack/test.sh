#!/usr/bin/env bash
# Runs suites of tests, one after the other, and prints the events of all of them as `go test -json` does, so that gotestsum
# can sum them up. A suite that fails does not keep the next from running.
#
#   hack/test.sh unit|integration|browser|clients|e2e|crash...
#
# RACE=on runs the unit tests with the race detector, which needs a C compiler.
set -euo pipefail
cd "$(dirname "$0")/.."

# unit runs what needs nothing but Go, and promtool for the alerts: everything outside test/, in each module.
unit() {
  local flags=(-json -shuffle=on -timeout=15m) failed=0 module packages
  if [[ "${RACE:-off}" == on ]]; then
    flags+=(-race)
  fi
  packages=$(go list ./... | grep -v /test/)
  # shellcheck disable=SC2086 # One word each.
  go test "${flags[@]}" $packages || failed=1
  for module in hack/*/go.mod; do
    case $module in
      # They are main functions for Kubernetes and CoreDNS, with no tests, and all of either would be compiled to find that out.
      hack/kubernetes/* | hack/coredns/*) continue ;;
    esac
    go -C "$(dirname "$module")" test "${flags[@]}" ./... || failed=1
  done
  return $failed
}

# integration runs what needs a real control plane. Each package starts its own, so they take turns. client-go watches that
# nobody changes an object in a cache, which all of its readers share.
integration() {
  KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-$(go -C hack/cluster run . assets)}
  export KUBEBUILDER_ASSETS
  KUBE_CACHE_MUTATION_DETECTOR=true go test -json -count=1 -p=1 -timeout=20m ./test/integration/...
}

# browser runs what needs a browser, and a real control plane to show something of.
browser() {
  CHROMIUM=$(test/browser/chromium.sh) || return
  KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-$(go -C hack/cluster run . assets)}
  export CHROMIUM KUBEBUILDER_ASSETS
  go -C test/browser test -json -count=1 -timeout=10m ./...
}

# clients runs what needs generators of clients, and a real control plane behind the server that they call.
clients() {
  KUBEBUILDER_ASSETS=${KUBEBUILDER_ASSETS:-$(go -C hack/cluster run . assets)}
  export KUBEBUILDER_ASSETS
  go -C test/clients test -json -count=1 -timeout=10m ./...
}

# e2e runs what needs a real kubelet, against the system that `make demo` has left running.
e2e() {
  hack/e2e/run.sh
}

# crash kills the components of the local cluster and the operator under running jobs, so nothing else may run beside it.
crash() {
  hack/e2e/run.sh ./test/crash/...
}

failed=0
for suite in "$@"; do
  "$suite" || failed=1
done
exit $failed
