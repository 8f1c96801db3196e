// Command buildtool builds a tool that a module pins by a tool directive, and shows how far it is: the first time takes minutes.
//
//	buildtool MODULE-FOLDER NAME OUTPUT
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path"
	"strings"
	"syscall"

	"github.com/scrapethis/spider-operator/hack/internal/gobuild"
	"github.com/scrapethis/spider-operator/hack/internal/progress"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "buildtool:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("usage: buildtool MODULE-FOLDER NAME OUTPUT")
	}
	module, name, output := args[0], args[1], args[2]
	list := exec.CommandContext(ctx, "go", "list", "tool")
	list.Dir = module
	list.Stderr = os.Stderr
	tools, err := list.Output()
	if err != nil {
		return fmt.Errorf("list the tools of %s: %w", module, err)
	}
	for tool := range strings.FieldsSeq(string(tools)) {
		if path.Base(tool) == name {
			return progress.To(os.Stderr).Do(ctx, "build "+name, func(ctx context.Context, note progress.Note) error {
				return gobuild.Build(ctx, gobuild.Program{Module: module, Package: tool}, output, note)
			})
		}
	}
	return fmt.Errorf("%s has no tool directive for %s", module, name)
}
