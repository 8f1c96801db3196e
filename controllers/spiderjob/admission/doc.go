// Package admission decides which SpiderJobs of a namespace may have a Job, where a SpiderQuota or Spiders limit how many run at
// once. Who has to wait has no Job and no Pod, and costs nothing but memory.
//
// Package order of internal/ has the limits and the order, without a clock or a lock. gate.go serves all namespaces and all
// workers; limits.go follows SpiderQuotas and Spiders; lead.go keeps a new leader from admitting before it knows what its
// predecessor has admitted.
//
// A SpiderJob takes its places from its admission until it has ended, has no Job any more and pauses, or is gone. So it does
// while a queue holds its Job, and while it is being stopped.
package admission
