package lifecycle

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
)

// seconds is how soon users have to see something that they look at right after an action.
const seconds = 10 * time.Second

// TestARefusedJobSaysWhyAndIsRetried has a Job refused in every way: the status quotes the refusal within seconds, and the job
// starts within a minute of the repair.
func TestARefusedJobSaysWhyAndIsRetried(t *testing.T) {
	closed := "the shop is closed"
	asked := func(serve http.HandlerFunc) func(*stage) func() {
		return func(s *stage) func() { return s.webhook(3, serve) }
	}
	for _, c := range []struct {
		name    string
		refuse  func(s *stage) (repair func())
		message string
		reason  string // empty for any reason that says that the Job could not be created
	}{
		{"a webhook that nobody serves", func(s *stage) func() {
			url, authority := withoutServer()
			return s.webhookAt(url, authority, 3)
		}, "failed calling webhook", ""},
		{"a webhook that hangs", asked(hangs), "failed calling webhook", ""},
		{"a webhook that answers 500", asked(breaks(500)), "failed calling webhook", ""},
		{"a webhook that answers 429", asked(breaks(429)), "failed calling webhook", ""},
		{"a webhook that answers 413", asked(breaks(413)), "failed calling webhook", ""},
		{"a webhook that denies with 400", asked(decides(400, closed, 0)), closed, ""},
		{"a webhook that denies with 403", asked(decides(403, closed, 0)), closed, v1alpha1.ReasonPodForbidden},
		{"a webhook that denies with 413", asked(decides(413, closed, 0)), closed, ""},
		{"a webhook that denies with 422", asked(decides(422, closed, 0)), closed, ""},
		{"a webhook that denies with 429", asked(decides(429, closed, 0)), closed, ""},
		{"a webhook that denies with 500", asked(decides(500, closed, 0)), closed, ""},
		{"a policy", func(s *stage) func() { return s.denyJobs(closed) }, closed, v1alpha1.ReasonPodForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.patience = 90 * time.Second
			repair := c.refuse(s)
			s.eventually("Jobs are refused", s.jobsRefused)
			s.spider(quickCrawl(7))
			s.controller()
			created := time.Now()
			s.job("run")
			seen := s.await("run", "refused", func(sj *v1alpha1.SpiderJob) bool {
				return strings.Contains(sj.Status.Message, c.message) || sj.Status.Phase.Terminal()
			})
			if took := time.Since(created); took > seconds {
				t.Errorf("the refusal was reported after %s", took)
			}
			refusals := map[string]bool{v1alpha1.ReasonPodForbidden: true, v1alpha1.ReasonPodNotCreated: true}
			if st := &seen.Status; st.Phase != v1alpha1.PhasePending || !refusals[st.Reason] || c.reason != "" && st.Reason != c.reason {
				t.Fatalf("a refused SpiderJob is %s", describe(st))
			}
			repair()
			repaired := time.Now()
			s.awaitPhase("run", v1alpha1.PhaseRunning)
			if took := time.Since(repaired); took > time.Minute+seconds {
				t.Errorf("the job was started %s after the repair", took)
			}
			s.awaitOutcome("run", completed)
		})
	}
}

// TestASlowWebhookStillStartsItsJob has a webhook take its time, as one does that checks every image: the operator waits as
// long as kube-apiserver does.
func TestASlowWebhookStillStartsItsJob(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.webhook(30, decides(http.StatusOK, "", 20*time.Second))
	s.spider(quickCrawl(7))
	s.controller()
	s.job("run")
	s.awaitOutcome("run", completed)
	if n := s.jobsMade("run"); n != 1 {
		t.Errorf("%d Jobs were made", n)
	}
}

// TestAHungWebhookDelaysNoOtherNamespace has one namespace's webhook hang while many jobs wait for it. In another namespace
// jobs start, end and are cancelled without delay.
func TestAHungWebhookDelaysNoOtherNamespace(t *testing.T) {
	t.Parallel()
	const stuck = 40 // ten for each worker
	bad, good := newStage(t), newStage(t)
	bad.webhook(10, hangs)
	bad.spider(quickCrawl(7))
	good.spider(longCrawl(4))
	bad.options.Namespaces = []string{bad.namespace, good.namespace}
	bad.controller()
	good.job("running")
	good.awaitPhase("running", v1alpha1.PhaseRunning)
	for i := range stuck {
		bad.job(fmt.Sprintf("stuck-%02d", i))
	}
	bad.await("stuck-00", "refused", func(sj *v1alpha1.SpiderJob) bool { return sj.Status.Message != "" })

	asked := time.Now()
	good.cancel("running", nil)
	good.awaitPhase("running", v1alpha1.PhaseCancelled)
	if took := time.Since(asked); took > seconds {
		t.Errorf("a cancel took %s", took)
	}
	good.node.Serve(good.namespace, quickCrawl(7))
	for i := range 3 {
		name := fmt.Sprintf("run-%d", i)
		created := time.Now()
		good.job(name)
		good.awaitOutcome(name, completed)
		if took := time.Since(created); took > seconds {
			t.Errorf("SpiderJob %s took %s from its creation to its end", name, took)
		}
	}
}

// TestRefusedJobsAreRetriedAtABoundedRate checks that the number of tries does not depend on how many refused jobs wait.
func TestRefusedJobsAreRetriedAtABoundedRate(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.denyJobs("the shop is closed")
	s.spider(quickCrawl(7))
	replica := startReplica(t, s.options, death{})
	s.job("run")
	s.await("run", "refused", func(sj *v1alpha1.SpiderJob) bool { return strings.Contains(sj.Status.Message, "closed") })
	settle()
	before := len(replica.wire.noted())
	time.Sleep(seconds)
	if n := len(replica.wire.noted()) - before; n > 10 {
		t.Errorf("%d calls in %s:\n%s", n, seconds, joined(replica.wire.noted()[before:]))
	}
	if n := replica.count("update spiderjobs/status"); n > 2 {
		t.Errorf("the status was written %d times", n)
	}
}
