#!/usr/bin/env bash
# Runs the end-to-end tests on the local cluster, and prints their events as `go test -json` does. All else it says goes to
# standard error.
#
#   hack/e2e/run.sh [argument of go test...]
#
# A cluster that runs is used, and left running with the operator of this tree installed; one that is started here is
# stopped at the end.
set -euo pipefail
cd "$(dirname "$0")/../.."

root=$PWD
namespace=spider-operator-system
helm=${HELM:-$root/bin/helm}

say() { echo "e2e: $*" >&2; }

cluster() { go -C hack/cluster run . "$@"; }

kubectl() { "$root/.cluster/bin/kubectl" "$@"; }

# Whether the cluster was there before decides what is left behind.
if ! cluster env >/dev/null 2>&1; then
  say "starting the local cluster, and stopping it at the end"
  trap 'cluster down >&2' EXIT
fi
cluster up >&2
eval "$(cluster env)"

archives=$(go -C hack/images run . build)
# shellcheck disable=SC2086 # One path each.
cluster load $archives >&2
# A Deployment does not see that there is another image by the same name; it does see another annotation.
digest=$(for archive in $archives; do sha256sum "$archive"; done | sha256sum | cut -c1-16)

say "installing the operator, and the demo's site and spiders"
kubectl apply --server-side --force-conflicts -f hack/demo/manifests/namespaces.yaml >&2
"$helm" upgrade --install spider-operator charts/spider-operator --namespace "$namespace" --values hack/e2e/values.yaml \
  --take-ownership --force-conflicts \
  --set-string "controller.podAnnotations.scrapethis\.app/image-digest=$digest" \
  --set-string "apiserver.podAnnotations.scrapethis\.app/image-digest=$digest" --wait --timeout 3m >&2
kubectl apply --server-side --force-conflicts -f hack/demo/manifests/site.yaml -f hack/demo/manifests/spiders.yaml >&2
kubectl --namespace demo rollout status deployment/site --timeout=2m >&2

CGO_ENABLED=0 go build -trimpath -o bin/spider-operator ./cmd/spider-operator
SPIDER_API_URL=http://$(kubectl --namespace "$namespace" get service spider-operator-apiserver --output 'jsonpath={.spec.clusterIP}')
export SPIDER_API_URL SPIDER_OPERATOR=$root/bin/spider-operator KUBECTL=$root/.cluster/bin/kubectl

# One package after the other: one of them takes the cluster's components down under its jobs.
go test -json -count=1 -p=1 -timeout=30m "$@" ./test/e2e/...
