package queue

import "time"

const (
	// firstBackOff is how long an item waits after its first failure. Each further one doubles it.
	firstBackOff = 5 * time.Millisecond
	// longestBackOff is the most that an item waits: what refuses is tried again within a minute of its repair.
	longestBackOff = time.Minute
)

// backOff is how long an item waits after so many failures in a row, at least 1. There is no jitter: workers are few, and what
// they do has a pace of its own.
func backOff(failures int) time.Duration {
	wait := firstBackOff
	for range failures - 1 {
		if wait *= 2; wait >= longestBackOff {
			return longestBackOff
		}
	}
	return wait
}
