// Command release makes the files of a release, the same bytes wherever it runs, and checks the licences of what is in them. See
// README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "release:", err)
		os.Exit(1)
	}
}

const usage = `release [flags] COMMAND, which is one of

  build     make the files of a release
  licenses  list the licence of everything that is in the binary, and fail if one is not allowed

`

func run(ctx context.Context, args []string, out io.Writer) error {
	var root, version, into, helm string
	var allowDirty bool
	flags := flag.NewFlagSet("release", flag.ContinueOnError)
	flags.Usage = func() {
		fmt.Fprint(flags.Output(), usage)
		flags.PrintDefaults()
	}
	flags.StringVar(&root, "root", "../..", "the project's `folder`")
	flags.StringVar(&version, "version", "", "the release's `version`, such as v1.2.3")
	flags.StringVar(&into, "out", "", "the `folder` for the files, which must be empty or not there")
	flags.StringVar(&helm, "helm", "helm", "Helm's `program`")
	flags.BoolVar(&allowDirty, "allow-dirty", false, "release what is not committed, too: for a rehearsal")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch strings.Join(flags.Args(), " ") {
	case "licenses":
		return listLicences(ctx, out, root)
	case "build":
	default:
		flags.Usage()
		return fmt.Errorf("unknown arguments: %q", flags.Args())
	}

	rel := release{root: root, version: version, platforms: platforms, helm: helm}
	if err := checkVersion(rel.version); err != nil {
		return err
	}
	if _, err := exec.LookPath(helm); err != nil {
		return fmt.Errorf("helm, which packages the chart, is missing (`make helm` builds it): %w", err)
	}
	if err := checkGo(ctx, root); err != nil {
		return err
	}
	if err := checkTree(ctx, root, version, allowDirty); err != nil {
		return err
	}
	var err error
	if rel.date, err = date(ctx, root); err != nil {
		return err
	}
	if rel.out, err = emptyFolder(into); err != nil {
		return err
	}
	if err := rel.build(ctx); err != nil {
		return err
	}
	sums, err := os.ReadFile(filepath.Join(rel.out, sumsFile))
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%s is in %s:\n%s", version, rel.out, sums)
	return nil
}

// emptyFolder makes a folder, or makes sure that it is empty, and returns its absolute path.
func emptyFolder(path string) (string, error) {
	if path == "" {
		return "", errors.New("no folder for the files was named (--out)")
	}
	if err := os.MkdirAll(path, 0o755); err != nil {
		return "", err
	}
	entries, err := os.ReadDir(path)
	if err != nil {
		return "", err
	}
	if len(entries) > 0 {
		return "", fmt.Errorf("%s is not empty: remove it first", path)
	}
	return filepath.Abs(path)
}

// output runs a program in a folder and returns what it printed, without the space around it. An error has what the program
// complained of.
func output(ctx context.Context, folder string, env []string, program string, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Dir, cmd.Env = folder, append(os.Environ(), env...)
	printed, err := cmd.Output()
	var failed *exec.ExitError
	if errors.As(err, &failed) {
		err = fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(failed.Stderr)))
	}
	return strings.TrimSpace(string(printed)), err
}
