package spiderjob

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"runtime/debug"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers/spiderjob/simulated"
	"github.com/scrapethis/spider-operator/internal/allowed"
)

const (
	// storyLength is how many steps are taken before the world is left alone.
	storyLength = 160
	// persistence is how long trouble then lasts while everything else happens at once.
	persistence = 3 * time.Minute
	// patience is how long a world that has become kind may take to bring every SpiderJob to its end.
	patience = 4 * time.Hour
)

// simulation says which histories are told.
type simulation struct {
	troubles trouble
	faults   faults
	// without are invariants that are not checked, to look for others while one is known to be broken.
	without []string
}

// faults are mutations of the operator, for tests of the tests. The zero value changes nothing.
type faults struct {
	// client stands between the reconciler and its client, and live between it and its reader of kube-apiserver itself, where
	// cached is that of its caches.
	client func(client.Client) client.Client
	live   func(cached client.Client, live client.Reader) client.Reader
	// logs stands between the reconciler and its reader of logs.
	logs func(logReader) logReader
	// decide takes the place of decide.
	decide func(o *observation, now time.Time) decision
}

func (f faults) wrapDecide() func(*observation, time.Time) decision {
	if f.decide != nil {
		return f.decide
	}
	return decide
}

func (f faults) wrapClient(c client.Client) client.Client {
	if f.client != nil {
		return f.client(c)
	}
	return c
}

func (f faults) wrapLive(cached client.Client, live client.Reader) client.Reader {
	if f.live != nil {
		return f.live(cached, live)
	}
	return live
}

func (f faults) wrapLogs(l logReader) logReader {
	if f.logs != nil {
		return f.logs(l)
	}
	return l
}

// history is one story: a cluster, processes of the operator, and what became of them. The same seed tells the same story: each
// step draws from a source of its own, so that the other steps stay what they are when one is left out.
type history struct {
	seed     uint64
	skip     []bool    // steps that are left out
	troubles trouble   // those that may still come
	kinds    trouble   // those of the whole story
	menu     []trouble // what the story draws from, also where some of it is left out
	faults   faults
	without  []string

	begun        time.Time
	rng          *rand.Rand
	cluster      *simulated.Cluster
	leaders      []*process // the last is the one that leads; those before have been deposed and do not know it yet
	everyProcess []*process
	skews        skews
	truth        truth

	kept         map[types.UID]bool // SpiderJobs that somebody wants to keep for ever
	queueResumes bool               // a queue resumes whatever it has suspended

	limited bool // one run at a time may run in namespace a

	story      []line
	silent     bool
	broken     string // the invariant that was broken
	how        string
	panicStack string
}

// skews are how far clocks are ahead.
type skews struct{ controller, widest time.Duration }

// line is one line of the story; it is put together only if somebody wants to read it.
type line struct {
	at     time.Duration
	format string
	args   []any
}

func (h *history) tell(format string, args ...any) {
	if h.silent {
		return
	}
	h.story = append(h.story, line{time.Since(h.begun), format, args})
}

// String is the story as people read it.
func (h *history) String() string {
	var b strings.Builder
	for _, l := range h.story {
		fmt.Fprintf(&b, "%10s  ", l.at.Round(time.Millisecond))
		fmt.Fprintf(&b, l.format, l.args...)
		b.WriteByte('\n')
	}
	if h.broken != "" {
		fmt.Fprintf(&b, "VIOLATION of %s: %s\n%s", h.broken, h.how, h.scene())
	}
	b.WriteString(h.panicStack)
	return b.String()
}

