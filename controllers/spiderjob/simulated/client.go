package simulated

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"

	jsonpatch "github.com/evanphx/json-patch/v5"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// Call is a request of the operator to kube-apiserver.
type Call struct {
	// Verb is get, list, create, update, patch or delete.
	Verb string
	Kind Kind
	// Status says that it is of the status subresource.
	Status bool
	types.NamespacedName
	// Object is what is written, nil for reads and deletions; Options are those of a deletion.
	Object  client.Object
	Options *metav1.DeleteOptions
}

// Write reports whether the call changes something.
func (c Call) Write() bool { return c.Verb != "get" && c.Verb != "list" }

// String describes the call for people.
func (c Call) String() string {
	what := c.Kind.String()
	if c.Status {
		what += "/status"
	}
	return fmt.Sprintf("%s %s %s", c.Verb, what, c.NamespacedName)
}

// ErrAnswerLost is what a gate returns to have the call take effect while its answer is lost.
var ErrAnswerLost = errors.New("the answer is lost")

// Gate is asked before each call of a process, and may take its time; its error is the call's, which then has no effect.
type Gate func(ctx context.Context, call Call) error

// Observer gets what calls brought back: each object that a process has seen.
type Observer func(obj client.Object)

// View is how one process of the operator sees the cluster. It implements what the reconciler uses of client.Client; anything
// else panics.
type View struct {
	client.Client
	cluster *Cluster
	caches  *Caches // nil for reads from kube-apiserver itself
	who     string
	gate    Gate
	seen    Observer
}

// Client reads from the caches of a process and writes to kube-apiserver.
func (c *Cluster) Client(who string, caches *Caches, gate Gate, seen Observer) client.Client {
	return &View{cluster: c, caches: caches, who: who, gate: gate, seen: seen}
}

// Reader reads from kube-apiserver itself.
func (c *Cluster) Reader(who string, gate Gate, seen Observer) client.Reader {
	return &View{cluster: c, who: who, gate: gate, seen: seen}
}

func kindOf(obj client.Object) Kind {
	switch obj.(type) {
	case *v1alpha1.SpiderJob:
		return SpiderJobs
	case *v1alpha1.Spider:
		return Spiders
	case *batchv1.Job:
		return Jobs
	case *corev1.Pod:
		return Pods
	case *corev1.Event:
		return Events
	}
	panic(fmt.Sprintf("the simulated cluster knows no %T", obj))
}

func (f *View) noticed(obj client.Object) {
	if f.seen != nil {
		f.seen(obj)
	}
}

// Get implements client.Reader.
func (f *View) Get(ctx context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	kind := kindOf(into)
	if f.caches == nil {
		if err := f.gate(ctx, Call{Verb: "get", Kind: kind, NamespacedName: key}); err != nil {
			return err
		}
	}
	var found client.Object
	if f.caches != nil {
		found = f.caches.find(kind, key)
	} else {
		found = f.cluster.find(kind, key.Namespace, key.Name)
	}
	if found == nil {
		return apierrors.NewNotFound(resourceOf(kind), key.Name)
	}
	f.noticed(found)
	copyInto(into, found, f.caches == nil)
	return nil
}

// List implements client.Reader.
func (f *View) List(ctx context.Context, list client.ObjectList, opts ...client.ListOption) error {
	var o client.ListOptions
	o.ApplyOptions(opts)
	var kind Kind
	switch list.(type) {
	case *v1alpha1.SpiderJobList:
		kind = SpiderJobs
	case *v1alpha1.SpiderList:
		kind = Spiders
	case *batchv1.JobList:
		kind = Jobs
	case *corev1.PodList:
		kind = Pods
	case *corev1.EventList:
		kind = Events
	default:
		panic(fmt.Sprintf("the simulated cluster knows no %T", list))
	}
	if f.caches == nil {
		if err := f.gate(
			ctx,
			Call{Verb: "list", Kind: kind, NamespacedName: types.NamespacedName{Namespace: o.Namespace}},
		); err != nil {
			return err
		}
	}
	objects := f.cluster.objects[kind]
	if f.caches != nil {
		objects = f.caches.objects[kind]
	}
	version := strconv.FormatInt(f.cluster.version, 10)
	items := 0
	for _, obj := range objects {
		if o.Namespace != "" && obj.GetNamespace() != o.Namespace || !selects(o.LabelSelector, o.FieldSelector, obj) {
			continue
		}
		if items++; o.Limit > 0 && int64(items) > o.Limit {
			break
		}
		f.noticed(obj)
		if f.caches == nil {
			obj = obj.DeepCopyObject().(client.Object) //nolint:forcetypeassert // A deep copy is of the same type.
		}
		switch list := list.(type) {
		case *v1alpha1.SpiderJobList:
			list.Items = append(list.Items, *obj.(*v1alpha1.SpiderJob)) //nolint:forcetypeassert // A kind holds one type.
		case *v1alpha1.SpiderList:
			list.Items = append(list.Items, *obj.(*v1alpha1.Spider)) //nolint:forcetypeassert // As above.
		case *batchv1.JobList:
			list.Items = append(list.Items, *obj.(*batchv1.Job)) //nolint:forcetypeassert // As above.
		case *corev1.PodList:
			list.Items = append(list.Items, *obj.(*corev1.Pod)) //nolint:forcetypeassert // As above.
		case *corev1.EventList:
			list.Items = append(list.Items, *obj.(*corev1.Event)) //nolint:forcetypeassert // As above.
		}
	}
	list.SetResourceVersion(version)
	return nil
}

