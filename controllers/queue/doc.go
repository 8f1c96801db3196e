// Package queue decides which SpiderJob is looked at next.
//
// controller-runtime's own queue knows priorities and nothing else: a namespace whose Jobs hang behind a webhook takes every
// worker, and all others wait with it. This one also knows whose work an item is, and bounds what one namespace, and what the
// creations of all of them, may hold. Core (core.go) decides, and is a plain value without goroutines or a clock; class.go says
// what goes first, limits.go who may hold how many workers, backoff.go how long a failure waits. Queue (queue.go) is Core for
// controller-runtime's workers, who wait and come at any time, and metrics.go what Prometheus is told of it.
package queue
