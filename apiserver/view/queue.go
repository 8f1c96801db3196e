package view

import (
	"maps"
	"slices"
	"time"

	"github.com/scrapethis/spider-operator/internal/order"
)

func (t *tenant) add(usage Usage, spider string) {
	t.usage.add(usage)
	if usage.AdmittedJobs > 0 {
		t.admitted[spider] += usage.AdmittedJobs
	}
}

func (t *tenant) remove(usage Usage, spider string) {
	t.usage.remove(usage)
	if usage.AdmittedJobs == 0 {
		return
	}
	if t.admitted[spider] -= usage.AdmittedJobs; t.admitted[spider] == 0 {
		delete(t.admitted, spider)
	}
}

// AdmittedBySpider returns how many jobs of a namespace are admitted, by the names of the Spiders.
func (v *Jobs) AdmittedBySpider(namespace string) map[string]int {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if tenant := v.tenants[namespace]; tenant != nil {
		return maps.Clone(tenant.admitted)
	}
	return nil
}

// UserQueue are the jobs of one user as far as limits are concerned.
type UserQueue struct {
	UserID string
	// Admitted is how many are admitted.
	Admitted int
	// Waiting are the first of those that wait for their admission, in their order.
	Waiting []order.Run
}

// Queues returns the queue of each user of a namespace who has one, with the first jobs, at most so many. It looks at all pending
// jobs, but of one user at a time, so that nobody waits for long.
func (v *Jobs) Queues(namespace string, most int) []UserQueue {
	var queues []UserQueue
	for _, userID := range v.usersWithAQueue(namespace) {
		queue := v.queueOf(namespace, userID)
		slices.SortFunc(queue.Waiting, func(a, b order.Run) int {
			if a.Before(b) {
				return -1
			}
			return 1 // Names differ.
		})
		queue.Waiting = slices.Clip(queue.Waiting[:min(most, len(queue.Waiting))])
		queues = append(queues, queue)
	}
	return queues
}

func (v *Jobs) usersWithAQueue(namespace string) (userIDs []string) {
	v.mu.RLock()
	defer v.mu.RUnlock()
	if tenant := v.tenants[namespace]; tenant != nil {
		for userID, user := range tenant.users {
			if user.usage.QueuedJobs > 0 {
				userIDs = append(userIDs, userID)
			}
		}
	}
	return userIDs
}

func (v *Jobs) queueOf(namespace, userID string) UserQueue {
	queue := UserQueue{UserID: userID}
	v.mu.RLock()
	defer v.mu.RUnlock()
	tenant := v.tenants[namespace]
	if tenant == nil || tenant.users[userID] == nil {
		return queue
	}
	user := tenant.users[userID]
	queue.Admitted = user.usage.AdmittedJobs
	if pending := user.byStatus[Pending]; pending != nil {
		pending.Scan(func(job *Job) bool {
			// What is new has no reason yet. Other reasons mean that it waits for something else.
			if job.HeldBack() || job.Queued() && job.Reason == (Text{}) {
				queue.Waiting = append(queue.Waiting, order.Run{
					Name: job.Name, User: userID, Created: time.Unix(job.Created, 0), Priority: int32(job.Priority),
				})
			}
			return true
		})
	}
	return queue
}