// selects reports whether selectors choose an object. Of fields those are known that the operator selects by.
func selects(byLabel labels.Selector, byField fields.Selector, obj client.Object) bool {
	if byLabel != nil && !byLabel.Matches(labels.Set(obj.GetLabels())) {
		return false
	}
	if byField == nil {
		return true
	}
	for _, r := range byField.Requirements() {
		var value string
		switch r.Field {
		case "spiderjob":
			value = obj.GetLabels()[v1alpha1.LabelSpiderJob]
		case "metadata.name":
			value = obj.GetName()
		default:
			event, ok := obj.(*corev1.Event)
			if !ok {
				panic("the simulated cluster cannot select by " + r.Field)
			}
			switch r.Field {
			case "involvedObject.uid":
				value = string(event.InvolvedObject.UID)
			case "involvedObject.name":
				value = event.InvolvedObject.Name
			case "involvedObject.kind":
				value = event.InvolvedObject.Kind
			case "involvedObject.fieldPath":
				value = event.InvolvedObject.FieldPath
			case "type":
				value = event.Type
			case "reason":
				value = event.Reason
			default:
				panic("the simulated cluster cannot select by " + r.Field)
			}
		}
		if (value == r.Value) != (r.Operator == "=" || r.Operator == "==") {
			return false
		}
	}
	return true
}

// write does what a call asks for, unless the gate is against it.
func (f *View) write(ctx context.Context, call Call, do func() error) error {
	err := f.gate(ctx, call)
	lost := errors.Is(err, ErrAnswerLost)
	if err != nil && !lost {
		return err
	}
	f.cluster.as(f.who, func() { err = do() })
	if lost {
		return apierrors.NewTimeoutError("the server was unable to return a response in the time allotted", 0)
	}
	return err
}

// Create implements client.Writer.
func (f *View) Create(ctx context.Context, obj client.Object, _ ...client.CreateOption) error {
	kind := kindOf(obj)
	return f.write(
		ctx,
		Call{Verb: "create", Kind: kind, NamespacedName: client.ObjectKeyFromObject(obj), Object: obj},
		func() error {
			return f.cluster.Create(kind, obj)
		},
	)
}

// Delete implements client.Writer.
func (f *View) Delete(ctx context.Context, obj client.Object, opts ...client.DeleteOption) error {
	var o client.DeleteOptions
	o.ApplyOptions(opts)
	kind, options := kindOf(obj), o.AsDeleteOptions()
	call := Call{Verb: "delete", Kind: kind, NamespacedName: client.ObjectKeyFromObject(obj), Options: options}
	return f.write(ctx, call, func() error { return f.cluster.Delete(kind, obj.GetNamespace(), obj.GetName(), *options) })
}

// Patch implements client.Writer, for merge patches.
func (f *View) Patch(ctx context.Context, obj client.Object, patch client.Patch, _ ...client.PatchOption) error {
	kind := kindOf(obj)
	data, err := patch.Data(obj)
	if err != nil {
		return err
	}
	call := Call{Verb: "patch", Kind: kind, NamespacedName: client.ObjectKeyFromObject(obj), Object: obj}
	return f.write(ctx, call, func() error { return f.cluster.patch(kind, obj, data) })
}

