// Package crash tests what becomes of spider jobs when what they rest on dies: the controller, and the components of Kubernetes
// itself. It kills processes of this machine, so it needs the local cluster, and root, and the cluster for itself: packages
// of end-to-end tests run one after the other, this one last.
package crash
