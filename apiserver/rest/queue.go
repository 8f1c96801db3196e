package rest

import (
	"strconv"

	"github.com/scrapethis/spider-operator/apiserver/contract"
	"github.com/scrapethis/spider-operator/apiserver/jobs"
)

func (h *handlers) getQueue(r *request) error {
	queue := h.jobs.Queue(r.caller())
	body := contract.Queue{
		MaxRunning: limit(queue.All.MaxRunning), Running: queue.All.Running,
		MaxQueued: limit(queue.All.MaxQueued), Queued: queue.All.Queued,
		MaxPriority: queue.MaxPriority, DefaultGroupMax: limit(queue.DefaultGroupMax),
		Groups: make([]contract.QueueGroup, 0, len(queue.Groups)),
	}
	if own := queue.User; own != nil {
		body.User = &contract.QueueUser{
			MaxRunning: limit(own.MaxRunning), Running: own.Running, MaxQueued: limit(own.MaxQueued), Queued: own.Queued,
			Weight: queue.Weight,
		}
	}
	for _, group := range queue.Groups {
		body.Groups = append(body.Groups, contract.QueueGroup{Name: group.Name, Max: group.Max, Running: group.Running})
	}
	h.tellAge(r)
	return r.show(body)
}

// limit returns nil for no limit, which the contract leaves out.
func limit(most int) *int {
	if most == 0 {
		return nil
	}
	return &most
}

// queue appends nothing for a job that no limit holds back.
func (t *jsonText) queue(place *jobs.Place) {
	if place == nil {
		return
	}
	t.member("queue")
	t.begin()
	if place.Position > 0 {
		t.int("position", int64(place.Position))
	}
	t.optionalString("waiting_for", place.WaitingFor)
	t.end()
}

// placedTag identifies a job as it is shown with its place in the queue, which changes without the job.
func placedTag(tag string, place *jobs.Place) string {
	if place == nil {
		return tag
	}
	return tag[:len(tag)-1] + "-" + strconv.Itoa(place.Position) + `"`
}
