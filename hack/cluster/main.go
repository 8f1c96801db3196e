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

// subcommand is one of what the program can do.
type subcommand struct {
	name string
	// arguments are those that it takes, for people: none, one or, with an ellipsis, at least one.
	arguments, help string
	run             func(c *cluster, ctx context.Context, args []string) error
}

// alone is a subcommand without arguments.
func alone(run func(*cluster, context.Context) error) func(*cluster, context.Context, []string) error {
	return func(c *cluster, ctx context.Context, _ []string) error { return run(c, ctx) }
}

var subcommands = []subcommand{
	{"up", "", "start the cluster, or what of it does not run, and wait until it can be used", alone((*cluster).up)},
	{"down", "", "stop everything, and put the machine back as it was", alone((*cluster).down)},
	{"status", "", "tell which components run, whether they serve, and how much memory they take", alone((*cluster).status)},
	{"env", "", "print, for eval, what makes kubectl and other clients use the cluster", alone((*cluster).env)},
	{"load", "archive...", "put images, as docker or OCI archives, on the node", (*cluster).load},
	{"assets", "", "build what envtest needs, and print the directory (for KUBEBUILDER_ASSETS); needs no root",
		alone((*cluster).assets)},
	{"kill", "component", "kill a component, to see what that does", (*cluster).kill},
	{"start", "component", "start a component that was killed, and wait until it serves", (*cluster).start},
	{"snapshot", "", "print the state of the machine as far as a cluster may change it", alone((*cluster).snapshot)},
	{"verify", "", "tell what differs from before the cluster's start, and fail if anything does", alone((*cluster).verify)},
}

func usage(w io.Writer) error {
	var text strings.Builder
	text.WriteString("Runs a real Kubernetes on this machine.\n\nusage: cluster <command> [flags] [arguments]\n\n")
	for _, c := range subcommands {
		fmt.Fprintf(&text, "  %s\t%s\n", strings.TrimSpace(c.name+" "+c.arguments), c.help)
	}
	text.WriteString("\ncluster <command> -h shows a command's flags.\n")
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
	for _, c := range subcommands {
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
	dir := flags.String("dir", "", "`directory` of the cluster's files (default: .cluster in the repository)")
	signal := new(string)
	if cmd.name == "kill" {
		signal = flags.String("signal", "KILL", "`name` of the signal: KILL, TERM, STOP, CONT, INT, HUP or QUIT")
	}
	arguments, err := parse(flags, args)
	if err != nil {
		return err
	}
	several := strings.HasSuffix(cmd.arguments, "...")
	if (len(arguments) > 0) != (cmd.arguments != "") || len(arguments) > 1 && !several {
		return fmt.Errorf("usage: cluster %s [flags] %s: %w", cmd.name, cmd.arguments, errUsage)
	}
	c, err := newCluster(*dir)
	if err != nil {
		return err
	}
	c.signal = *signal
	return cmd.run(c, ctx, arguments)
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

func newCluster(dir string) (*cluster, error) {
	repository, err := checkout.Root("")
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
		layout: l, repository: repository, cache: cache, processes: newStore(l), say: progress.To(os.Stderr), out: os.Stdout,
	}, nil
}
