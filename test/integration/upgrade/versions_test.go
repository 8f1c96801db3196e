package upgrade

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// ending is how a SpiderJob has ended.
type ending struct {
	end                     string // as summary has it
	attempts, interruptions int32
	// processes is the number of processes of its spider that were ever started.
	processes int
}

var completed = ending{end: "Finished/Completed, 7 items", attempts: 1, processes: 1}

// caught is a SpiderJob that is in some state of its life when the version changes.
type caught struct {
	name   string
	spider v1alpha1.SpiderSpec
	// before brings it into that state, under the old version.
	before func(m *move, name string)
	// after is what happens to it under the new version, nil for nothing.
	after func(m *move, name string)
	want  ending
	// rolledBack is how it ends instead if the new version is the previous one.
	rolledBack *ending
}

// lives are the states of a life in which the version can change.
func lives() []caught {
	interrupted := ending{end: completed.end, attempts: 2, interruptions: 1, processes: 2}
	retries := v1alpha1.SpiderSpec{Retries: ptr.To[int32](1)}
	return []caught{
		{name: "ended", want: completed, before: func(m *move, name string) {
			m.running(name)
			m.release(name)
			m.await(name, "at its end", ended)
		}},
		{name: "running", want: completed, before: (*move).running, after: (*move).release},
		{name: "fails", spider: retries, want: ending{end: completed.end, attempts: 2, processes: 2},
			before: (*move).running, after: (*move).release,
			// Jobs of the newer version create no second Pod, and the older version leaves that to the Jobs.
			rolledBack: &ending{end: "Error/ExitCode, 3 items", attempts: 1, processes: 1}},
		{name: "failed", spider: retries, want: ending{end: completed.end, attempts: 2, processes: 2},
			before: func(m *move, name string) {
				m.running(name)
				m.release(name)
				m.await(name, "to be tried again", func(sj *v1alpha1.SpiderJob) bool { return sj.Status.Reason == v1alpha1.ReasonRetrying })
			}},
		{name: "too-long", spider: v1alpha1.SpiderSpec{TimeoutSeconds: ptr.To[int64](20)}, before: (*move).running,
			want: ending{end: "Error/DeadlineExceeded, 4 items", attempts: 1, processes: 1}},
		{name: "cancelled", before: func(m *move, name string) {
			m.running(name)
			m.cancel(name)
			m.stopping(name)
		}, after: (*move).release, want: ending{end: "Cancelled/Cancelled, 4 items", attempts: 1, processes: 1}},
		{name: "overdue", spider: v1alpha1.SpiderSpec{TimeoutSeconds: ptr.To[int64](1)}, before: (*move).stopping,
			after: (*move).release,
			want:  ending{end: "Error/DeadlineExceeded, 4 items", attempts: 1, processes: 1}},
		{name: "drained", want: interrupted, before: func(m *move, name string) {
			m.running(name)
			m.delete(m.pod(name))
			m.stopping(name)
		}, after: (*move).release},
		{name: "preempted", want: interrupted, before: func(m *move, name string) {
			m.running(name)
			m.suspend(name, true)
			m.awaitReason(name, v1alpha1.ReasonQueued)
		}, after: func(m *move, name string) { m.suspend(name, false) }},
		{name: "unsuspecting", before: (*move).running, after: (*move).cancel,
			want: ending{end: "Cancelled/Cancelled, 4 items", attempts: 1, processes: 1}},
	}
}

// move is a change of version while SpiderJobs are in all states of their lives.
type move struct {
	*testing.T
	// busy is the namespace of jobs that run, full that of jobs that a quota prevents from running, queued that of a job that a
	// queue takes back before it has ever run, and imageless that of a job whose image cannot be pulled.
	busy, full, queued, imageless string
	// released are the jobs whose spiders may end, by name.
	released map[string]chan struct{}
	// namespaces are where the jobs are, by name.
	namespaces map[string]string
}

// TestJobsOutliveAChangeOfVersion checks that whatever state a job is in when the version changes, it ends as it would have
// ended otherwise, and that none is lost or doubled.
func TestJobsOutliveAChangeOfVersion(t *testing.T) {
	before := previous(t)
	t.Run("upgrade", func(t *testing.T) { change(t, before, today(), false) })
	t.Run("rollback", func(t *testing.T) { change(t, today(), before, true) })
	define(t, today())
}

// define installs the definitions of a version over the existing ones.
func define(t *testing.T, v version) {
	t.Helper()
	install(t, v.definitions, func(ctx context.Context) (bool, error) {
		accepted, stored, err := accepts(ctx, "SpiderJob", map[string]any{
			"spiderRef": map[string]any{"name": "books"}, "startDeadlineSeconds": int64(1),
		})
		if err != nil || !accepted {
			return false, err
		}
		_, kept, err := unstructured.NestedInt64(stored.Object, "spec", "startDeadlineSeconds")
		return kept == v.startDeadlines, err
	})
}

