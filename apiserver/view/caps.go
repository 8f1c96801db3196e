package view

import "fmt"

// Usage is what the jobs of a namespace take up.
type Usage struct {
	// UnfinishedJobs are those that have not ended.
	UnfinishedJobs int
	// QueuedJobs are those that are queued: see Job.Queued.
	QueuedJobs int
	// AdmittedJobs are those that are admitted: see Job.Admitted.
	AdmittedJobs int
	// ArgumentBytes are the bytes of all names and values of arguments, including ended jobs as long as they are kept.
	ArgumentBytes int64
}

// Caps bound the Usage of each namespace. 0 means no bound.
type Caps struct {
	UnfinishedJobs int
	ArgumentBytes  int64
	// QueuedJobs bounds the queued jobs of the namespace, and QueuedJobsPerUser those of each of its users.
	QueuedJobs, QueuedJobsPerUser int
}

// Check returns what is wrong with the caps.
func (c Caps) Check() error {
	if c.UnfinishedJobs < 0 || c.ArgumentBytes < 0 || c.QueuedJobs < 0 || c.QueuedJobsPerUser < 0 {
		return fmt.Errorf("the caps on a namespace's jobs must be at least 0, which means none: %+v", c)
	}
	return nil
}

// CapError means that one more job would exceed a bound of its namespace. Its text is for callers.
type CapError struct {
	// Queue says that too many jobs wait. That changes as they start.
	Queue   bool
	message string
}

// Error implements error.
func (e *CapError) Error() string { return e.message }

func (u *Usage) add(other Usage) {
	u.UnfinishedJobs += other.UnfinishedJobs
	u.QueuedJobs += other.QueuedJobs
	u.AdmittedJobs += other.AdmittedJobs
	u.ArgumentBytes += other.ArgumentBytes
}

func (u *Usage) remove(other Usage) {
	u.UnfinishedJobs -= other.UnfinishedJobs
	u.QueuedJobs -= other.QueuedJobs
	u.AdmittedJobs -= other.AdmittedJobs
	u.ArgumentBytes -= other.ArgumentBytes
}

func usageOf(job *Job) Usage {
	u := Usage{ArgumentBytes: int64(job.ArgumentBytes)}
	if !job.Ended {
		u.UnfinishedJobs = 1
	}
	if job.Queued() {
		u.QueuedJobs = 1
	}
	if job.Admitted() {
		u.AdmittedJobs = 1
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

// UsageOf returns what the jobs of a user take up.
func (v *Jobs) UsageOf(namespace, userID string) Usage {
	v.mu.RLock()
	defer v.mu.RUnlock()
	return v.usageOf(owner{namespace, userID})
}

func (v *Jobs) usageOf(of owner) Usage {
	if tenant := v.tenants[of.namespace]; tenant != nil && tenant.users[of.userID] != nil {
		return tenant.users[of.userID].usage
	}
	return Usage{}
}

// owner is a user of a namespace.
type owner struct{ namespace, userID string }

// reservations are the room reserved for jobs that are about to be made: by namespace, and how many by user.
type reservations struct {
	usage map[string]Usage
	users map[owner]int
}

func newReservations() reservations { return reservations{map[string]Usage{}, map[owner]int{}} }

func (r *reservations) add(of owner, usage Usage) {
	all := r.usage[of.namespace]
	all.add(usage)
	r.usage[of.namespace] = all
	r.users[of]++
}

func (r *reservations) remove(of owner, usage Usage) {
	left := r.usage[of.namespace]
	left.remove(usage)
	if r.usage[of.namespace] = left; left == (Usage{}) {
		delete(r.usage, of.namespace)
	}
	if r.users[of]--; r.users[of] == 0 {
		delete(r.users, of)
	}
}

// Reserve reserves room for a job of a user that is about to be made, with this many bytes of arguments, so that no two jobs take
// the same room. release returns the room, once the job is in the view or was not made. The error is a CapError if there is no
// room.
func (v *Jobs) Reserve(namespace, userID string, argumentBytes int, caps Caps) (release func(), err error) {
	of, wanted := owner{namespace, userID}, Usage{UnfinishedJobs: 1, QueuedJobs: 1, ArgumentBytes: int64(argumentBytes)}
	v.mu.Lock()
	defer v.mu.Unlock()
	total := v.usage(namespace)
	total.add(v.reserved.usage[namespace])
	total.add(wanted)
	if err := caps.exceeded(total, v.usageOf(of).QueuedJobs+v.reserved.users[of]+1, argumentBytes > 0); err != nil {
		return nil, err
	}
	v.reserved.add(of, wanted)
	return func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.reserved.remove(of, wanted)
	}, nil
}

// exceeded returns which bound would be exceeded, by so many queued jobs of a user and by a namespace's total; nil for none.
func (c Caps) exceeded(total Usage, queuedOfUser int, arguments bool) error {
	over := func(n, most int) bool { return most > 0 && n > most }
	switch {
	case over(total.UnfinishedJobs, c.UnfinishedJobs):
		return &CapError{message: fmt.Sprintf(
			"This namespace has %d jobs that have not ended, which is its limit.", c.UnfinishedJobs)}
	case arguments && c.ArgumentBytes > 0 && total.ArgumentBytes > c.ArgumentBytes:
		return &CapError{message: fmt.Sprintf(
			"With this job, the arguments of all jobs of this namespace would exceed their limit of %d bytes.", c.ArgumentBytes)}
	case over(queuedOfUser, c.QueuedJobsPerUser):
		return &CapError{Queue: true, message: fmt.Sprintf(
			"This user has %d jobs that wait for their start, which is its limit.", c.QueuedJobsPerUser)}
	case over(total.QueuedJobs, c.QueuedJobs):
		return &CapError{Queue: true, message: fmt.Sprintf(
			"This namespace has %d jobs that wait for their start, which is its limit.", c.QueuedJobs)}
	default:
		return nil
	}
}
