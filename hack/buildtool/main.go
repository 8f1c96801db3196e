// Command buildtool builds a tool that a module pins by a tool directive, and shows how far it is: the first time takes minutes.
//
//	buildtool MODULE-FOLDER NAME OUTPUT
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/gobuild"
	"github.com/scrapethis/spider-operator/hack/internal/progress"
)

func main() { command.Main("buildtool", run) }

func run(ctx context.Context, args []string) error {
	if len(args) != 3 {
		return errors.New("usage: buildtool MODULE-FOLDER NAME OUTPUT")
	}
	module, name, output := args[0], args[1], args[2]
	tools, err := command.Output(command.In(ctx, module, nil, "go", "list", "tool"))
	if err != nil {
		return fmt.Errorf("list the tools of %s: %w", module, err)
	}
	for tool := range strings.FieldsSeq(tools) {
		if path.Base(tool) == name {
			return progress.To(os.Stderr).Do(ctx, "build "+name, func(ctx context.Context, note progress.Note) error {
				return gobuild.Build(ctx, gobuild.Program{Module: module, Package: tool}, output, note)
			})
		}
	}
	return fmt.Errorf("%s has no tool directive for %s", module, name)
}
