// Package podlog opens the log of a Pod's container, follows it across the ends of its streams, and resumes at a position in
// it.
//
// A kubelet's answer always looks complete: it ends in the same way if the process has ended, if the log was rotated and if a
// kube-apiserver stopped, and if the log cannot be read it is a line that says so, with status 200. This package distinguishes
// them, for the controller and the REST API.
package podlog
