package lifecycle

import (
	"fmt"
	"strings"
	"testing"
	"time"

	apimeta "k8s.io/apimachinery/pkg/api/meta"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

// closes is a Scrapy that closes by itself after a moment, with the given finish reason.
func closes(items int, reason string) node.Program {
	return func(p *node.Process) node.Exit {
		progress(p, items)
		select {
		case <-time.After(brief):
			dump(p, items, reason)
		case <-p.Terminated():
			shutDown(p, items)
		case <-p.Killed():
		}
		return node.Exit{}
	}
}

func expecting(e v1alpha1.Expectations) func(*v1alpha1.SpiderSpec) {
	return func(spec *v1alpha1.SpiderSpec) { spec.Expectations = &e }
}

// TestBrokenExpectationsAreRetriedIfAllowed checks that broken rules are followed by another attempt, or none, of the real Job
// controller.
func TestBrokenExpectationsAreRetriedIfAllowed(t *testing.T) {
	retries := func(spec *v1alpha1.SpiderSpec) { spec.Retries = new(int32(1)) }
	atLeast := func(items int64, policy v1alpha1.ViolationPolicy) func(*v1alpha1.SpiderSpec) {
		return expecting(v1alpha1.Expectations{MinItems: &items, OnViolation: policy})
	}
	ended := func(phase v1alpha1.Phase, reason string, attempts int32, items int64) outcome {
		return outcome{phase: phase, reason: reason, attempts: attempts, items: items, final: true}
	}
	for _, c := range []struct {
		name    string
		program node.Program
		spider  []func(*v1alpha1.SpiderSpec)
		want    outcome
		met     string
	}{
		{"kept", quickCrawl(7), with(atLeast(7, "")), ended(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, 1, 7), "True"},
		{"broken, with a retry that is not spent", quickCrawl(7), with(atLeast(8, ""), retries),
			ended(v1alpha1.PhaseError, v1alpha1.ReasonExpectationsNotMet, 1, 7), "False"},
		{"broken, and kept by another attempt", inTurn(quickCrawl(7), quickCrawl(9)),
			with(atLeast(8, v1alpha1.ViolationRetry), retries),
			ended(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, 2, 9), "True"},
		{"broken twice", quickCrawl(7), with(atLeast(8, v1alpha1.ViolationRetry), retries),
			ended(v1alpha1.PhaseError, v1alpha1.ReasonExpectationsNotMet, 2, 7), "False"},
		{"broken, and only reported", quickCrawl(7), with(atLeast(8, v1alpha1.ViolationReport)),
			ended(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, 1, 7), "False"},
		{"not judged", exits(node.Exit{Code: 3}), with(atLeast(8, ""), ownCommand),
			outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExitCode, attempts: 1}, "Unknown"},
		{"a failure by the spider's own word, and another attempt",
			inTurn(closes(1, "closespider_errorcount"), quickCrawl(9)), with(retries),
			ended(v1alpha1.PhaseFinished, v1alpha1.ReasonCompleted, 2, 9), ""},
		{"a spider that stops itself", closes(4, "shutdown"), nil,
			ended(v1alpha1.PhaseFinished, v1alpha1.ReasonStoppedItself, 1, 4), ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.spider(c.program, c.spider...)
			s.controller()
			s.job("run")
			sj := s.awaitOutcome("run", c.want)
			if n := s.starts("run"); n != int(c.want.attempts) {
				t.Errorf("%d processes were started in %d attempts", n, c.want.attempts)
			}
			checkMet(t, sj, c.met)
		})
	}
}

func checkMet(t *testing.T, sj *v1alpha1.SpiderJob, want string) {
	t.Helper()
	got := ""
	met := apimeta.FindStatusCondition(sj.Status.Conditions, v1alpha1.ConditionExpectationsMet)
	if met != nil {
		got = string(met.Status)
	}
	if got != want || (want == "False") != (len(sj.Status.Violations) > 0) {
		t.Errorf("ExpectationsMet is %v with violations %v, want %q", met, sj.Status.Violations, want)
	}
}

