// Command demo goes from nothing to a finished spider job on a real Kubernetes. See README.md.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"os"

	"github.com/scrapethis/spider-operator/hack/internal/checkout"
	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/progress"
)

func main() { command.Main("demo", execute) }

const usage = `usage:
  demo [flags]   go from nothing to a finished spider job
  demo env       print, for eval, what points kubectl and REST clients at what runs

`

func execute(ctx context.Context, args []string) error {
	opts := options{}
	flags := flag.NewFlagSet("demo", flag.ContinueOnError)
	flags.Usage = func() {
		_, _ = fmt.Fprint(flags.Output(), usage) // there is nobody else to tell
		flags.PrintDefaults()
	}
	flags.StringVar(&opts.cluster, "cluster", local,
		"`which` cluster: local (started if need be) or current (that of your kubeconfig)")
	flags.StringVar(&opts.helm, "helm", "helm", "Helm's `program`")
	flags.StringVar(&opts.images.operator, "image", builtImages.operator, "the operator's `image`")
	flags.StringVar(&opts.images.spiders, "spider-image", builtImages.spiders, "the demo's Scrapy `image`")
	flags.StringVar(&opts.images.counter, "counter-image",
		cmp.Or(os.Getenv("COUNTER_IMG"), builtImages.counter), "the demo's counter `image` (or COUNTER_IMG)")
	flags.StringVar(&opts.images.site, "site-image",
		cmp.Or(os.Getenv("SITE_IMG"), builtImages.site), "the demo's site `image` (or SITE_IMG)")
	if err := flags.Parse(args); err != nil {
		return err
	}
	root, err := checkout.Root("")
	if err != nil {
		return err
	}
	switch {
	case flags.NArg() == 1 && flags.Arg(0) == "env":
		return printAccess(root, os.Stdout)
	case flags.NArg() > 0:
		return fmt.Errorf("unknown arguments: %q", flags.Args())
	case opts.cluster != local && opts.cluster != current:
		return fmt.Errorf("unknown cluster %q: local and current are known", opts.cluster)
	case opts.cluster == local && opts.images != builtImages:
		return errors.New("the local cluster runs the images that are built here; other images are for --cluster=current")
	}
	d := &demo{options: opts, root: root, out: os.Stdout, say: progress.To(os.Stderr), endForward: func() {}}
	defer func() { d.endForward() }()
	return d.walk(ctx)
}
