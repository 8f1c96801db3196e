// Package kube is the facade's side of Kubernetes: feeds that keep its pictures of resources up to date through watches, and
// the few writes it makes.
package kube
