package view

import "fmt"

// Usage is what the jobs of a namespace take up.
type Usage struct {
	// UnfinishedJobs are those that have not ended.
	UnfinishedJobs int
	// ArgumentBytes are the bytes of all names and values of arguments, including ended jobs as long as they are kept.
	ArgumentBytes int64
}

// Caps bound the Usage of each namespace. 0 means no bound.
type Caps Usage

// Check returns what is wrong with the caps.
func (c Caps) Check() error {
	if c.UnfinishedJobs < 0 || c.ArgumentBytes < 0 {
		return fmt.Errorf("the caps on a namespace's jobs must be at least 0, which means none: %+v", c)
	}
	return nil
}

// CapError means that one more job would exceed a bound of its namespace. Its text is for callers.
type CapError struct {
	caps Caps
	jobs bool // Otherwise arguments.
}

// Error implements error.
func (e *CapError) Error() string {
	if e.jobs {
		return fmt.Sprintf("This namespace has %d jobs that have not ended, which is its limit.", e.caps.UnfinishedJobs)
	}
	return fmt.Sprintf(
		"With this job, the arguments of all jobs of this namespace would exceed their limit of %d bytes.",
		e.caps.ArgumentBytes)
}

func (u *Usage) add(other Usage) {
	u.UnfinishedJobs += other.UnfinishedJobs
	u.ArgumentBytes += other.ArgumentBytes
}

func (u *Usage) remove(other Usage) {
	u.UnfinishedJobs -= other.UnfinishedJobs
	u.ArgumentBytes -= other.ArgumentBytes
}

func usageOf(job *Job) Usage {
	u := Usage{ArgumentBytes: int64(job.ArgumentBytes)}
	if !job.Ended {
		u.UnfinishedJobs = 1
	}
	return u
}

// Usage returns what the jobs of a namespace take up.
func (v *Jobs) Usage(namespace string) Usage {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.usage(namespace)
}

func (v *Jobs) usage(namespace string) Usage {
	if tenant := v.tenants[namespace]; tenant != nil {
		return tenant.usage
	}
	return Usage{}
}

// Reserve reserves room for a job that is about to be made, with this many bytes of arguments, so that no two jobs take the
// same room. release returns the room, once the job is in the view or was not made. The error is a CapError if there is no
// room.
func (v *Jobs) Reserve(namespace string, argumentBytes int, caps Caps) (release func(), err error) {
	wanted := Usage{UnfinishedJobs: 1, ArgumentBytes: int64(argumentBytes)}
	v.mu.Lock()
	defer v.mu.Unlock()
	reserved := v.reserved[namespace]
	reserved.add(wanted)
	total := v.usage(namespace)
	total.add(reserved)
	switch {
	case caps.UnfinishedJobs > 0 && total.UnfinishedJobs > caps.UnfinishedJobs:
		return nil, &CapError{caps, true}
	case caps.ArgumentBytes > 0 && argumentBytes > 0 && total.ArgumentBytes > caps.ArgumentBytes:
		return nil, &CapError{caps, false}
	}
	v.reserved[namespace] = reserved
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		left := v.reserved[namespace]
		left.remove(wanted)
		if left == (Usage{}) {
			delete(v.reserved, namespace)
			return
		}
		v.reserved[namespace] = left
	}, nil
}
