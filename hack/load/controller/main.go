// Command bench compares SpiderJobs with bare batch/v1 Jobs on a real control plane. See README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"golang.org/x/time/rate"
	batchv1 "k8s.io/api/batch/v1"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/scrapethis/spider-operator/api/v1alpha1"
	"github.com/scrapethis/spider-operator/controllers"
)

// warmUp is how many jobs of each kind are run before anything is measured.
const warmUp = 20

type options struct {
	jobs, rounds, held, running, nodes, workers int
	rate                                        float64
	steady, idle, podTime                       time.Duration
	byFile, trouble                             bool
	troubleJobs                                 int
	troubleTime, backlogTime                    time.Duration
	backlogs                                    []int
	json, profiles                              string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	run := runBench
	args := os.Args[1:]
	if len(args) > 0 && args[0] == operatorCommand {
		run, args = runOperator, args[1:]
	}
	if err := run(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// parse reads the flags. It returns flag.ErrHelp where help was asked for, and has been given.
func parse(args []string) (options, error) {
	var opts options
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&opts.jobs, "jobs", 500, "jobs in a burst")
	flags.IntVar(&opts.rounds, "rounds", 3, "bursts of each kind, in turns")
	flags.Float64Var(&opts.rate, "rate", 5, "jobs per second under the steady load")
	flags.DurationVar(&opts.steady, "steady", 40*time.Second, "how long the steady load lasts; 0 for none")
	flags.IntVar(&opts.held, "held", 5000, "ended SpiderJobs held in memory; 0 for none")
	flags.DurationVar(&opts.idle, "idle", 0, "how long to let the held SpiderJobs alone, and others that run; 0 for not at all")
	flags.IntVar(&opts.running, "running", 1000, "SpiderJobs that run meanwhile")
	flags.DurationVar(&opts.podTime, "pod-time", 3*time.Second, "how long each Pod runs")
	flags.IntVar(&opts.nodes, "nodes", 20, "nodes, played by KWOK, each with room for 10000 Pods")
	flags.IntVar(&opts.workers, "workers", controllers.DefaultOptions().Config.Workers, "SpiderJobs that the operator reconciles at once")
	flags.BoolVar(&opts.byFile, "by-file", false, "run the spider by its file: its Jobs and Pods hold the launcher, of 2 KiB")
	flags.BoolVar(&opts.trouble, "trouble", false, "measure nothing but how a hung webhook in one namespace delays another")
	flags.IntVar(&opts.troubleJobs, "trouble-jobs", 1000, "SpiderJobs behind the hung webhook")
	flags.DurationVar(&opts.troubleTime, "trouble-duration", time.Minute, "how long to cancel a job and end one every second")
	sizes := flags.String("backlog", "", "measure nothing but what backlogs of so many SpiderJobs cost behind a quota, such as 300,1200")
	flags.DurationVar(&opts.backlogTime, "backlog-duration", time.Minute, "how long to let a backlog wait")
	flags.StringVar(&opts.json, "json", "", "file to write the results to as JSON")
	flags.StringVar(&opts.profiles, "profile", "", "directory to write the operator's CPU and heap profiles to")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), `usage: bench [flags]

Runs bursts of SpiderJobs and of bare batch/v1 Jobs with the same Pod template, in turns, then both at a steady rate, and
prints what either costs. It starts a control plane of its own on the loopback address (etcd, kube-apiserver,
kube-controller-manager, kube-scheduler), nodes played by KWOK, and the operator's controller, and stops all of it at the end.
With --trouble it measures instead how long cancels and ends of one namespace take while Jobs of another hang behind a webhook,
and with --backlog what SpiderJobs cost that wait for room in a quota.
Progress goes to standard error. The last line of standard output is "throughput ratio: R", SpiderJobs to bare Jobs.

Flags:
`)
		flags.PrintDefaults()
	}
	if err := flags.Parse(args); err != nil {
		return opts, err
	}
	if flags.NArg() > 0 {
		return opts, fmt.Errorf("unexpected argument %q: see --help", flags.Arg(0))
	}
	if min(opts.jobs, opts.rounds, opts.nodes, opts.workers, opts.troubleJobs) < 1 || opts.rate <= 0 ||
		min(opts.troubleTime, opts.backlogTime) < time.Second || min(opts.held, opts.running) < 0 ||
		min(opts.steady, opts.idle, opts.podTime) < 0 {
		return opts, errors.New("jobs, rounds, rate, nodes and workers have to be positive, trouble and backlog 1s at least, nothing negative")
	}
	var err error
	opts.backlogs, err = parseSizes(*sizes)
	return opts, err
}

// bench is a benchmark that runs.
type bench struct {
	*system
	observer *observer
	options  options
	// runs counts the measurements, so that no two jobs have the same name.
	runs int
}

