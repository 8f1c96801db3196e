package lifecycle

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/metrics"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// maxReconciles bounds the reconciles of a SpiderJob that runs undisturbed, from its creation to the deletion of its Job. Each
// of some fifteen watch events causes one, unless several coincide.
const maxReconciles = 20

// The tests of this file do not run in parallel with others: they count everything in the process.

// TestCostOfSpiderJobs counts what SpiderJobs cost kube-apiserver, in writes and in reads of logs.
func TestCostOfSpiderJobs(t *testing.T) {
	const (
		create, status       = "create jobs", "update spiderjobs/status"
		deletePod, deleteJob = "delete pods", "delete jobs"
	)
	briefly := func(spec *v1alpha1.SpiderSpec) { spec.PodRetentionSeconds = ptr.To[int64](0) }
	for _, c := range []struct {
		name    string
		program node.Program
		spider  []func(*v1alpha1.SpiderSpec)
		cancel  bool
		writes  []string
		logs    int
	}{
		{"a Scrapy that finishes", quickCrawl(7), with(briefly), false,
			[]string{create, status, status, deleteJob}, 1},
		{"a process with a termination message", exits(node.Exit{Message: `{"items_scraped": 5}`}), with(briefly, ownCommand), false,
			[]string{create, status, status, deleteJob}, 0},
		{"a Scrapy that is cancelled", longCrawl(4), nil, true,
			[]string{create, status, status, deletePod, deleteJob, status}, 1}, // the stop is recorded while its log is opened
		{"a process that is cancelled", dies, with(ownCommand), true,
			[]string{create, status, deletePod, status, deleteJob, status}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.spider(c.program, c.spider...)
			replica := s.controller()
			before := reconciles(t)
			s.job("run")
			if c.cancel {
				s.awaitPhase("run", v1alpha1.PhaseRunning)
				s.cancel("run", nil)
			}
			s.awaitEnd("run")
			s.awaitNoJob("run")
			settle()
			if diff := cmp.Diff(c.writes, replica.writes()); diff != "" {
				t.Errorf("other writes than wanted (-want +got):\n%s", diff)
			}
			if n := replica.count("get pods/log"); n != c.logs {
				t.Errorf("%d reads of logs, want %d", n, c.logs)
			}
			if n := reconciles(t) - before; n > maxReconciles {
				t.Errorf("%d reconciles, want at most %d", n, maxReconciles)
			} else {
				t.Logf("%d reconciles", n)
			}
		})
	}
}

// TestIdleSpiderJobsCostNoCalls leaves the controller alone with SpiderJobs that run, that have just ended, and that ended
// long ago. It makes no calls; a controller that has just been started makes only those that show since when it leads.
// hack/load does the same with more SpiderJobs, and counts the writes of the whole cluster.
func TestIdleSpiderJobsCostNoCalls(t *testing.T) {
	const running, justEnded, ended = 60, 10, 290
	s := newStage(t)
	s.spider(inTurn(longCrawl(1)), ownCommand)
	for i := range ended {
		s.record(fmt.Sprintf("ended-%d", i))
	}
	replica := s.controller()
	for i := range running {
		s.job(fmt.Sprintf("running-%d", i))
	}
	for i := range running {
		s.awaitPhase(fmt.Sprintf("running-%d", i), v1alpha1.PhaseRunning)
	}
	testNode.Serve(s.namespace, exits(node.Exit{Message: `{"items_scraped": 5}`}))
	for i := range justEnded {
		s.job(fmt.Sprintf("just-ended-%d", i))
	}
	for i := range justEnded {
		s.awaitEnd(fmt.Sprintf("just-ended-%d", i))
	}
	settle()
	const recheck = 7 * time.Second // periodic checks come within five
	before := len(replica.wire.noted())
	time.Sleep(recheck)
	if calls := replica.wire.noted()[before:]; len(calls) > 0 {
		t.Errorf("the controller that ran them, with nothing to do, called\n%s", joined(calls))
	}
	replica.stop()

	seen := reconciles(t)
	replica = s.controller()
	time.Sleep(recheck)
	if calls := replica.wire.noted(); len(calls) > 1 || len(replica.writes()) > 0 {
		t.Errorf("a new controller, with nothing to do, called\n%s", joined(calls))
	}
	if n := reconciles(t) - seen; n < running+justEnded+ended {
		t.Errorf("a new controller looked at %d SpiderJobs, and there are %d", n, running+justEnded+ended)
	}
}

// settle waits until the consequences of the end have settled: the Job controller counts Pods once a second.
func settle() { time.Sleep(1500 * time.Millisecond) }

// reconciles returns how often SpiderJobs were reconciled in this process so far.
func reconciles(t *testing.T) int {
	t.Helper()
	families, err := metrics.Registry.Gather()
	if err != nil {
		t.Fatalf("gather the metrics: %v", err)
	}
	total := 0.0
	for _, family := range families {
		if family.GetName() != "controller_runtime_reconcile_total" {
			continue
		}
		for _, metric := range family.GetMetric() { // by result
			total += metric.GetCounter().GetValue()
		}
	}
	return int(total)
}
