package spiderjob

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// eventLog is a cluster's Events, served as kube-apiserver does: in order of name, in pages, by field selector.
type eventLog struct {
	client.Reader
	clock    *testingclock.FakeClock
	events   []corev1.Event
	err      error
	requests []string
	times    []time.Time
}

func (l *eventLog) List(_ context.Context, into client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	terms := strings.Split(o.FieldSelector.String(), ",") // of a map, so in any order
	slices.Sort(terms)
	l.requests = append(l.requests, o.Namespace+" "+strings.Join(terms, ","))
	l.times = append(l.times, l.clock.Now())
	if l.err != nil {
		return l.err
	}
	var matching []corev1.Event
	for _, e := range l.events {
		of := e.InvolvedObject
		set := fields.Set{
			"type": e.Type, "reason": e.Reason, "involvedObject.uid": string(of.UID), "involvedObject.fieldPath": of.FieldPath,
		}
		if e.Namespace == o.Namespace && o.FieldSelector.Matches(set) {
			matching = append(matching, e)
		}
	}
	start := 0
	if o.Continue != "" {
		if _, err := fmt.Sscan(o.Continue, &start); err != nil {
			return err
		}
	}
	end := min(start+int(o.Limit), len(matching))
	list := into.(*corev1.EventList)
	if list.Items = matching[start:end]; end < len(matching) {
		list.Continue = fmt.Sprint(end)
	}
	return nil
}

// warns adds a Warning of a Job, in the form that client-go's older recorder writes.
func (l *eventLog) warns(namespace string, uid types.UID, reason, message string, after time.Duration) *corev1.Event {
	l.events = append(l.events, corev1.Event{
		ObjectMeta:     metav1.ObjectMeta{Namespace: namespace, CreationTimestamp: at(0)},
		InvolvedObject: corev1.ObjectReference{Kind: "Job", UID: uid},
		Type:           corev1.EventTypeWarning, Reason: reason, Message: message, LastTimestamp: at(after), Count: 1,
	})
	return &l.events[len(l.events)-1]
}

func newEventLog() (*eventLog, *eventReader) {
	log := &eventLog{clock: testingclock.NewFakeClock(epoch)}
	return log, newEventReader(log, log.clock)
}

// ask returns the latest Warning of an object as reason and message, and when to ask again if that is not known yet.
func (r *eventReader) ask(t *testing.T, namespace string, uid types.UID) (said string, askAt time.Time) {
	t.Helper()
	answer, err := r.Warnings(t.Context(), namespace, uid)
	if err != nil {
		t.Fatal(err)
	}
	if answer.warning != nil {
		said = answer.warning.reason + ": " + answer.warning.message
	}
	return said, answer.askAt
}

// TestOneListServesANamespace checks that a namespace's Events are read once for all its Jobs, and again after eventsFresh.
func TestOneListServesANamespace(t *testing.T) {
	log, reader := newEventLog()
	for i := range 100 {
		log.warns("shop", types.UID(fmt.Sprint("job-", i)), "FailedCreate", fmt.Sprint("no room for ", i), 0)
	}
	for i := range 100 {
		said, askAt := reader.ask(t, "shop", types.UID(fmt.Sprint("job-", i)))
		if want := fmt.Sprint("FailedCreate: no room for ", i); said != want || !askAt.IsZero() {
			t.Errorf("the answer for job-%d is %q, to ask again at %s", i, said, askAt)
		}
	}
	if said, askAt := reader.ask(t, "shop", "job-quiet"); said != "" || !askAt.IsZero() {
		t.Errorf("the answer for a Job without Events is %q, to ask again at %s", said, askAt)
	}
	if want := "[shop type=Warning]"; fmt.Sprint(log.requests) != want {
		t.Errorf("requested %s, want %s", log.requests, want)
	}
	log.clock.Step(eventsFresh)
	log.warns("shop", "job-1", "FailedCreate", "still none", time.Second)
	if said, _ := reader.ask(t, "shop", "job-1"); said != "FailedCreate: still none" {
		t.Errorf("after %s the answer is %q", eventsFresh, said)
	}
	if len(reader.namespaces["shop"].latest) != 100 {
		t.Errorf("%d objects are kept", len(reader.namespaces["shop"].latest))
	}
}

