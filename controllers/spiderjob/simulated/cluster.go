package simulated

import (
	"fmt"
	"slices"
	"strconv"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Kind is a kind of object that the cluster holds.
type Kind int

// The kinds, in the order in which everything goes through them.
const (
	SpiderJobs Kind = iota
	Spiders
	Jobs
	Pods
	Events
	kinds
)

// Kinds are those that a process may have caches of.
var Kinds = []Kind{SpiderJobs, Spiders, Jobs, Pods}

// String names the kind as kubectl does.
func (k Kind) String() string {
	return [...]string{"SpiderJob", "Spider", "Job", "Pod", "Event"}[k]
}

// Change is one write that succeeded. Its objects belong to everybody and are never changed.
type Change struct {
	// Version is the resource version that the write made.
	Version int64
	// Kind is that of the object.
	Kind Kind
	// By names who wrote, as in the story.
	By string
	// Before is the object as it was, nil if it is new; After as it is, nil if it is gone.
	Before, After client.Object
	// slim is After as caches hold it, made when the first of them takes it.
	slim client.Object
}

// Cluster is the state of the cluster. It must be used by one goroutine at a time.
type Cluster struct {
	// Skew is how far kube-apiserver's clock, and those of the controllers beside it, are ahead of the true time.
	Skew time.Duration
	// Tell, if not nil, is called with each thing that happens, in words for people.
	Tell func(format string, args ...any)
	// Script is asked what the containers of a new Pod will do.
	Script func(pod *corev1.Pod) PodScript
	// Admission are the webhooks and policies that trouble writes.
	Admission []Admission
	// Quotas are the most Pods that have not ended, by namespace.
	Quotas map[string]int
	// QueuedNamespaces are those whose new Jobs a queue suspends.
	QueuedNamespaces map[string]bool
	// Unschedulable says that no node has room.
	Unschedulable bool
	// Slim is what a cache's transform does to an object that it takes.
	Slim func(client.Object)

	objects [kinds][]client.Object
	changes [kinds][]*Change
	log     []*Change
	version int64
	uids    int
	by      string

	waiting   []*local // of Pods that have been made
	nodes     []*Node
	processes []*Process
	jobs      map[types.UID]*jobState
	started   func(*Process)
}

// New returns an empty cluster with nodes of the names.
func New(nodes ...string) *Cluster {
	c := &Cluster{Quotas: map[string]int{}, QueuedNamespaces: map[string]bool{}, jobs: map[types.UID]*jobState{}, version: 1}
	for _, name := range nodes {
		c.nodes = append(c.nodes, &Node{Name: name})
	}
	return c
}

// OnStart has a function called with each process that starts.
func (c *Cluster) OnStart(f func(*Process)) { c.started = f }

// Nodes are the nodes that there ever were.
func (c *Cluster) Nodes() []*Node { return c.nodes }

// Processes are all processes that were ever started, in that order.
func (c *Cluster) Processes() []*Process { return c.processes }

// Log are all changes since the beginning.
func (c *Cluster) Log() []*Change { return c.log }

// Version is the resource version of the last write.
func (c *Cluster) Version() int64 { return c.version }

func (c *Cluster) tell(format string, args ...any) {
	if c.Tell != nil {
		c.Tell(format, args...)
	}
}

// serverTime is what kube-apiserver and the controllers beside it write into objects, in whole seconds.
func (c *Cluster) serverTime() metav1.Time {
	return metav1.Time{Time: time.Now().Add(c.Skew).Truncate(time.Second)}
}

// as runs f with somebody as the author of what f writes, for story lines.
func (c *Cluster) as(who string, f func()) {
	before := c.by
	c.by = who
	defer func() { c.by = before }()
	f()
}

// All returns the objects of a kind, the oldest first. The slice is the caller's, the objects are not.
func All[T client.Object](c *Cluster, kind Kind) []T {
	out := make([]T, 0, len(c.objects[kind]))
	for _, obj := range c.objects[kind] {
		out = append(out, obj.(T)) //nolint:forcetypeassert // A kind holds one type.
	}
	return out
}

// AllSpiderJobs are the SpiderJobs that there are.
func (c *Cluster) AllSpiderJobs() []*v1alpha1.SpiderJob {
	return All[*v1alpha1.SpiderJob](c, SpiderJobs)
}

// AllJobs are the Jobs that there are.
func (c *Cluster) AllJobs() []*batchv1.Job { return All[*batchv1.Job](c, Jobs) }

// AllPods are the Pods that there are.
func (c *Cluster) AllPods() []*corev1.Pod { return All[*corev1.Pod](c, Pods) }

func (c *Cluster) find(kind Kind, namespace, name string) client.Object {
	for _, obj := range c.objects[kind] {
		if obj.GetName() == name && obj.GetNamespace() == namespace {
			return obj
		}
	}
	return nil
}

func (c *Cluster) findUID(kind Kind, uid types.UID) client.Object {
	for _, obj := range c.objects[kind] {
		if obj.GetUID() == uid {
			return obj
		}
	}
	return nil
}

// SpiderJob is the SpiderJob of a UID, nil if it is gone.
func (c *Cluster) SpiderJob(uid types.UID) *v1alpha1.SpiderJob {
	sj, _ := c.findUID(SpiderJobs, uid).(*v1alpha1.SpiderJob)
	return sj
}

// Job is the Job of a UID, nil if it is gone.
func (c *Cluster) Job(uid types.UID) *batchv1.Job {
	job, _ := c.findUID(Jobs, uid).(*batchv1.Job)
	return job
}

// Pod is the Pod of a UID, nil if it is gone.
func (c *Cluster) Pod(uid types.UID) *corev1.Pod {
	pod, _ := c.findUID(Pods, uid).(*corev1.Pod)
	return pod
}

// insert stores a new object, which is the cluster's from then on.
func (c *Cluster) insert(kind Kind, obj client.Object) {
	c.uids++
	obj.SetUID(types.UID(fmt.Sprintf("%s-%d", [...]string{"sj", "spider", "job", "pod", "event"}[kind], c.uids)))
	obj.SetGeneration(1)
	obj.SetCreationTimestamp(c.serverTime())
	c.stamp(obj)
	c.objects[kind] = append(c.objects[kind], obj)
	c.note(kind, nil, obj)
}

// modify changes a copy of an object and stores that. It reports whether anything has changed.
func modify[T client.Object](c *Cluster, kind Kind, obj T, change func(T)) (T, bool) {
	current, ok := c.findUID(kind, obj.GetUID()).(T)
	if !ok {
		return obj, false
	}
	next := current.DeepCopyObject().(T) //nolint:forcetypeassert // A deep copy is of the same type.
	change(next)
	if equality.Semantic.DeepEqual(current, next) {
		return current, false
	}
	c.store(kind, current, next)
	return next, true
}

// set is modify for a caller that knows that something changes.
func set[T client.Object](c *Cluster, kind Kind, obj T, change func(T)) {
	if current, ok := c.findUID(kind, obj.GetUID()).(T); ok {
		next := current.DeepCopyObject().(T) //nolint:forcetypeassert // A deep copy is of the same type.
		change(next)
		c.store(kind, current, next)
	}
}

// store puts next in the place of current, or removes it where nothing holds it any more.
func (c *Cluster) store(kind Kind, current, next client.Object) {
	grace := next.GetDeletionGracePeriodSeconds()
	if next.GetDeletionTimestamp() != nil && len(next.GetFinalizers()) == 0 && (grace == nil || *grace == 0) {
		c.remove(kind, current)
		return
	}
	c.stamp(next)
	i := slices.Index(c.objects[kind], current)
	c.objects[kind][i] = next
	c.note(kind, current, next)
}

func (c *Cluster) remove(kind Kind, current client.Object) {
	c.version++
	i := slices.Index(c.objects[kind], current)
	c.objects[kind] = slices.Delete(c.objects[kind], i, i+1)
	c.note(kind, current, nil)
}

func (c *Cluster) stamp(obj client.Object) {
	c.version++
	obj.SetResourceVersion(strconv.FormatInt(c.version, 10))
}

func (c *Cluster) note(kind Kind, before, after client.Object) {
	change := &Change{Version: c.version, Kind: kind, By: c.by, Before: before, After: after}
	c.changes[kind] = append(c.changes[kind], change)
	c.log = append(c.log, change)
}

// podEnded reports whether all containers of the Pod have ended for good.
func podEnded(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodSucceeded || pod.Status.Phase == corev1.PodFailed
}

func controlledBy(obj client.Object, uid types.UID) bool {
	owner := metav1.GetControllerOf(obj)
	return owner != nil && owner.UID == uid
}

// podsOf are the Pods that a Job controls, the oldest first.
func (c *Cluster) podsOf(job *batchv1.Job) []*corev1.Pod {
	var out []*corev1.Pod
	for _, obj := range c.objects[Pods] {
		if controlledBy(obj, job.UID) {
			out = append(out, obj.(*corev1.Pod)) //nolint:forcetypeassert // A kind holds one type.
		}
	}
	return out
}

// event records an Event about an object.
func (c *Cluster) event(about client.Object, kind, fieldPath, eventType, reason, message string) {
	now := c.serverTime()
	for _, obj := range c.objects[Events] {
		e := obj.(*corev1.Event) //nolint:forcetypeassert // A kind holds one type.
		if e.InvolvedObject.UID == about.GetUID() && e.Reason == reason && e.Message == message &&
			e.InvolvedObject.FieldPath == fieldPath {
			set(c, Events, e, func(e *corev1.Event) { e.Count++; e.LastTimestamp = now })
			return
		}
	}
	c.insert(Events, &corev1.Event{
		ObjectMeta: metav1.ObjectMeta{Namespace: about.GetNamespace(), Name: fmt.Sprintf("%s.%d", about.GetName(), c.version)},
		InvolvedObject: corev1.ObjectReference{
			Kind: kind, Namespace: about.GetNamespace(), Name: about.GetName(), UID: about.GetUID(), FieldPath: fieldPath,
		},
		Reason: reason, Message: message, Type: eventType, Count: 1, FirstTimestamp: now, LastTimestamp: now,
	})
}
