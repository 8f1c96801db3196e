// Package quota limits the Jobs that wait while a ResourceQuota has no room for their Pods.
//
// The Job controller keeps trying each Job without a Pod, and each refusal is one of its 20 requests a second and an Event. So
// while a namespace's Pods are refused, only its oldest SpiderJobs have a Job, which the Job controller keeps trying; the
// others are parked: they have none, and cost nothing but memory until the Gate enqueues them.
//
// line.go has the rules of one namespace, without a clock, a lock or a goroutine: its input decides its answers. lane.go is its
// order. gate.go serves all namespaces and all workers. message.go parses kube-apiserver's messages.
//
// Correctness does not depend on this package: a Gate that knows nothing allows every Job, and learns from the next refusal.
package quota