// TestLatestWarningIsFoundInAnyFormOfEvent checks that each form in which an Event says when it last occurred is understood,
// and that only Warnings of Jobs and Pods are kept.
func TestLatestWarningIsFoundInAnyFormOfEvent(t *testing.T) {
	log, reader := newEventLog()
	log.warns("shop", "job", "FailedCreate", "old", time.Minute)
	series := log.warns("shop", "job", "FailedCreate", "latest", 0)
	series.LastTimestamp, series.Count = metav1.Time{}, 0
	series.EventTime = metav1.NewMicroTime(epoch)
	series.Series = &corev1.EventSeries{Count: 7, LastObservedTime: metav1.NewMicroTime(epoch.Add(2 * time.Minute))}
	log.warns("shop", "job", "FailedCreate", "older", 30*time.Second)
	once := log.warns("shop", "pod", "FailedMount", "no Secret", 0)
	once.InvolvedObject.Kind, once.LastTimestamp, once.EventTime = "Pod", metav1.Time{}, metav1.NewMicroTime(epoch.Add(time.Second))
	log.warns("shop", "pod", "FailedScheduling", "no node", 0).InvolvedObject.Kind = "Pod"
	log.warns("shop", "node", "Rebooted", "", 0).InvolvedObject.Kind = "Node"
	log.warns("shop", "job", "SuccessfulCreate", "made", time.Hour).Type = corev1.EventTypeNormal
	long := log.warns("shop", "long", "FailedCreate", strings.Repeat("x", 5000)+"\n", 0)

	answer, err := reader.Warnings(t.Context(), "shop", "job")
	want := eventWarning{reason: "FailedCreate", message: "latest", at: epoch.Add(2 * time.Minute), count: 7}
	if err != nil || answer.warning == nil || *answer.warning != want || !answer.readAt.Equal(epoch) {
		t.Errorf("the Job's warning is %+v (%v), want %+v", answer.warning, err, want)
	}
	if said, _ := reader.ask(t, "shop", "pod"); said != "FailedMount: no Secret" {
		t.Errorf("the Pod's warning is %q", said)
	}
	if said, _ := reader.ask(t, "shop", "node"); said != "" {
		t.Errorf("a Node's warning, %q, is kept", said)
	}
	if said, _ := reader.ask(t, "shop", long.InvolvedObject.UID); len(said) != maxMessage+len("FailedCreate: ") {
		t.Errorf("%d bytes are kept of a long message", len(said))
	}
}

// TestNamespacesShareOneListASecond has many namespaces ask at once: each gets a time of its own to come back, and its answer
// then.
func TestNamespacesShareOneListASecond(t *testing.T) {
	log, reader := newEventLog()
	const namespaces = 20
	comeBack := map[string]time.Time{}
	for i := range namespaces {
		comeBack[fmt.Sprint("ns-", i)] = epoch
		log.warns(fmt.Sprint("ns-", i), "job", "FailedCreate", "no room", 0)
	}
	for second := range namespaces {
		for i := range namespaces {
			namespace := fmt.Sprint("ns-", i)
			due, waits := comeBack[namespace]
			if !waits || log.clock.Now().Before(due) {
				continue
			}
			if said, askAt := reader.ask(t, namespace, "job"); !askAt.IsZero() {
				comeBack[namespace] = askAt
			} else if delete(comeBack, namespace); said != "FailedCreate: no room" {
				t.Errorf("the answer for %s is %q", namespace, said)
			}
		}
		if len(log.requests) != second+1 {
			t.Fatalf("%d requests in %d seconds", len(log.requests), second+1)
		}
		log.clock.Step(time.Second)
	}
	if len(comeBack) != 0 {
		t.Errorf("%v have no answer after a second each", comeBack)
	}
	if n := len(reader.namespaces); n > 6 {
		t.Errorf("Events of %d namespaces are kept", n)
	}
	if len(reader.turns.times)+len(reader.turns.reading) != 0 {
		t.Errorf("turns are left: %v, %v", reader.turns.times, reader.turns.reading)
	}
}

// TestUnusedTurnsAreDropped checks that the turns of callers who never come back are dropped.
func TestUnusedTurnsAreDropped(t *testing.T) {
	log, reader := newEventLog()
	for i := range 50 {
		reader.ask(t, fmt.Sprint("ns-", i), "job")
	}
	log.clock.Step(time.Hour)
	if _, askAt := reader.ask(t, "shop", "job"); !askAt.IsZero() || len(reader.turns.times) != 0 {
		t.Errorf("an hour later %d turns are kept, and a namespace has to come back at %s", len(reader.turns.times), askAt)
	}
}