// TestARunIsComparedWithCachedRunsOfItsArguments checks that a run is compared with those in the controller's cache, also
// after a restart, and only with those that have the same arguments.
func TestARunIsComparedWithCachedRunsOfItsArguments(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	scraped := map[string]int{"first": 10, "second": 30, "other": 1, "third": 5, "fourth": 10}
	s.spider(func(p *node.Process) node.Exit { return quickCrawl(scraped[p.Pod.Labels[v1alpha1.LabelSpiderJob]])(p) },
		expecting(v1alpha1.Expectations{ComparedToPrevious: &v1alpha1.ComparedToPrevious{Runs: 2, MinItemsPercent: 50}}))
	operator := s.controller()
	category := func(name string) func(*v1alpha1.SpiderJobSpec) {
		return func(spec *v1alpha1.SpiderJobSpec) {
			spec.Arguments = map[string]v1alpha1.ArgumentValue{"category": v1alpha1.ArgumentValue(name)}
		}
	}
	run := func(name, arguments, met string, reason string) *v1alpha1.SpiderJob {
		t.Helper()
		s.job(name, category(arguments))
		sj := s.awaitEnd(name)
		if sj.Status.Reason != reason {
			t.Errorf("%s ended as %s", name, describe(&sj.Status))
		}
		checkMet(t, sj, met)
		return sj
	}
	run("first", "books", "Unknown", v1alpha1.ReasonCompleted)
	run("second", "books", "Unknown", v1alpha1.ReasonCompleted)
	run("other", "toys", "Unknown", v1alpha1.ReasonCompleted)
	operator.stop()
	s.controller()
	broken := run("third", "books", "False", v1alpha1.ReasonExpectationsNotMet)
	if want := fmt.Sprintf("at least 50 %% of %d items", 20); !strings.Contains(broken.Status.Message, want) {
		t.Errorf("the message %q does not tell what was expected: %q", broken.Status.Message, want)
	}
	run("fourth", "books", "True", v1alpha1.ReasonCompleted)
}

// TestASpiderJobTightensItsSpidersExpectations checks that a SpiderJob may be stricter than its Spider, but not milder.
func TestASpiderJobTightensItsSpidersExpectations(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(quickCrawl(7), expecting(v1alpha1.Expectations{MinItems: new(int64(5))}))
	s.controller()
	asks := func(items int64) func(*v1alpha1.SpiderJobSpec) {
		return func(spec *v1alpha1.SpiderJobSpec) { spec.Expectations = &v1alpha1.Expectations{MinItems: &items} }
	}
	s.job("stricter", asks(8))
	s.job("milder", asks(4))
	s.awaitOutcome("stricter", outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExpectationsNotMet, attempts: 1,
		items: 7, final: true})
	sj := s.awaitOutcome("milder", outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonInvalidJob})
	if !strings.Contains(sj.Status.Message, "minItems 4 would loosen the spider's 5") {
		t.Errorf("the message %q does not name both values", sj.Status.Message)
	}
}

// TestAProcessThatLivesOnIsStopped checks that a process that lives on after its spider has closed is stopped if the Spider
// says so, and that the run ends with the result that the spider reported.
func TestAProcessThatLivesOnIsStopped(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.spider(func(p *node.Process) node.Exit {
		p.Printf("%s [scrapy.core.engine] INFO: Spider opened\n", stamp)
		progress(p, 0)
		dump(p, 6, "finished")
		<-p.Killed()
		return node.Exit{}
	}, func(spec *v1alpha1.SpiderSpec) {
		spec.ExitPatienceSeconds, spec.TerminationGracePeriodSeconds = new(int64(3)), new(int64(1))
	})
	s.controller()
	s.job("run")
	sj := s.awaitOutcome("run", outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 1,
		items: 6, final: true})
	if !strings.Contains(sj.Status.Message, "exitPatienceSeconds") {
		t.Errorf("the message %q does not say that the process was stopped", sj.Status.Message)
	}
	if pod := s.pod(sj); pod.DeletionTimestamp != nil {
		t.Error("the Pod was deleted, and its log with it")
	}
}
