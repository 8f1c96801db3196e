// Command release makes the files of a release, the same bytes wherever it runs, and checks the licences of what is in them. See
// README.md.
package main

import (
	"compress/gzip"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/command"
)

func main() {
	command.Main("release", func(ctx context.Context, args []string) error { return run(ctx, args, os.Stdout) })
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
	flags.StringVar(&root, "root", "..", "the project's `folder`")
	flags.StringVar(&version, "version", "", "the release's `version`, such as v1.2.3")
	flags.StringVar(&into, "out", "", "the `folder` for the files; an earlier release in it is removed")
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

	rel := release{root: root, version: version, platforms: platforms, helm: helm, level: gzip.BestCompression}
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
	if rel.out, err = folderFor(into); err != nil {
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

// folderFor makes an empty folder for a release, and returns its absolute path. What is in it is removed if it is a release.
func folderFor(path string) (string, error) {
	if path == "" {
		return "", errors.New("no folder for the files was named (--out)")
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return "", err
	}
	if len(entries) > 0 {
		if _, err := os.Stat(filepath.Join(path, sumsFile)); err != nil {
			return "", fmt.Errorf("%s has files in it and no %s, so it is no finished release: remove it yourself", path, sumsFile)
		}
		if err := os.RemoveAll(path); err != nil {
			return "", err
		}
	}
	return path, os.MkdirAll(path, 0o755)
}

// output runs a program in a folder and returns what it printed.
func output(ctx context.Context, folder string, env []string, program string, args ...string) (string, error) {
	return command.Output(command.In(ctx, folder, env, program, args...))
}
