// Package crash tests what happens to spider jobs when what they depend on dies: the controller, and the components of
// Kubernetes itself. It kills processes of this machine, so it needs the local cluster for itself, and root: packages of
// end-to-end tests run one after the other, this one last.
package crash
