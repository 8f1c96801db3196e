package lifecycle

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// The times of the election are a third of the defaults, so a hand-over takes a third of the time.
const (
	leaseDuration = 5 * time.Second
	renewDeadline = 3 * time.Second
	retryPeriod   = 700 * time.Millisecond
)

// TestAnotherReplicaTakesOver runs two replicas and stops the leader at any moment. The other one takes over in time, and each
// SpiderJob runs once.
func TestAnotherReplicaTakesOver(t *testing.T) {
	for _, c := range []struct {
		name   string
		leave  func(*replica)
		within time.Duration
	}{
		{"killed", (*replica).kill, leaseDuration + 2*retryPeriod},
		{"stopped", (*replica).stop, 2 * retryPeriod},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			const jobs = 12
			s := newStage(t)
			s.options.LeaderElection = true
			s.options.LeaderElectionNamespace = s.namespace
			election := &s.options.Config.LeaderElection
			election.LeaseDuration.Duration, election.RenewDeadline.Duration, election.RetryPeriod.Duration = leaseDuration, renewDeadline, retryPeriod
			s.spider(quickCrawl(7))

			leader := s.controller()
			s.eventually("somebody leads", func() bool { return s.leader() != "" })
			other := s.controller()
			first := s.leader()
			for i := range jobs {
				s.job(fmt.Sprintf("run-%d", i))
			}
			s.awaitJobsMade("run-0")
			c.leave(leader)
			left := time.Now()
			s.job("late")
			s.eventually("the other one leads", func() bool { return s.leader() != "" && s.leader() != first })
			s.awaitJobsMade("late")
			const slack = 2 * time.Second // the machine has other work, too
			if took := time.Since(left); took > c.within+slack {
				t.Errorf("the hand-over took %s, want at most %s", took, c.within)
			} else {
				t.Logf("the hand-over took %s", took)
			}
			for _, name := range append(names("run", jobs), "late") {
				s.awaitOutcome(name, completed)
				if made, starts := s.jobsMade(name), s.starts(name); made != 1 || starts != 1 {
					t.Errorf("SpiderJob %s took %d Jobs and %d processes, want one each", name, made, starts)
				}
			}
			// A call that was under way when the leader stopped may or may not have been executed. A call that was answered is not
			// repeated: the new leader checks before it creates a Job that may already exist.
			created, refused := 0, 0
			for _, c := range append(leader.wire.noted(), other.wire.noted()...) {
				if c.kind() != "create jobs" || c.answer == 0 {
					continue
				}
				if c.answer == http.StatusCreated {
					created++
				} else {
					refused++
				}
			}
			if created > jobs+1 || refused > 0 {
				t.Errorf("%d Jobs were created, want at most %d, and %d requests for one were refused, want none", created, jobs+1, refused)
			}
		})
	}
}

// TestOnlyOneReplicaLeads runs two replicas undisturbed: only one of them works.
func TestOnlyOneReplicaLeads(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.options.LeaderElection = true
	s.options.LeaderElectionNamespace = s.namespace
	election := &s.options.Config.LeaderElection
	election.LeaseDuration.Duration, election.RenewDeadline.Duration, election.RetryPeriod.Duration = leaseDuration, renewDeadline, retryPeriod
	s.spider(quickCrawl(7))
	replicas := []*replica{s.controller(), s.controller()}
	s.job("run")
	s.awaitOutcome("run", completed)
	if a, b := len(replicas[0].wire.noted()), len(replicas[1].wire.noted()); a > 0 && b > 0 {
		t.Errorf("both replicas called: %d times and %d times", a, b)
	}
}

// leader returns the holder of the Lease, empty if it has no holder.
func (s *stage) leader() string {
	s.Helper()
	var lease coordinationv1.Lease
	err := cluster.Client.Get(s.Context(), client.ObjectKey{Namespace: s.namespace, Name: s.options.Lease}, &lease)
	if client.IgnoreNotFound(err) != nil {
		s.Fatalf("read the Lease: %v", err)
	}
	return ptr.Deref(lease.Spec.HolderIdentity, "")
}

// awaitJobsMade waits until a Job of that name has been created.
func (s *stage) awaitJobsMade(name string) {
	s.Helper()
	s.wait("Job "+name+" is made", func() bool { return s.history.jobsMade[name] > 0 }, nil)
}

// names returns n names with a prefix.
func names(prefix string, n int) []string {
	list := make([]string, n)
	for i := range list {
		list[i] = fmt.Sprintf("%s-%d", prefix, i)
	}
	return list
}
