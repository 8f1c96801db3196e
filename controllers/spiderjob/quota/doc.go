// Package quota keeps few Jobs waiting where a ResourceQuota has no room for their Pods.
//
// The Job controller tries each Job without a Pod again and again, and each refusal is a request of its 20 a second and an
// Event. So while a namespace's Pods are refused, only its oldest SpiderJobs have a Job, which the Job controller keeps trying;
// the others are parked: they have none, and cost nothing but memory until the Gate has them looked at.
//
// line.go holds the rules of one namespace, without a clock, a lock or a goroutine: what it is told decides what it answers.
// lane.go is its order. gate.go serves all namespaces and all workers. message.go reads what kube-apiserver says.
//
// Nothing here is needed for correctness: a Gate that knows nothing lets every Job be made, and learns from the next refusal.
package quota