func runBench(ctx context.Context, args []string) (err error) {
	opts, err := parse(args)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	s, err := startSystem(ctx, opts)
	if err != nil {
		return err
	}
	var found interface{ print(w io.Writer) }
	defer func() {
		err = errors.Join(err, s.stop())
		if err == nil {
			found.print(os.Stdout)
		}
	}()
	watching, stopWatching := context.WithCancel(ctx)
	defer stopWatching()
	o, err := newObserver(watching, s)
	if err != nil {
		return err
	}
	b := &bench{system: s, observer: o, options: opts}
	switch {
	case opts.trouble:
		found, err = b.trouble(ctx)
	case len(opts.backlogs) > 0:
		found, err = b.backlogs(ctx)
	default:
		found, err = b.run(ctx)
	}
	if err != nil {
		return err
	}
	if opts.json == "" {
		return nil
	}
	content, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		return fmt.Errorf("encode the results: %w", err)
	}
	if err := os.WriteFile(opts.json, append(content, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the results: %w", err)
	}
	return nil
}

func (b *bench) run(ctx context.Context) (*results, error) {
	if err := b.startOperator(ctx); err != nil {
		return nil, err
	}
	spider := newSpider()
	if b.options.byFile {
		runByFile(spider)
	}
	if err := b.Client.Create(ctx, spider); err != nil {
		return nil, fmt.Errorf("create the Spider: %w", err)
	}
	if _, err := b.measure(ctx, spiderJobs(), warmUp, rate.Inf, "warm-up: SpiderJobs"); err != nil {
		return nil, err
	}
	job, status, err := b.examples(ctx)
	if err != nil {
		return nil, err
	}
	subjects := []subject{spiderJobs(), bareJobs(job)}
	if _, err := b.measure(ctx, subjects[1], warmUp, rate.Inf, "warm-up: bare Jobs"); err != nil {
		return nil, err
	}

	var bursts, steady []*run
	for round := 1; round <= b.options.rounds; round++ {
		for i := range subjects {
			// Each kind is the first in every other round.
			of := subjects[(i+round)%len(subjects)]
			result, err := b.burst(ctx, of, fmt.Sprintf("round %d of %d: %s", round, b.options.rounds, of.name))
			if err != nil {
				return nil, err
			}
			bursts = append(bursts, result)
		}
	}
	if n := int(b.options.rate * b.options.steady.Seconds()); n > 0 {
		for _, of := range subjects {
			if err := b.clear(ctx); err != nil {
				return nil, err
			}
			result, err := b.measure(ctx, of, n, rate.Limit(b.options.rate), "steady load: "+of.name)
			if err != nil {
				return nil, err
			}
			steady = append(steady, result)
		}
	}
	results := summarize(b.options, bursts, steady)
	if b.options.held > 0 {
		if err := b.clear(ctx); err != nil {
			return nil, err
		}
		if results.Held, err = b.hold(ctx, b.options.held, status); err != nil {
			return nil, err
		}
		if err := b.profile(ctx, http.MethodGet, "/debug/pprof/heap", "held.pprof"); err != nil {
			return nil, err
		}
	}
	if b.options.idle > 0 {
		if b.options.held == 0 {
			if err := b.clear(ctx); err != nil {
				return nil, err
			}
		}
		if results.Idle, err = b.rest(ctx); err != nil {
			return nil, err
		}
	}
	return results, nil
}

// burst measures a burst on a cluster cleared of all earlier jobs.
func (b *bench) burst(ctx context.Context, of subject, title string) (*run, error) {
	if err := b.clear(ctx); err != nil {
		return nil, err
	}
	if b.options.profiles != "" && !of.bare {
		if _, err := b.ask(ctx, http.MethodPost, "/cpu/start"); err != nil {
			return nil, err
		}
	}
	result, err := b.measure(ctx, of, b.options.jobs, rate.Inf, title)
	if err != nil || of.bare {
		return result, err
	}
	if err := b.profile(ctx, http.MethodPost, "/cpu/stop", "burst.pprof"); err != nil {
		return nil, err
	}
	return result, b.profile(ctx, http.MethodGet, "/debug/pprof/heap", "burst-heap.pprof")
}

// profile writes what the operator answers to a file, if profiles are wanted.
func (b *bench) profile(ctx context.Context, method, path, file string) error {
	if b.options.profiles == "" {
		return nil
	}
	content, err := b.ask(ctx, method, path)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(b.options.profiles, file), content, 0o600); err != nil {
		return fmt.Errorf("write a profile: %w", err)
	}
	return nil
}

// examples are the Job of a SpiderJob that has ended, and its status.
func (b *bench) examples(ctx context.Context) (*batchv1.Job, v1alpha1.SpiderJobStatus, error) {
	var list v1alpha1.SpiderJobList
	if err := b.Client.List(ctx, &list, client.InNamespace(namespace), client.Limit(1)); err != nil || len(list.Items) == 0 {
		return nil, v1alpha1.SpiderJobStatus{}, fmt.Errorf("find a SpiderJob that has ended: %w", err)
	}
	var job batchv1.Job
	if err := b.Client.Get(ctx, client.ObjectKeyFromObject(&list.Items[0]), &job); err != nil {
		return nil, v1alpha1.SpiderJobStatus{}, fmt.Errorf("get the Job of SpiderJob %s: %w", list.Items[0].Name, err)
	}
	return &job, list.Items[0].Status, nil
}

// say tells a person what is going on; standard output is for the results.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, time.Now().Format(time.TimeOnly)+"  "+format+"\n", args...)
}
