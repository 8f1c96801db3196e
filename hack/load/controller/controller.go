// Package controller measures what SpiderJobs cost, and how late their status is, beside bare Jobs of the same spec.
package controller

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"time"

	"golang.org/x/time/rate"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/hack/load/measure"
	"github.com/scrapethis/spider-operator/hack/load/system"
)

const (
	// warmUp is how many jobs of each kind are run before anything is measured.
	warmUp = 20
	// nodes is how many KWOK plays, each with room for 10,000 Pods.
	nodes = 20
)

// Options are the flags of this subject.
type Options struct {
	jobs, held, running, troubleJobs       int
	rate                                   float64
	steady, idle, troubleTime, backlogTime time.Duration
	byFile, trouble                        bool
	backlogs                               measure.Numbers
}

// Define defines the flags.
func (o *Options) Define(flags *flag.FlagSet) {
	flags.IntVar(&o.jobs, "jobs", 500, "jobs in a burst")
	flags.Float64Var(&o.rate, "rate", 5, "jobs per second under the steady load")
	flags.DurationVar(&o.steady, "steady", 40*time.Second, "how long the steady load lasts; 0 for none")
	flags.IntVar(&o.held, "held", 5000, "ended SpiderJobs held in memory; 0 for none")
	flags.DurationVar(&o.idle, "idle", 0, "how long to leave the held SpiderJobs and running ones alone; 0 for not at all")
	flags.IntVar(&o.running, "running", 1000, "SpiderJobs that run while idle")
	flags.BoolVar(&o.byFile, "by-file", false, "run the spider by its file: its Jobs and Pods hold the launcher, of 2 KiB")
	flags.BoolVar(&o.trouble, "trouble", false, "measure only how a hung webhook in one namespace delays another")
	flags.IntVar(&o.troubleJobs, "trouble-jobs", 1000, "SpiderJobs behind the hung webhook")
	flags.DurationVar(&o.troubleTime, "trouble-duration", time.Minute, "how long to cancel a job and end one every second")
	flags.Var(&o.backlogs, "backlog", "measure only what backlogs of so many SpiderJobs cost behind a quota, such as 300,1200")
	flags.DurationVar(&o.backlogTime, "backlog-duration", time.Minute, "how long a backlog waits")
}

// Check returns an error if the flags make no sense.
func (o *Options) Check() error {
	switch {
	case min(o.jobs, o.troubleJobs) < 1 || o.rate <= 0:
		return errors.New("--jobs, --trouble-jobs and --rate must be positive")
	case min(o.troubleTime, o.backlogTime) < time.Second:
		return errors.New("--trouble-duration and --backlog-duration must be at least 1s")
	case min(o.held, o.running) < 0 || min(o.steady, o.idle) < 0:
		return errors.New("--held, --running, --steady and --idle must not be negative")
	}
	return nil
}

// bench is a measurement that runs.
type bench struct {
	*system.System
	*Options
	settings measure.Settings
	operator *system.Server
	observer *observer
	// runs counts the runs, so that no two jobs have the same name.
	runs int
}

// Measure starts what is measured, measures it and stops it.
func (o *Options) Measure(ctx context.Context, settings measure.Settings) (found *measure.Report, err error) {
	s, err := system.Start(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	if err := s.AddNodes(ctx, nodes); err != nil {
		return nil, err
	}
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	b := &bench{System: s, Options: o, settings: settings}
	if b.observer, err = newObserver(watching, s); err != nil {
		return nil, err
	}
	spider, stays := newSpider(namespace, spiderName), newSpider(namespace, staysName)
	stays.Spec.Pod.Labels = map[string]v1alpha1.LabelValue{staysName: "true"}
	if o.byFile {
		spider.Spec.Command, spider.Spec.RepoPath = nil, "spiders/load.py"
		spider.Spec.StatsSource = v1alpha1.StatsFromTerminationMessage // still without a log to read
	}
	if err := errors.Join(b.Create(ctx, spider, stays), b.startOperator(ctx)); err != nil {
		return nil, err
	}
	switch {
	case o.trouble:
		return b.measureTrouble(ctx)
	case len(o.backlogs) > 0:
		return b.measureBacklogs(ctx)
	default:
		return b.compare(ctx)
	}
}

// startOperator starts the operator, anew if it runs.
func (b *bench) startOperator(ctx context.Context) (err error) {
	if err := b.StopServer(b.operator); err != nil {
		return err
	}
	b.operator, _, err = b.StartServer(ctx, system.Controller)
	return err
}

// compare measures SpiderJobs and bare Jobs in turns, and then what SpiderJobs cost that have ended.
func (b *bench) compare(ctx context.Context) (*measure.Report, error) {
	spiders := spiderJobs(spiderSubject, spiderName)
	if _, err := b.measure(ctx, spiders, warmUp, rate.Inf, "warm-up: SpiderJobs"); err != nil {
		return nil, err
	}
	job, status, err := b.examples(ctx)
	if err != nil {
		return nil, err
	}
	subjects := []subject{spiders, bareJobs(job)}
	if _, err := b.measure(ctx, subjects[1], warmUp, rate.Inf, "warm-up: bare Jobs"); err != nil {
		return nil, err
	}
	bursts, steady := runs{}, runs{}
	for round := 1; round <= b.settings.Rounds; round++ {
		for i := range subjects {
			// Each kind is the first in every other round.
			of := subjects[(i+round)%len(subjects)]
			title := fmt.Sprintf("round %d of %d: %s", round, b.settings.Rounds, of.name)
			result, err := b.measure(ctx, of, b.jobs, rate.Inf, title)
			if err != nil {
				return nil, err
			}
			bursts[of.name] = append(bursts[of.name], result)
		}
	}
	for _, of := range subjects {
		n := int(b.rate * b.steady.Seconds())
		if n == 0 {
			break
		}
		result, err := b.measure(ctx, of, n, rate.Limit(b.rate), "steady load: "+of.name)
		if err != nil {
			return nil, err
		}
		steady[of.name] = append(steady[of.name], result)
	}
	found := b.reportComparison(bursts, steady)
	if err := b.clear(ctx); err != nil {
		return nil, err
	}
	if b.held > 0 {
		if err := b.hold(ctx, found, status); err != nil {
			return nil, err
		}
	}
	if b.idle > 0 {
		err = b.rest(ctx, found)
	}
	return found, err
}
