// Command images makes the operator's and the demo's images on a machine with neither a Docker engine nor a registry. See
// README.md.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/checkout"
	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/progress"
)

func main() { command.Main("images", run) }

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	flags.Usage = func() { usage(flags) }
	root := flags.String("root", "", "top `folder` of the project whose images are built; default: that of the working directory")
	tag := flags.String("tag", "dev", "`tag` of the images")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if flags.Arg(0) != "build" {
		usage(flags)
		return fmt.Errorf("unknown command %q", flags.Arg(0))
	}
	wanted, err := choose(flags.Args()[1:])
	if err != nil {
		return err
	}
	if *root == "" {
		if *root, err = checkout.Root(""); err != nil {
			return err
		}
	}
	b, err := newBuilder(*root, *tag)
	if err != nil {
		return err
	}
	say := progress.To(os.Stderr)
	for _, img := range wanted {
		var archive string
		err := say.Do(ctx, "image "+b.reference(img), func(ctx context.Context, note progress.Note) (err error) {
			var outcome string
			archive, outcome, err = b.ensure(ctx, img, note)
			note("%s", outcome)
			return err
		})
		if err != nil {
			return fmt.Errorf("build %s: %w", b.reference(img), err)
		}
		fmt.Println(archive)
	}
	return nil
}

func usage(flags *flag.FlagSet) {
	_, _ = fmt.Fprintf(flags.Output(), `usage: images [flags] build [NAME...]

Builds the images that changed and prints the path of each one's archive, which "docker load" and "ctr images import" read.

Names: %s. None means all but those of tests. Flags:
`, strings.Join(names(), ", "))
	flags.PrintDefaults()
}

// choose finds the images by their names; without any it is those of the demo.
func choose(wanted []string) ([]projectImage, error) {
	if len(wanted) == 0 {
		return slices.DeleteFunc(slices.Clone(images), func(img projectImage) bool { return img.Tests }), nil
	}
	var chosen []projectImage
	for _, name := range wanted {
		i := slices.IndexFunc(images, func(img projectImage) bool { return img.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no image is named %s: the names are %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, images[i])
	}
	return chosen, nil
}