func (c *Cluster) patch(kind Kind, obj client.Object, data []byte) error {
	current := c.find(kind, obj.GetNamespace(), obj.GetName())
	if current == nil {
		return apierrors.NewNotFound(resourceOf(kind), obj.GetName())
	}
	before, err := json.Marshal(current)
	if err != nil {
		return err
	}
	after, err := jsonpatch.MergePatch(before, data)
	if err != nil {
		return err
	}
	next := current.DeepCopyObject().(client.Object) //nolint:forcetypeassert // A deep copy is of the same type.
	if err := json.Unmarshal(after, next); err != nil {
		return err
	}
	switch {
	case next.GetUID() != current.GetUID():
		return apierrors.NewConflict(resourceOf(kind), obj.GetName(), errors.New("the precondition failed: UID"))
	case next.GetResourceVersion() != current.GetResourceVersion():
		return apierrors.NewConflict(resourceOf(kind), obj.GetName(), errors.New("the object has been modified"))
	}
	if pod, ok := next.(*corev1.Pod); ok {
		was, is := current.(*corev1.Pod).Spec.ActiveDeadlineSeconds, pod.Spec.ActiveDeadlineSeconds
		if was != nil && (is == nil || *is > *was) || is != nil && *is < 1 {
			return apierrors.NewInvalid(corev1.SchemeGroupVersion.WithKind("Pod").GroupKind(), obj.GetName(), nil)
		}
	}
	if !equality.Semantic.DeepEqual(current, next) {
		c.store(kind, current, next)
	}
	copyInto(obj, next, true)
	return nil
}

// Status implements client.StatusClient.
func (f *View) Status() client.SubResourceWriter { return statusWriter{f: f} }

type statusWriter struct {
	client.SubResourceWriter
	f *View
}

func (w statusWriter) Update(ctx context.Context, obj client.Object, _ ...client.SubResourceUpdateOption) error {
	kind := kindOf(obj)
	call := Call{Verb: "update", Kind: kind, Status: true, NamespacedName: client.ObjectKeyFromObject(obj), Object: obj}
	return w.f.write(ctx, call, func() error { return w.f.cluster.Update(kind, obj, true) })
}

// Caches are what a process has heard of so far.
type Caches struct {
	cluster  *Cluster
	position [kinds]int
	objects  [kinds][]client.Object
}

// Notice is what a cache passes to its handlers: Before is nil for what is new, After for what is gone.
type Notice struct{ Before, After client.Object }

// NewCaches returns caches that have been filled, by a list that missed the last changes of each kind, as many as lag says.
func (c *Cluster) NewCaches(lag func(kind Kind) int) *Caches {
	k := &Caches{cluster: c}
	for _, kind := range Kinds {
		k.Deliver(kind, max(len(c.changes[kind])-lag(kind), 0))
	}
	return k
}

// Objects are what a cache holds of a kind.
func (k *Caches) Objects(kind Kind) []client.Object { return slices.Clone(k.objects[kind]) }

// Behind is how many changes a cache has not heard of.
func (k *Caches) Behind(kind Kind) int { return len(k.cluster.changes[kind]) - k.position[kind] }

// Deliver brings the next n changes of a kind to a cache, and returns the notices for its handlers.
func (k *Caches) Deliver(kind Kind, n int) []Notice {
	var notices []Notice
	for range min(n, k.Behind(kind)) {
		change := k.cluster.changes[kind][k.position[kind]]
		k.position[kind]++
		if notice, relevant := k.take(kind, change); relevant {
			notices = append(notices, notice)
		}
	}
	return notices
}

func (k *Caches) take(kind Kind, change *Change) (Notice, bool) {
	var about client.Object
	if about = change.After; about == nil {
		about = change.Before
	}
	if _, ours := about.GetLabels()[v1alpha1.LabelSpiderJob]; (kind == Jobs || kind == Pods) && !ours {
		return Notice{}, false
	}
	i := slices.IndexFunc(k.objects[kind], func(o client.Object) bool { return o.GetUID() == about.GetUID() })
	if change.After == nil {
		if i < 0 {
			return Notice{}, false
		}
		before := k.objects[kind][i]
		k.objects[kind] = slices.Delete(slices.Clone(k.objects[kind]), i, i+1)
		return Notice{Before: before}, true
	}
	if change.slim == nil {
		change.slim = change.After
		if k.cluster.Slim != nil {
			change.slim = change.After.DeepCopyObject().(client.Object) //nolint:forcetypeassert // A deep copy is of the same type.
			k.cluster.Slim(change.slim)
		}
	}
	if i < 0 {
		k.objects[kind] = append(k.objects[kind], change.slim)
		return Notice{After: change.slim}, true
	}
	before := k.objects[kind][i]
	k.objects[kind][i] = change.slim
	return Notice{Before: before, After: change.slim}, true
}

func (k *Caches) find(kind Kind, key types.NamespacedName) client.Object {
	for _, obj := range k.objects[kind] {
		if obj.GetName() == key.Name && obj.GetNamespace() == key.Namespace {
			return obj
		}
	}
	return nil
}