func change(t *testing.T, from, to version, back bool) {
	t.Helper()
	define(t, from)
	m := &move{
		T: t, busy: cluster.Namespace(t), full: cluster.Namespace(t), queued: cluster.Namespace(t), imageless: cluster.Namespace(t),
		released: map[string]chan struct{}{}, namespaces: map[string]string{},
	}
	all := lives()
	for i := range all {
		m.released[all[i].name] = make(chan struct{})
	}
	testNode.Serve(m.busy, m.act)
	testNode.Serve(m.full, m.act)
	testNode.Serve(m.queued, m.act)
	testNode.Serve(m.imageless, m.act)
	testNode.RemoveAfter(m.busy, 300*time.Millisecond) // like a kubelet, which has volumes to unmount
	testNode.CannotPull(m.imageless, v1alpha1.ContainerName)
	m.noRoom(m.full)
	m.noRoom(m.queued) // until it is suspended: a queue would suspend it before the Job controller sees it

	stop := from.control(t, m.busy, m.full, m.queued, m.imageless)
	for i := range all {
		m.start(m.busy, all[i].name, all[i].spider)
	}
	waiting := make([]string, 6) // more than may have a Job
	for i := range waiting {
		waiting[i] = fmt.Sprintf("waiting-%d", i)
		m.start(m.full, waiting[i], v1alpha1.SpiderSpec{})
	}
	m.start(m.queued, "queued", v1alpha1.SpiderSpec{})
	m.start(m.imageless, "unpulled", v1alpha1.SpiderSpec{})
	for i := range all {
		all[i].before(m, all[i].name)
	}
	for _, name := range waiting {
		m.awaitReason(name, v1alpha1.ReasonQuotaExceeded)
	}
	m.awaitReason("queued", v1alpha1.ReasonQuotaExceeded)
	m.suspend("queued", true)
	m.awaitReason("queued", v1alpha1.ReasonQueued)
	m.room(m.queued)
	m.awaitReason("unpulled", v1alpha1.ReasonImagePull)
	stop()
	old := m.spiderJob("ended").ResourceVersion

	define(t, to)
	m.start(m.busy, "new", v1alpha1.SpiderSpec{}) // no controller has seen it yet
	to.control(t, m.busy, m.full, m.queued, m.imageless)
	m.ends("new", completed) // so that the new controller works: what ends before that is not seen
	for i := range all {
		if all[i].after != nil {
			all[i].after(m, all[i].name)
		}
	}
	m.room(m.full)
	if sj := m.spiderJob("queued"); sj.Status.Phase != v1alpha1.PhasePending || sj.Status.Reason != v1alpha1.ReasonQueued ||
		m.pod("queued") != nil {
		m.Errorf("a job that a queue holds is %s/%s under the other version, with Pod %v", sj.Status.Phase, sj.Status.Reason,
			m.pod("queued"))
	}
	m.suspend("queued", false)
	m.cancel("unpulled")

	for i := range all {
		want := all[i].want
		if back && all[i].rolledBack != nil {
			want = *all[i].rolledBack
		}
		m.ends(all[i].name, want)
	}
	for _, name := range waiting {
		m.ends(name, completed)
	}
	m.ends("queued", completed)
	// The node counts what it takes over, whether it runs or not.
	m.ends("unpulled", ending{end: "Cancelled/Cancelled", attempts: 1, processes: 1})
	if now := m.spiderJob("ended").ResourceVersion; now != old {
		t.Error("what had ended was written to by the other version")
	}
	if err := testNode.Failures(); err != nil {
		t.Logf("the node failed: %v", err)
	}
}

// act is what every spider here runs. A first attempt ends when it is released, if ever; when asked to stop, it closes only
// then, so that it can be caught stopping. All others end after a moment.
func (m *move) act(p *node.Process) node.Exit {
	name := p.Pod.Labels[v1alpha1.LabelSpiderJob]
	release := m.released[name]
	if release == nil || p.Attempt > 1 {
		release = moment()
	}
	var closes <-chan struct{} = release
	if slices.Contains([]string{"too-long", "preempted", "unsuspecting"}, name) {
		closes = p.Terminated()
	}
	select {
	case <-release:
	case <-p.Terminated():
		select {
		case <-closes:
		case <-p.Killed():
		}
		return node.Exit{Message: `{"items_scraped": 4, "finish_reason": "shutdown"}`}
	case <-p.Killed():
	}
	if p.Attempt == 1 && strings.HasPrefix(name, "fail") {
		return node.Exit{Code: 1, Message: `{"items_scraped": 3}`}
	}
	return node.Exit{Message: `{"items_scraped": 7, "finish_reason": "finished"}`}
}

// moment is closed when a process has run for long enough to be seen.
func moment() chan struct{} {
	done := make(chan struct{})
	time.AfterFunc(time.Second, func() { close(done) })
	return done
}
