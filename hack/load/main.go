// Command load measures the operator on a real control plane: what SpiderJobs cost beside bare Jobs, and what calls of the REST
// API cost. See README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/files"
	"github.com/scrapethis/spider-operator/hack/load/api"
	"github.com/scrapethis/spider-operator/hack/load/controller"
	"github.com/scrapethis/spider-operator/hack/load/measure"
)

const usage = `usage: load controller|api [flags]

Starts a control plane of its own on the loopback address, measures the operator on it, and stops all of it at the end.
Progress goes to standard error, the report to standard output.

  controller   Compares SpiderJobs with bare batch/v1 Jobs of the same spec. The last line is "throughput ratio: R".
               With --trouble or --backlog it measures only that.
  api          Measures calls of the REST API among jobs of several numbers. The last lines compare figures with their aims.

"load controller --help" and "load api --help" list the flags.
`

// subject is one of the things to measure: its flags, and what measures it.
type subject interface {
	Define(flags *flag.FlagSet)
	Check() error
	Measure(ctx context.Context, settings measure.Settings) (*measure.Report, error)
}

func main() { command.Main("load", run) }

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		args = []string{"--help"}
	}
	var of subject
	switch args[0] {
	case "controller":
		of = &controller.Options{}
	case "api":
		of = &api.Options{}
	case "-h", "-help", "--help", "help":
		fmt.Fprint(os.Stdout, usage)
		return nil
	default:
		return fmt.Errorf("unknown subject %q: see --help", args[0])
	}
	var settings measure.Settings
	flags := flag.NewFlagSet("load "+args[0], flag.ContinueOnError)
	flags.IntVar(&settings.Rounds, "rounds", 3, "measurements of each kind, in turns")
	flags.StringVar(&settings.Profiles, "profile", "", "directory to write CPU and heap profiles of the operator's process to")
	file := flags.String("json", "", "file to write the results to as JSON")
	of.Define(flags)
	if err := flags.Parse(args[1:]); err != nil {
		return err
	}
	if flags.NArg() > 0 {
		return fmt.Errorf("unexpected argument %q: see --help", flags.Arg(0))
	}
	if settings.Rounds < 1 {
		return fmt.Errorf("--rounds: %d is not positive", settings.Rounds)
	}
	if err := of.Check(); err != nil {
		return err
	}
	ctrl.SetLogger(logr.Discard())
	klog.SetLogger(logr.Discard())
	results, err := of.Measure(ctx, settings)
	if err != nil {
		return err
	}
	results.Print(os.Stdout)
	if *file == "" {
		return nil
	}
	return files.Save(*file, results)
}
