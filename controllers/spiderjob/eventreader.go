package spiderjob

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

const (
	// eventsFresh is how long the Warning Events of a namespace are used for all of its objects.
	eventsFresh = 5 * time.Second
	// eventsTimeout bounds one listing: the worker that lists waits for it.
	eventsTimeout = 10 * time.Second
	// eventsPage and eventsPages bound how much of a namespace is read at once.
	eventsPage, eventsPages = 500, 4
)

// eventReader reads Events of Jobs and Pods. Events are not indexed: whatever the query, kube-apiserver reads all Events of the
// namespace. So one listing serves a whole namespace, and all listings together make one request a second. No caller blocks for
// a turn: without one it gets the time at which to come back. The next listing after eventsFresh replaces what was read.
type eventReader struct {
	reader client.Reader
	clock  clock.PassiveClock

	mu         sync.Mutex
	namespaces map[string]*namespaceWarnings
	turns      turns
}

// namespaceWarnings is what was read of a namespace.
type namespaceWarnings struct {
	readAt time.Time
	latest map[types.UID]*eventWarning
	// cut says that there was more than is read at once: an object that is not in latest may still have Warnings.
	cut bool
}

// eventWarning is the latest Warning Event of an object.
type eventWarning struct {
	reason  string
	message string
	at      time.Time
	// count is how often it occurred, at least 1.
	count int32
}

// eventAnswer is what the Events of an object say.
type eventAnswer struct {
	// askAt is when to ask again, if there is no answer yet; otherwise zero.
	askAt time.Time
	// readAt is when the Events were read.
	readAt time.Time
	// warning is the latest Warning, nil if there is none.
	warning *eventWarning
	// killing says that the kubelet began to kill the spider's container.
	killing bool
}

func newEventReader(reader client.Reader, now clock.PassiveClock) *eventReader {
	return &eventReader{reader: reader, clock: now, namespaces: map[string]*namespaceWarnings{}, turns: newTurns()}
}

// Warnings returns the latest Warning Event of a Job or Pod, at most eventsFresh old.
func (r *eventReader) Warnings(ctx context.Context, namespace string, uid types.UID) (eventAnswer, error) {
	shared, own := turn{namespace: namespace}, turn{namespace: namespace, object: uid}
	mine, answer, done := r.begin(shared, own)
	if done {
		return answer, nil
	}
	selector := fields.Set{"type": corev1.EventTypeWarning}
	if mine == own {
		selector["involvedObject.uid"] = string(uid)
	}
	read := &namespaceWarnings{readAt: r.clock.Now(), latest: map[types.UID]*eventWarning{}}
	pages, cut, err := r.list(ctx, namespace, selector, read.add)
	read.cut = cut && mine == shared
	r.mu.Lock()
	defer r.mu.Unlock()
	r.turns.done(mine, read.readAt, pages)
	if err != nil {
		return eventAnswer{}, err
	}
	if mine == shared {
		r.namespaces[namespace] = read
	}
	if answer, ok := read.of(uid); ok {
		return answer, nil
	}
	return eventAnswer{askAt: r.turns.reserve(own, r.clock.Now())}, nil
}

// begin answers from what was read a moment ago, or says that the caller has the turn to list, and what, or when to ask again.
func (r *eventReader) begin(shared, own turn) (mine turn, answer eventAnswer, done bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.clock.Now()
	mine = shared
	if r.turns.reserved(own, now) {
		mine = own
	} else if read := r.namespaces[shared.namespace]; read != nil && now.Sub(read.readAt) < eventsFresh {
		if answer, ok := read.of(own.object); ok {
			return mine, answer, true
		}
		mine = own
	}
	askAt := r.turns.take(mine, now)
	if !askAt.IsZero() {
		return mine, eventAnswer{askAt: askAt}, true
	}
	for namespace, read := range r.namespaces {
		if now.Sub(read.readAt) >= eventsFresh {
			delete(r.namespaces, namespace)
		}
	}
	return mine, eventAnswer{}, false
}

