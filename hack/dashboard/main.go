// Command dashboard draws the dashboard for Grafana as it looks over an operator that really runs. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
)

// scrapeInterval is how often Prometheus reads the metrics.
const scrapeInterval = 5 * time.Second

type options struct {
	dashboard, prometheus, output string
	duration                      time.Duration
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	var opts options
	flag.StringVar(&opts.dashboard, "dashboard", "", "the dashboard's file")
	flag.StringVar(&opts.prometheus, "prometheus", "prometheus", "the program Prometheus")
	flag.StringVar(&opts.output, "output", "dashboard.png", "where the picture is written, as PNG")
	flag.DurationVar(&opts.duration, "duration", 8*time.Minute, "how long the operator is under load, and the time that is shown")
	flag.Parse()
	if err := run(ctx, opts); err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}

// run has an operator under load watched by Prometheus, asks Prometheus what the dashboard asks, and draws the answers.
func run(ctx context.Context, opts options) (err error) {
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	board, err := readDashboard(opts.dashboard)
	if err != nil {
		return err
	}
	say("starting a control plane, the operator and Prometheus (the first time builds them, which takes minutes)")
	s, err := startSystem(ctx, opts.prometheus)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.stop()) }()

	say("load for %s", opts.duration)
	from := time.Now()
	if err := s.load(ctx, opts.duration); err != nil {
		return err
	}
	answers, err := ask(ctx, s.prometheus, board, from, time.Now())
	if err != nil {
		return err
	}
	title := fmt.Sprintf("Dashboard %s. Drawn by hack/dashboard from the answers of Prometheus, not by Grafana. %s of load, %s.",
		board.Title, opts.duration, from.UTC().Format("2006-01-02"))
	if err := drawPage(opts.output, title, board, answers); err != nil {
		return err
	}
	say("drawn: %s", opts.output)
	return nil
}

// say tells, on standard error, what goes on.
func say(format string, args ...any) { fmt.Fprintf(os.Stderr, format+"\n", args...) }