// scene is what there is at the end.
func (h *history) scene() string {
	var b strings.Builder
	c := h.cluster
	for _, sj := range c.AllSpiderJobs() {
		fmt.Fprintf(
			&b, "SpiderJob %s/%s %s: %s/%s deleted %s, finalizers %q, stop %v\n", sj.Namespace, sj.Name, sj.UID, sj.Status.Phase,
			sj.Status.Reason, sj.DeletionTimestamp, sj.Finalizers, sj.Status.Stop,
		)
	}
	for _, job := range c.AllJobs() {
		fmt.Fprintf(
			&b, "Job %s of %s: suspended %t, deleted %s, finalizers %q, conditions", job.UID, job.Labels[v1alpha1.LabelSpiderJobUID],
			ptr.Deref(job.Spec.Suspend, false), job.DeletionTimestamp, job.Finalizers,
		)
		for _, condition := range job.Status.Conditions {
			fmt.Fprintf(&b, " %s=%s", condition.Type, condition.Status)
		}
		b.WriteByte('\n')
	}
	for _, pod := range c.AllPods() {
		fmt.Fprintf(
			&b, "Pod %s on node %q: %s %s, deleted %s, finalizers %q\n", pod.Name, pod.Spec.NodeName, pod.Status.Phase, pod.Status.Reason,
			pod.DeletionTimestamp, pod.Finalizers,
		)
	}
	return b.String()
}

// violate notes that something happened that must not. The first violation ends the story.
func (h *history) violate(invariant, format string, args ...any) {
	if h.broken == "" && !slices.Contains(h.without, invariant) {
		h.broken, h.how = invariant, fmt.Sprintf(format, args...)
	}
}

func (h *history) pick(n int) int { return h.rng.IntN(n) }

// chance is true p times in a hundred.
func (h *history) chance(p int) bool { return h.rng.IntN(100) < p }

func (h *history) source(i int) *rand.Rand { return rand.New(rand.NewPCG(h.seed, uint64(i))) }

// tellHistory lets one history happen in a bubble of its own.
func tellHistory(t *testing.T, seed uint64, s simulation) *history {
	t.Helper()
	return retell(t, seed, s, s.troubles, nil)
}

// retell tells a history with only some of its kinds of trouble, and without the steps in skip.
func retell(t *testing.T, seed uint64, s simulation, troubles trouble, skip []bool) *history {
	t.Helper()
	h := &history{
		limited:  seed%4 == 0,
		kept:     map[types.UID]bool{},
		seed:     seed,
		skip:     skip,
		troubles: troubles,
		kinds:    troubles,
		faults:   s.faults,
		without:  s.without,
	}
	for i := range troubleNames {
		if kind := trouble(1) << i; s.troubles&kind != 0 {
			h.menu = append(h.menu, kind)
		}
	}
	synctest.Test(t, func(*testing.T) {
		defer h.end()
		h.live()
	})
	return h
}

// live is the whole story.
func (h *history) live() {
	h.rng, h.begun = h.source(0), time.Now()
	h.build()
	for i := range storyLength {
		if i < len(h.skip) && h.skip[i] {
			continue
		}
		h.rng = h.source(i + 1)
		h.step()
		if h.check(); h.broken != "" {
			return
		}
	}
	h.rng = h.source(storyLength + 1)
	h.persist()
	if h.broken == "" {
		h.settle()
	}
}

// end ends all that would go on.
func (h *history) end() {
	if r := recover(); r != nil {
		h.violate(invariantNoPanic, "%v", r)
		h.panicStack = string(debug.Stack())
	}
	h.silent = true
	for _, p := range h.everyProcess {
		p.die()
	}
	synctest.Wait()
}

// build sets the scene.
func (h *history) build() {
	h.cluster = simulated.New("north", "south", "west")
	h.cluster.Slim, h.cluster.Tell, h.cluster.Script = slimmed, h.tell, h.script
	h.truth = newTruth()
	h.cluster.OnStart(h.started)
	if h.has(troubleClocks) {
		h.setClocks()
	}
	for i, namespace := range []string{"a", "b"} {
		h.createSpider(namespace)
		if i == 0 || h.chance(50) {
			h.createSpiderJob(namespace, "run")
		}
	}
	h.leaders = []*process{h.newProcess(4, h.skews.controller, func(simulated.Kind) int { return 0 })}
}

// retentions are for how long Spiders and users have SpiderJobs kept: for longer than the operator by itself, and for less.
var retentions = []time.Duration{0, 2 * time.Minute, 6 * time.Hour, 9 * 24 * time.Hour}