// Killing reports whether the kubelet began to kill the spider's container of a Pod. If the Pod's UID is unknown, any Pod that
// is named like one of the Job counts. Events live for an hour.
func (r *eventReader) Killing(ctx context.Context, job types.NamespacedName, pod types.UID) (eventAnswer, error) {
	const reason = "Killing"
	own := turn{namespace: job.Namespace, object: cmp.Or(pod, types.UID(job.Name)), reason: reason}
	answer := eventAnswer{readAt: r.clock.Now()}
	r.mu.Lock()
	askAt := r.turns.take(own, answer.readAt)
	r.mu.Unlock()
	if !askAt.IsZero() {
		return eventAnswer{askAt: askAt}, nil
	}
	path := "spec.containers{" + v1alpha1.ContainerName + "}"
	selector := fields.Set{"involvedObject.fieldPath": path, "reason": reason}
	if pod != "" {
		selector["involvedObject.uid"] = string(pod)
	}
	pages, _, err := r.list(ctx, job.Namespace, selector, func(event *corev1.Event) {
		of := event.InvolvedObject
		meant := of.UID == pod || pod == "" && strings.HasPrefix(of.Name, job.Name+"-")
		if meant && of.FieldPath == path && event.Reason == reason {
			answer.killing = true
		}
	})
	r.mu.Lock()
	r.turns.done(own, answer.readAt, pages)
	r.mu.Unlock()
	if err != nil {
		return eventAnswer{}, err
	}
	return answer, nil
}

// list passes all Events that match to each, up to a few pages, and reports how many pages it requested and whether there are
// more.
func (r *eventReader) list(
	ctx context.Context, namespace string, selector fields.Set, each func(*corev1.Event),
) (pages int, cut bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, eventsTimeout)
	defer cancel()
	var next string
	for pages < eventsPages {
		var list corev1.EventList
		pages++
		err := r.reader.List(ctx, &list, client.InNamespace(namespace), client.Limit(eventsPage), client.Continue(next),
			client.MatchingFieldsSelector{Selector: selector.AsSelector()})
		if err != nil {
			return pages, false, fmt.Errorf("list the Events of namespace %s: %w", namespace, err)
		}
		for i := range list.Items {
			each(&list.Items[i])
		}
		if next = list.Continue; next == "" {
			return pages, false, nil
		}
	}
	return pages, true, nil
}

// add keeps an Event if it is the latest Warning of a Job or Pod.
func (w *namespaceWarnings) add(event *corev1.Event) {
	of := event.InvolvedObject
	if event.Type != corev1.EventTypeWarning || of.Kind != "Job" && of.Kind != "Pod" {
		return
	}
	at := eventTime(event)
	if known := w.latest[of.UID]; known != nil && !at.After(known.at) {
		return
	}
	count := max(event.Count, 1)
	if event.Series != nil {
		count = max(event.Series.Count, count)
	}
	message := strings.Clone(truncate(oneLine(event.Message), maxMessage)) // the clone releases the rest of the answer
	w.latest[of.UID] = &eventWarning{reason: strings.Clone(event.Reason), message: message, at: at, count: count}
}

// of returns the answer for one object, unless what was read is not enough to know.
func (w *namespaceWarnings) of(uid types.UID) (eventAnswer, bool) {
	warning := w.latest[uid]
	return eventAnswer{readAt: w.readAt, warning: warning}, warning != nil || !w.cut
}

// eventTime returns when an Event last occurred, in whichever of its forms.
func eventTime(event *corev1.Event) time.Time {
	latest := event.LastTimestamp.Time
	if event.Series != nil && event.Series.LastObservedTime.After(latest) {
		latest = event.Series.LastObservedTime.Time
	}
	if event.EventTime.After(latest) {
		latest = event.EventTime.Time
	}
	if latest.IsZero() {
		return event.CreationTimestamp.Time
	}
	return latest
}
