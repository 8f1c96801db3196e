// Package chart tests the Helm chart and the kustomize folders, against each other and against what they are made from. It
// holds no code but tests.
package chart