func (h *history) createSpider(namespace string) {
	spider := &v1alpha1.Spider{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "books"}}
	retries, most := int32(h.pick(3)), int32(h.pick(4))
	spider.Spec.Retries, spider.Spec.MaxInterruptions = &retries, &most
	if h.has(troubleVerdicts) {
		spider.Spec.Expectations = h.expectations()
	}
	if h.chance(40) {
		limit := int64(30 + 30*h.pick(8))
		spider.Spec.TimeoutSeconds = &limit
	}
	if h.chance(20) {
		limit := int64(60 + 60*h.pick(8))
		spider.Spec.StartDeadlineSeconds = &limit
	}
	if h.chance(20) {
		spider.Spec.InterruptionPolicy = v1alpha1.InterruptionFail
	}
	if h.chance(20) {
		grace := int64(1 + h.pick(60))
		if h.has(troubleZeroGrace) {
			grace--
		}
		spider.Spec.TerminationGracePeriodSeconds = &grace
	}
	if h.chance(30) {
		keep := int64(retentions[h.pick(len(retentions))] / time.Second)
		spider.Spec.TTLSecondsAfterFinished = &keep
	}
	if h.chance(20) {
		keep := int64(h.pick(4)) * 1200
		spider.Spec.PodRetentionSeconds = &keep
	}
	if h.has(troubleQueue) {
		spider.Spec.QueueName = "queue"
	}
	h.tell(
		"somebody creates Spider %s/books: retries %d, interruptions %d %s, timeout %d, start deadline %d, kept for %d s, Pods for %d s",
		namespace,
		retries,
		most,
		spider.Spec.InterruptionPolicy,
		ptr.Deref(spider.Spec.TimeoutSeconds, 0),
		ptr.Deref(
			spider.Spec.StartDeadlineSeconds,
			0,
		),
		ptr.Deref(spider.Spec.TTLSecondsAfterFinished, -1),
		ptr.Deref(spider.Spec.PodRetentionSeconds, -1),
	)
	_ = h.cluster.Create(simulated.Spiders, spider)
}

func (h *history) createSpiderJob(namespace, name string) {
	sj := &v1alpha1.SpiderJob{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec:       v1alpha1.SpiderJobSpec{SpiderRef: v1alpha1.SpiderReference{Name: "books"}},
		Status:     v1alpha1.SpiderJobStatus{Phase: v1alpha1.PhasePending},
	}
	if h.pick(2) == 0 { // more than is held of them
		sj.Spec.Arguments = map[string]v1alpha1.ArgumentValue{
			"url": v1alpha1.ArgumentValue(strings.Repeat(name, allowed.KeptArgumentsBytes/len(name)+1)),
		}
	}
	if h.cluster.Create(simulated.SpiderJobs, sj) == nil {
		h.tell("somebody creates SpiderJob %s/%s (%s)", namespace, name, sj.UID)
	}
}

// process is the one of a name.
func (h *history) process(name string) *process {
	for _, p := range h.everyProcess {
		if p.name == name {
			return p
		}
	}
	panic("no process " + name)
}

// leader is the process that leads.
func (h *history) leader() *process { return h.leaders[len(h.leaders)-1] }

// step lets one thing happen.
func (h *history) step() {
	switch n := h.pick(100); {
	case n < 30:
		h.runSome(h.leaders[h.pick(len(h.leaders))])
	case n < 40:
		p := h.leaders[h.pick(len(h.leaders))]
		kind := simulated.Kinds[h.pick(len(simulated.Kinds))]
		p.deliver(kind, 1+h.pick(4))
	case n < 62:
		h.world(h.pick(6))
	case n < 70:
		h.world(-1)
	case n < 79:
		jumps := []time.Duration{
			100 * time.Millisecond,
			time.Second,
			time.Second,
			3 * time.Second,
			10 * time.Second,
			30 * time.Second,
			time.Minute,
			6 * time.Minute,
		}
		// Now and then nobody reads a log meanwhile.
		h.sleep(jumps[h.pick(len(jumps))], !h.has(troubleLogs) || h.chance(70))
	case n < 83:
		h.leader().logs.read()
	default:
		h.disturb()
	}
}

