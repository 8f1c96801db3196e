// Command bench-api measures the REST facade on a real control plane, with views of several sizes. See README.md.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/scrapethis/spider-operator/test/integration/controlplane"
)

type options struct {
	// sizes are the numbers of SpiderJobs in the views, in ascending order.
	sizes           []int
	clients, rounds int
	duration        time.Duration
	json, profiles  string
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	run := runBench
	args := os.Args[1:]
	if len(args) > 0 && args[0] == facadeCommand {
		run, args = runFacade, args[1:]
	}
	if err := run(ctx, args); err != nil {
		fmt.Fprintln(os.Stderr, "bench-api:", err)
		os.Exit(1)
	}
}

// parse reads the flags. It returns flag.ErrHelp where help was asked for, and has been given.
func parse(args []string) (options, error) {
	var opts options
	flags := flag.NewFlagSet("bench-api", flag.ContinueOnError)
	sizes := flags.String("jobs", "1000,10000", "numbers of SpiderJobs in the views, at least 1000 each")
	flags.IntVar(&opts.clients, "clients", 8, "clients that call at once")
	flags.IntVar(&opts.rounds, "rounds", 3, "measurements of each call in each view, in turns")
	flags.DurationVar(&opts.duration, "duration", time.Second, "how long one measurement lasts")
	flags.StringVar(&opts.json, "json", "", "file to write the results to as JSON")
	flags.StringVar(&opts.profiles, "profile", "", "directory to write profiles to, of the facade with the largest view")
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), `usage: bench-api [flags]

Fills a namespace with SpiderJobs for each size, runs a facade for each namespace, and measures its calls. It starts a control
plane of its own on the loopback address (etcd, kube-apiserver, kube-controller-manager), and stops all of it at the end.
Progress goes to standard error. The last lines of standard output hold the figures to what was aimed at.

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
	for text := range strings.SplitSeq(*sizes, ",") {
		size, err := strconv.Atoi(text)
		if err != nil || size < leastJobs {
			return opts, fmt.Errorf("--jobs: %q is no number from %d on, with which every filter finds a full page", text, leastJobs)
		}
		opts.sizes = append(opts.sizes, size)
	}
	slices.Sort(opts.sizes)
	if len(slices.Compact(slices.Clone(opts.sizes))) != len(opts.sizes) {
		return opts, errors.New("--jobs: a size is given twice")
	}
	if min(opts.clients, opts.rounds) < 1 || opts.duration <= 0 {
		return opts, errors.New("clients, rounds and duration have to be positive")
	}
	return opts, nil
}

// bench is a benchmark that runs.
type bench struct {
	*controlplane.ControlPlane
	options options
	// directory is where the facades log to.
	directory string
	views     []*subject
}

// subject is a view that is measured: its jobs, and the facade that serves it.
type subject struct {
	*population
	facade *facade
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
	b := &bench{options: opts}
	if b.directory, err = os.MkdirTemp("", "spider-operator-bench-api-"); err != nil {
		return fmt.Errorf("make a directory: %w", err)
	}
	var found *results
	defer func() {
		if err = errors.Join(err, b.stop()); err == nil {
			found.print(os.Stdout)
		}
	}()
	say("starting etcd, kube-apiserver and kube-controller-manager (building them the first time takes minutes)")
	if b.ControlPlane, err = controlplane.Start(ctx); err != nil {
		return err
	}
	if found, err = b.run(ctx); err != nil {
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

// stop stops everything and removes its files.
func (b *bench) stop() error {
	var errs []error
	for _, v := range b.views {
		errs = append(errs, v.facade.stop())
	}
	if b.ControlPlane != nil {
		errs = append(errs, b.Stop())
	}
	return errors.Join(append(errs, os.RemoveAll(b.directory))...)
}

// run measures what may not change the views before what does.
func (b *bench) run(ctx context.Context) (*results, error) {
	r := &results{Clients: b.options.clients, Rounds: b.options.rounds, LoadBefore: loadAverage()}
	if err := b.populate(ctx); err != nil {
		return nil, err
	}
	empty, err := b.measureEmpty(ctx)
	if err != nil {
		return nil, err
	}
	for _, v := range b.views {
		result, err := b.measureStartup(ctx, v, empty)
		if err != nil {
			return nil, err
		}
		r.Views = append(r.Views, result)
	}
	if err := b.profiled(ctx, "reads", func() error { return b.measureReads(ctx, r) }); err != nil {
		return nil, err
	}
	if err := b.profiled(ctx, "writes", func() error { return b.measureWrites(ctx, r) }); err != nil {
		return nil, err
	}
	r.LoadAfter = loadAverage()
	r.summarize()
	return r, nil
}

// loadAverage is the machine's load over the last minute, or 0 where it does not tell.
func loadAverage() float64 {
	content, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return 0
	}
	first, _, _ := strings.Cut(string(content), " ")
	load, err := strconv.ParseFloat(first, 64)
	if err != nil {
		return 0
	}
	return load
}

// say tells what goes on.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}
