// Package kube connects the REST API to Kubernetes: feeds keep its views up to date through watches, and clients make its few
// writes.
package kube
