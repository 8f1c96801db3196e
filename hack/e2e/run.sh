#!/usr/bin/env bash
# Runs the end-to-end tests, and then what the documentation says, against the system that `make demo` has left running, and
# prints their events as `go test -json` does. All else goes to standard error.
#
#   hack/e2e/run.sh [package [argument of go test...]]
set -euo pipefail
cd "$(dirname "$0")/../.."

access=$(go -C hack run ./demo env)
eval "$access"
export HELM=${HELM:-$PWD/bin/helm} KUBECTL=${KUBECTL:-$PWD/bin/kubectl} SPIDER_OPERATOR=${SPIDER_OPERATOR:-$PWD/bin/spider-operator}
"$HELM" upgrade spider-operator charts/spider-operator --namespace spider-operator-system --reuse-values \
  --values hack/e2e/values.yaml --force-conflicts --wait --timeout 3m >/dev/null
# Images in which projects are as people make them. The one with a browser takes two minutes and a gigabyte: BROWSER=on asks for
# it. The crash tests need none of them.
if [[ "${1:-./e2e/...}" == ./e2e* ]]; then
  images=(spider-test-root spider-test-starts)
  [[ "${BROWSER:-off}" != on ]] || images+=(spider-test-browser)
  archives=$(go -C hack run ./images build "${images[@]}")
  # shellcheck disable=SC2086 # One word each.
  go -C hack run ./cluster load $archives >/dev/null
fi
# The tests mostly wait: for Kubernetes, and for spiders.
packages=("${1:-./e2e/...}")
[[ $# -gt 0 ]] || packages+=(./docs)
go -C test test -json -count=1 -p=1 -parallel=10 -timeout=40m "${packages[@]}" "${@:2}"
