// Command cluster runs a real Kubernetes on this machine: etcd, the control plane, containerd, a kubelet, kube-proxy and
// CoreDNS, as processes, without a registry, a Docker engine or a way to the internet. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/scrapethis/spider-operator/hack/internal/checkout"
	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/gobuild"
	"github.com/scrapethis/spider-operator/hack/internal/progress"
)

// subcommand is one subcommand.
type subcommand struct {
	name, arguments, help string
	// run gets the arguments that are no flags.
	run func(ctx context.Context, c *cluster, args []string) error
	// flags defines the flags that only this subcommand has.
	flags func(*flag.FlagSet, *options)
	// least and most bound the number of arguments; most below zero is no bound.
	least, most int
}

// options are the values of subcommands' own flags.
type options struct {
	signal    string
	indexName string
	against   string
}

func commands() []subcommand {
	return []subcommand{
		{name: "up", help: "start the cluster, or what of it does not run, and wait until it can be used",
			run: func(ctx context.Context, c *cluster, _ []string) error { return c.up(ctx) }},
		{name: "down", help: "stop everything, and put the machine back as it was",
			run: func(ctx context.Context, c *cluster, _ []string) error { return c.down(ctx) }},
		{name: "status", help: "tell which components run, whether they serve, and how much memory they take",
			run: func(ctx context.Context, c *cluster, _ []string) error { return c.status(ctx, os.Stdout) }},
		{name: "env", help: "print, for eval, what makes kubectl and other clients use the cluster",
			run: func(_ context.Context, c *cluster, _ []string) error { return c.env(os.Stdout) }},
		{name: "load", arguments: "archive...", help: "put images, as docker or OCI archives, on the node", least: 1, most: -1,
			flags: func(f *flag.FlagSet, o *options) {
				f.StringVar(&o.indexName, "index-name", "", "`reference` of the image, for an OCI archive that does not name it")
			},
			run: func(ctx context.Context, c *cluster, args []string) error { return c.load(ctx, args) }},
		{name: "assets", help: "build what envtest needs, and print the directory (for KUBEBUILDER_ASSETS); needs no root",
			run: func(ctx context.Context, c *cluster, _ []string) error { return c.assets(ctx, os.Stdout) }},
		{name: "kill", arguments: "component", help: "kill a component, to see what that does", least: 1, most: 1,
			flags: func(f *flag.FlagSet, o *options) {
				f.StringVar(&o.signal, "signal", "KILL", "`name` of the signal: KILL, TERM, STOP, CONT, INT, HUP or QUIT")
			},
			run: func(_ context.Context, c *cluster, args []string) error { return c.kill(args[0]) }},
		{name: "start", arguments: "component", help: "start a component that was killed, and wait until it serves", least: 1, most: 1,
			run: func(ctx context.Context, c *cluster, args []string) error { return c.start(ctx, args[0]) }},
		{name: "snapshot", help: "print the state of the machine as far as a cluster may change it",
			run: func(ctx context.Context, c *cluster, _ []string) error { return c.snapshot(ctx, os.Stdout) }},
		{name: "verify", help: "tell what differs from before the cluster's start, and fail if anything does",
			flags: func(f *flag.FlagSet, o *options) {
				f.StringVar(&o.against, "against", "", "`file` with the output of snapshot to compare with, instead of the cluster's own")
			},
			run: func(ctx context.Context, c *cluster, _ []string) error { return c.verify(ctx, os.Stdout) }},
	}
}

func usage(w io.Writer) error {
	var text strings.Builder
	text.WriteString("Runs a real Kubernetes on this machine.\n\nusage: cluster <command> [flags] [arguments]\n\n")
	for _, c := range commands() {
		fmt.Fprintf(&text, "  %s\t%s\n", strings.TrimSpace(c.name+" "+c.arguments), c.help)
	}
	text.WriteString("\ncluster <command> -h tells a command's flags.\n")
	return writeTable(w, text.String())
}

// writeTable aligns the columns of text, which tabs separate.
func writeTable(w io.Writer, text string) error {
	const padding = 2
	table := tabwriter.NewWriter(w, 0, 0, padding, ' ', 0)
	if _, err := io.WriteString(table, text); err != nil {
		return fmt.Errorf("printing: %w", err)
	}
	return table.Flush()
}

func main() {
	command.Main("cluster", func(ctx context.Context, args []string) error {
		err := execute(ctx, args)
		var explained *logError
		if errors.As(err, &explained) {
			err = fmt.Errorf("%w\n%s", err, explained.explain())
		}
		return err
	})
}

// errUsage is a command line that makes no sense; what is wrong with it has been printed.
var errUsage = errors.New("see cluster --help")

func execute(ctx context.Context, args []string) error {
	if len(args) == 0 || args[0] == "help" || args[0] == "-h" || args[0] == "--help" {
		return usage(os.Stdout)
	}
	for _, c := range commands() {
		if c.name == args[0] {
			return c.execute(ctx, args[1:])
		}
	}
	return fmt.Errorf("there is no command %q: %w", args[0], errUsage)
}

func (cmd subcommand) execute(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("cluster "+cmd.name, flag.ContinueOnError)
	flags.SetOutput(os.Stderr)
	flags.Usage = func() {
		fmt.Fprintf(os.Stderr, "usage: cluster %s [flags] %s\n%s\n\n", cmd.name, cmd.arguments, cmd.help)
		flags.PrintDefaults()
	}
	var dir, repository string
	var opts options
	flags.StringVar(&dir, "dir", "", "`directory` of the cluster's files (default: .cluster in the repository)")
	flags.StringVar(&repository, "repo", "", "`directory` of the repository (default: the one around the current directory)")
	if cmd.flags != nil {
		cmd.flags(flags, &opts)
	}
	arguments, err := parse(flags, args)
	if err != nil {
		return err
	}
	if len(arguments) < cmd.least || cmd.most >= 0 && len(arguments) > cmd.most {
		return fmt.Errorf("usage: cluster %s [flags] %s: %w", cmd.name, cmd.arguments, errUsage)
	}
	c, err := newCluster(dir, repository, opts)
	if err != nil {
		return err
	}
	return cmd.run(ctx, c, arguments)
}

// parse lets flags stand before, between and after the arguments.
func parse(flags *flag.FlagSet, args []string) (arguments []string, err error) {
	for {
		if err := flags.Parse(args); err != nil {
			return nil, err
		}
		if flags.NArg() == 0 {
			return arguments, nil
		}
		arguments = append(arguments, flags.Arg(0))
		args = flags.Args()[1:]
	}
}

func newCluster(dir, repository string, opts options) (*cluster, error) {
	repository, err := checkout.Root(repository)
	if err != nil {
		return nil, err
	}
	if dir == "" {
		dir = filepath.Join(repository, ".cluster")
	}
	if dir, err = filepath.Abs(dir); err != nil {
		return nil, fmt.Errorf("finding the cluster's directory: %w", err)
	}
	cache, err := gobuild.DefaultCache()
	if err != nil {
		return nil, err
	}
	l := layout{dir: dir}
	return &cluster{
		layout:     l,
		repository: repository,
		cache:      cache,
		processes:  newStore(l),
		say:        progress.To(os.Stderr),
		options:    opts,
	}, nil
}
