// Package e2e tests the operator from the outside, as its users do: installed by its chart, on a real kubelet, with real
// spiders, through kubectl and the REST API. `make test-e2e` runs it.
package e2e
