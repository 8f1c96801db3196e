// Package simulated is a Kubernetes cluster in memory, for tests: kube-apiserver with what its rules do to SpiderJobs, Jobs and
// Pods, the Job controller, the garbage collectors, the scheduler, nodes with their kubelets, and the processes that really run.
//
// Nothing in it happens by itself, and nothing in it is random: each component takes one step when it is called, and asks its
// caller where there is a choice. Time is the time of the synctest bubble it lives in. What processes do is kept apart from what
// the objects say about them, so that a test can hold one against the other.
//
// The components follow the source of Kubernetes 1.37: registry/rest/delete.go and registry/core/pod/strategy.go for deletions,
// controller/job for Jobs, kubelet/kubelet_pods.go and kubelet/status for what a kubelet reports, controller/podgc and
// controller/garbagecollector for what is removed.
package simulated
