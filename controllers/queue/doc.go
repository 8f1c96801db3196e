// Package queue decides which SpiderJob is reconciled next.
//
// controller-runtime's own queue knows only priorities: a namespace whose Jobs hang behind a webhook takes every worker, and
// all others wait with it. This queue also knows the namespace of an item, and bounds what one namespace, and what the
// creations of all of them, may hold. Core (core.go) decides, and is a plain value without goroutines or a clock; class.go says
// which work goes first, limits.go how many workers each may hold, backoff.go how long a failure waits. Queue (queue.go) is
// Core for controller-runtime's workers, which wait and come at any time; metrics.go has its metrics.
package queue