// world lets one component of the cluster take a step, or with -1 all of them.
func (h *history) world(which int) {
	c := h.cluster
	if which == 0 || which < 0 {
		c.SyncJobs()
	}
	if which == 1 || which < 0 {
		c.CollectGarbage()
		c.CollectPods()
		c.EvictFromLostNodes()
		c.ExpireEvents()
	}
	if which == 2 || which < 0 {
		c.Schedule(h.pick)
	}
	if which == 3 || which < 0 {
		c.SyncJobs()
		c.Schedule(h.pick)
	}
	if which > 3 || which < 0 {
		for _, n := range c.Nodes() {
			c.SyncPods(n)
		}
	}
}

// runSome lets a process work: it hears of all that has happened, or of none of it, and gets to the end of what it does, or is
// left standing before one of its calls.
func (h *history) runSome(p *process) {
	if h.chance(70) {
		h.catchUp(p)
		p.hear()
	}
	calls := 1000
	if h.chance(30) {
		calls = h.pick(6)
	}
	for calls > 0 {
		w := h.busiest(p)
		if w == nil {
			return
		}
		if w.busy {
			if w.readyAt.After(time.Now()) {
				return
			}
			h.release(w)
		}
		calls--
	}
}

func (h *history) catchUp(p *process) {
	for _, kind := range simulated.Kinds {
		p.deliver(kind, p.caches.Behind(kind))
	}
}

// busiest is a worker of the process that has something to do; it gives work to one that has none.
func (h *history) busiest(p *process) *worker {
	var idle, busy []*worker
	for _, w := range p.workers {
		if w.busy && !w.readyAt.After(time.Now()) {
			busy = append(busy, w)
		} else if !w.busy {
			idle = append(idle, w)
		}
	}
	if len(busy) > 0 && (len(idle) == 0 || h.chance(70)) {
		return busy[h.pick(len(busy))]
	}
	for _, w := range idle {
		if w.begin() {
			return w
		}
	}
	if len(busy) > 0 {
		return busy[0]
	}
	return nil
}

// release lets a worker's call go, or has it fail.
func (h *history) release(w *worker) {
	if h.has(troubleAPI) && w.answer == nil && h.chance(8) {
		w.faulty = true
		switch h.pick(4) {
		case 0:
			w.answer = apierrors.NewInternalError(errors.New("etcdserver: leader changed"))
		case 1:
			w.answer = errTransient
		case 2:
			w.answer = apierrors.NewTooManyRequests("too many requests", 1)
		case 3:
			if w.call.Write() {
				w.answer = simulated.ErrAnswerLost
			}
		}
		if w.answer != nil {
			h.tell("%s: %s fails: %v", w.process.name, w.call, w.answer)
		}
	}
	if w.answer == nil || errors.Is(w.answer, simulated.ErrAnswerLost) {
		h.tellCall(w)
	} else if w.call.Write() && !errors.Is(w.answer, errTransient) {
		h.tell("%s: %s is refused: %v", w.process.name, w.call, w.answer)
	}
	w.resume()
	h.check()
}

func (h *history) tellCall(w *worker) {
	if !w.call.Write() {
		return
	}
	switch obj := w.call.Object.(type) {
	case *v1alpha1.SpiderJob:
		st := &obj.Status
		h.tell(
			"%s: records %s of %s: %s/%s %q, attempts %d, interruptions %d, items %d", w.process.name, w.call.NamespacedName, obj.UID,
			st.Phase, st.Reason, st.Message, st.Attempts, st.Interruptions, items(st),
		)
	default:
		grace := int64(-1)
		if o := w.call.Options; o != nil && o.GracePeriodSeconds != nil {
			grace = *o.GracePeriodSeconds
		}
		if w.call.Verb == "delete" && grace >= 0 {
			h.tell("%s: %s with grace %d", w.process.name, w.call, grace)
		} else {
			h.tell("%s: %s", w.process.name, w.call)
		}
	}
}

