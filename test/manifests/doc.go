// Package manifests tests the Helm chart and config/: against each other, against what they are made from, and against the
// schemas of every version of Kubernetes that they are for. It has no code but tests. See README.md.
package manifests
