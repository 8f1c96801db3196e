// Package podlog opens the log of a Pod's container, follows it over the ends of its streams, and goes on at a position in it.
//
// A kubelet's answer looks whole whatever has become of it: it ends in the same way where the process has ended, where the log
// was rotated and where a kube-apiserver went away, and where the log cannot be read it is a line that says so, with status
// 200. What tells these apart stands here, for the controller and the REST API.
package podlog