// promptly lets all that is due take place at once, but for trouble, and then a second pass.
func (h *history) promptly(d time.Duration) {
	for range 3 {
		before := h.cluster.Version()
		if h.queueResumes {
			for _, job := range h.cluster.AllJobs() {
				h.cluster.Suspend(job, false)
			}
		}
		h.world(-1)
		for _, p := range h.leaders {
			h.catchUp(p)
			p.logs.read()
			p.hear()
			for range 400 {
				w := h.ready(p)
				if w == nil {
					break
				}
				if w.busy && !w.readyAt.After(time.Now()) {
					h.release(w)
				}
				h.catchUp(p)
			}
		}
		if h.check(); h.broken != "" || before == h.cluster.Version() {
			break
		}
	}
	h.sleep(d, true)
}

// sleep lets time pass. The collectors' alarms go off in time, and with answers kubelets answer what that begins.
func (h *history) sleep(d time.Duration, answers bool) {
	for end := time.Now().Add(d); ; {
		until := end
		for _, p := range h.leaders {
			if at, ok := p.logs.alarms.next(); ok && at.Before(until) {
				until = at
			}
		}
		time.Sleep(time.Until(until))
		for _, p := range h.leaders {
			p.logs.run(answers)
		}
		if !until.Before(end) {
			return
		}
	}
}

// ready is a worker with something to do now, in a fixed order.
func (h *history) ready(p *process) *worker {
	for _, w := range p.workers {
		if w.busy && !w.readyAt.After(time.Now()) {
			return w
		}
	}
	for _, w := range p.workers {
		if !w.busy && w.begin() {
			return w
		}
	}
	return nil
}

// persist lets trouble last while everything else happens at once.
func (h *history) persist() {
	h.tell("--- trouble lasts")
	h.retire()
	h.troubles &^= troubleAPI
	end := time.Now().Add(persistence)
	begun := time.Now()
	for time.Now().Before(end) && h.broken == "" {
		h.promptly(2 * time.Second)
		switch lasts := time.Since(begun); {
		case lasts > 90*time.Second:
			h.checkWaits()
			h.checkHeld()
		case lasts > 60*time.Second && lasts <= 62*time.Second:
			clear(h.truth.spent)
		}
	}
	h.checkSpending(persistence - 60*time.Second)
}

// retire ends all processes but the leader, who is told of all that has happened.
func (h *history) retire() {
	for _, p := range h.leaders[:len(h.leaders)-1] {
		p.die()
	}
	h.leaders = h.leaders[len(h.leaders)-1:]
}

// settle makes the world kind, and lets everything run its course: each SpiderJob must come to its end.
func (h *history) settle() {
	h.mend()
	begun, end := time.Now(), time.Now().Add(patience)
	var settled time.Time
	for i := 0; h.broken == ""; i++ {
		if waited := time.Since(begun); waited > 75*time.Second && waited < 2*time.Minute {
			h.checkPrompt()
		}
		if i > 3 && h.settled() {
			if settled.IsZero() {
				settled = time.Now()
			}
			if h.forgotten() || time.Since(settled) > hangs {
				break
			}
		}
		if time.Now().After(end) {
			h.unsettled()
			return
		}
		h.promptly([]time.Duration{time.Second, 5 * time.Second, 30 * time.Second}[min(i/20, 2)])
	}
	if h.broken == "" {
		h.checkSettled()
		h.outlive()
	}
}

// outlive lets the times pass for which Jobs and then SpiderJobs are kept.
func (h *history) outlive() {
	h.tell("--- what has ended is not kept for ever")
	for _, wait := range []time.Duration{testDefaults().PodRetention + h.skews.widest*2, slices.Max(retentions)} {
		h.sleep(wait, true)
		for range 6 {
			h.promptly(10 * time.Second)
		}
		for _, job := range h.cluster.AllJobs() {
			h.violate(invariantForgets, "Job %s is still there", job.UID)
		}
	}
	for _, sj := range h.cluster.AllSpiderJobs() {
		if !h.kept[sj.UID] {
			h.violate(invariantForgets, "SpiderJob %s is still there", sj.UID)
		}
	}
	if jobs, logs := h.leader().remembered(); jobs+logs > len(h.cluster.AllSpiderJobs()) {
		h.violate(invariantForgets, "%d SpiderJobs are remembered and %d logs are read, and none is left", jobs, logs)
	}
}

