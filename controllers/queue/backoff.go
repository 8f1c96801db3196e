package queue

import "time"

const (
	// firstBackOff is how long an item waits after its first failure. Each further failure doubles it.
	firstBackOff = 5 * time.Millisecond
	// longestBackOff bounds how long an item waits, so that it is retried within a minute of the repair.
	longestBackOff = time.Minute
)

// backOff returns how long an item waits after this many failures in a row, at least 1. There is no jitter: there are few
// workers, and their work has its own pace.
func backOff(failures int) time.Duration {
	wait := firstBackOff
	for range failures - 1 {
		if wait *= 2; wait >= longestBackOff {
			return longestBackOff
		}
	}
	return wait
}