// TestAtMostFourPagesOfEventsAreRead has a namespace with more Warnings than are read at once: a bounded number of pages is
// read, each counts as a request, and then the Events of the object alone are read.
func TestAtMostFourPagesOfEventsAreRead(t *testing.T) {
	log, reader := newEventLog()
	for i := range eventsPage*eventsPages + 1 {
		log.warns("shop", types.UID(fmt.Sprint("pod-", i)), "BackOff", "restarting", 0)
	}
	log.warns("shop", "job", "FailedCreate", "no room", 0)
	_, askAt := reader.ask(t, "shop", "job")
	if want := epoch.Add(eventsPages * time.Second); !askAt.Equal(want) || len(log.requests) != eventsPages {
		t.Fatalf("%d pages were read, ask again at %s, want %d and %s", len(log.requests), askAt, eventsPages, want)
	}
	if _, again := reader.ask(t, "news", "job"); !again.Equal(askAt.Add(time.Second)) {
		t.Errorf("the next namespace's turn is at %s", again)
	}
	log.clock.SetTime(askAt.Add(eventsFresh)) // what was read of the namespace has grown old
	if said, _ := reader.ask(t, "shop", "job"); said != "FailedCreate: no room" {
		t.Errorf("the answer is %q", said)
	}
	if last := log.requests[len(log.requests)-1]; last != "shop involvedObject.uid=job,type=Warning" {
		t.Errorf("the last request was %s", last)
	}
}

// TestAFailedListIsAnErrorForOneCaller checks that a list that fails is an error for the caller that made it, counts as a
// request, and is repeated.
func TestAFailedListIsAnErrorForOneCaller(t *testing.T) {
	log, reader := newEventLog()
	log.err = errors.New("no")
	if _, err := reader.Warnings(
		t.Context(), "shop", "job",
	); !errors.Is(err, log.err) ||
		!strings.Contains(err.Error(), "namespace shop") {
		t.Errorf("the error is %v", err)
	}
	if _, askAt := reader.ask(t, "shop", "job"); !askAt.Equal(epoch.Add(time.Second)) {
		t.Errorf("ask again at %s", askAt)
	}
	log.err = nil
	log.clock.Step(time.Second)
	if _, askAt := reader.ask(t, "shop", "job"); !askAt.IsZero() {
		t.Errorf("ask again at %s", askAt)
	}
}

// TestKillingFindsTheSpidersContainerOfThePod checks that only the Event about the spider's container of this very Pod counts,
// and that its list counts as a request.
func TestKillingFindsTheSpidersContainerOfThePod(t *testing.T) {
	log, reader := newEventLog()
	killing := func(uid types.UID, container string) {
		log.events = append(log.events, corev1.Event{
			ObjectMeta: metav1.ObjectMeta{Namespace: "shop"},
			InvolvedObject: corev1.ObjectReference{
				Kind:      "Pod",
				Name:      "run-" + string(uid),
				UID:       uid,
				FieldPath: "spec.containers{" + container + "}",
			},
			Type:   corev1.EventTypeNormal,
			Reason: "Killing",
		})
	}
	killing("sidecar", "mesh")
	killing("killed", "spider")
	run := types.NamespacedName{Namespace: "shop", Name: "run"}
	for i, test := range []struct {
		pod  types.UID
		want bool
	}{{"killed", true}, {"sidecar", false}, {"untouched", false}, {"", true}} {
		answer, err := reader.Killing(t.Context(), run, test.pod)
		if err != nil || !answer.askAt.IsZero() || answer.killing != test.want {
			t.Errorf("the answer for Pod %q is %+v (%v)", test.pod, answer, err)
		}
		if answer, err := reader.Killing(t.Context(), run, "next"); err != nil || answer.askAt.IsZero() || len(log.requests) != i+1 {
			t.Errorf("a second listing in the same second: %+v (%v), %d requests", answer, err, len(log.requests))
		}
		reader.turns.times = map[turn]time.Time{} // the next never comes
		log.clock.Step(2 * time.Second)
	}
}