// hangs is longer than any call hangs: until then, what a call is about is rightly remembered though it has ended.
const hangs = 2 * time.Minute

// forgotten reports whether no more is remembered than there is.
func (h *history) forgotten() bool {
	jobs, logs := h.leader().remembered()
	return jobs <= len(h.cluster.AllSpiderJobs()) && logs == 0
}

// settled reports whether every SpiderJob has ended and nothing runs any more.
func (h *history) settled() bool {
	for _, sj := range h.cluster.AllSpiderJobs() {
		if !sj.Status.Phase.Terminal() {
			return false
		}
	}
	for _, p := range h.cluster.Processes() {
		if p.Running() && p.DeclaredDead == "" && !h.onLostNode(p) {
			return false
		}
	}
	return true
}

func (h *history) onLostNode(p *simulated.Process) bool {
	for _, n := range h.cluster.Nodes() {
		if n.Name == p.Node {
			return n.Deleted
		}
	}
	return false
}

func (h *history) unsettled() {
	for _, sj := range h.cluster.AllSpiderJobs() {
		if !sj.Status.Phase.Terminal() {
			h.violate(
				invariantEnds, "SpiderJob %s does not come to an end: %s/%s %q", sj.UID, sj.Status.Phase, sj.Status.Reason, sj.Status.Message,
			)
		}
	}
	for _, p := range h.cluster.Processes() {
		if p.Running() && p.DeclaredDead == "" && !h.onLostNode(p) {
			h.violate(
				invariantNothingLeft, "container %s of Pod %s still runs, %s after the world became kind", p.Container, p.PodName, patience,
			)
		}
	}
}

// mend makes the world kind.
func (h *history) mend() {
	h.tell("--- the world becomes kind")
	c := h.cluster
	h.troubles = 0
	c.Admission, c.Unschedulable = nil, false
	clear(c.Quotas)
	clear(c.QueuedNamespaces)
	c.LetGo()
	for _, n := range c.Nodes() {
		n.Logs = simulated.LogsFine
		if n.Deleted || n.State == simulated.Up {
			continue
		}
		if h.chance(60) {
			c.Reconnect(n, h.madeUp())
		} else {
			c.Remove(n)
		}
	}
	if !h.anyNode() {
		h.cluster.Join("east")
	}
	for _, job := range c.AllJobs() {
		if ptr.Deref(job.Spec.Suspend, false) {
			h.tell("the queue resumes Job %s", job.UID)
			c.Suspend(job, false)
		}
	}
	h.queueResumes = true
}

func (h *history) anyNode() bool {
	for _, n := range h.cluster.Nodes() {
		if !n.Deleted && n.State == simulated.Up {
			return true
		}
	}
	return false
}

// called counts a call of a worker, and looks at how it is made.
func (h *history) called(w *worker, call simulated.Call) {
	if spent := h.truth.spentOn(w.taken.Request.NamespacedName); call.Write() {
		spent.writes++
	} else {
		spent.reads++
	}
	if o := call.Options; o != nil && (o.Preconditions == nil || o.Preconditions.UID == nil) {
		h.violate(invariantUID, "%s: %s names no UID", w.process.name, call)
	}
}

// reconciled looks at what a reconcile has come to.
func (h *history) reconciled(w *worker) {
	err := w.err
	if err == nil || w.faulty || w.process.dead || apierrors.IsConflict(err) || apierrors.IsNotFound(err) ||
		errors.Is(err, context.Canceled) {
		return
	}
	h.violate(invariantNoErrors, "the reconcile of %s fails though nothing failed: %v", w.taken.Request.NamespacedName, err)
}

func (h *history) podsOf(sj types.UID) []*corev1.Pod {
	var out []*corev1.Pod
	for _, pod := range h.cluster.AllPods() {
		if pod.Labels[v1alpha1.LabelSpiderJobUID] == string(sj) {
			out = append(out, pod)
		}
	}
	return out
}
