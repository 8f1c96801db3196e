package lifecycle

import (
	"testing"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/test/integration/lifecycle/node"
)

func TestOutcomes(t *testing.T) {
	retries := func(spec *v1alpha1.SpiderSpec) { n := int32(1); spec.Retries = &n }
	timeout := func(spec *v1alpha1.SpiderSpec) { n := int64(3); spec.TimeoutSeconds = &n }
	for _, c := range []struct {
		name    string
		program node.Program
		spider  []func(*v1alpha1.SpiderSpec)
		want    outcome
	}{
		{"a Scrapy that finishes", quickCrawl(7), nil,
			outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 1, items: 7, final: true}},
		{"a termination message", exits(node.Exit{Message: `{"items_scraped": 5}`}), with(ownCommand),
			outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 1, items: 5, final: true}},
		{"an exit code", exits(node.Exit{Code: 3, Message: "no shop"}), with(ownCommand),
			outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExitCode, attempts: 1}},
		{"out of memory", exits(node.Exit{Code: 137, Reason: "OOMKilled"}), with(ownCommand),
			outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonOutOfMemory, attempts: 1}},
		{"a retry that succeeds", inTurn(exits(node.Exit{Code: 1}), exits(node.Exit{Message: `{"items_scraped": 5}`})),
			with(ownCommand, retries),
			outcome{phase: v1alpha1.PhaseFinished, reason: v1alpha1.ReasonCompleted, attempts: 2, items: 5, final: true}},
		{"retries in vain", exits(node.Exit{Code: 1}), with(ownCommand, retries),
			outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonExitCode, attempts: 2}},
		{"a deadline", longCrawl(9), with(timeout),
			outcome{phase: v1alpha1.PhaseError, reason: v1alpha1.ReasonDeadlineExceeded, attempts: 1, items: 9, final: true}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.spider(c.program, c.spider...)
			s.controller()
			s.job("run")
			s.awaitOutcome("run", c.want)
			if n := s.starts("run"); n != int(c.want.attempts) {
				t.Errorf("%d processes were started in %d attempts", n, c.want.attempts)
			}
		})
	}
}

func with(changes ...func(*v1alpha1.SpiderSpec)) []func(*v1alpha1.SpiderSpec) { return changes }
