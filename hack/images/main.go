// Command images builds the operator's and the demo's images from their Dockerfiles, on a machine with neither a Docker
// engine nor a registry. See README.md.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "images:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string) error {
	flags := flag.NewFlagSet("images", flag.ContinueOnError)
	flags.Usage = func() { usage(flags) }
	root := flags.String("root", "", "top `folder` of the project whose images are built; default: that of the working directory")
	tag := flags.String("tag", "dev", "`tag` of the images")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
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
		if *root, err = repository(); err != nil {
			return err
		}
	}
	b, err := newBuilder(ctx, *root, *tag)
	if err != nil {
		return err
	}
	for _, img := range wanted {
		start := time.Now()
		archive, outcome, err := b.ensure(ctx, img)
		if ctx.Err() != nil {
			return fmt.Errorf("build %s: interrupted", b.reference(img))
		}
		if err != nil {
			return fmt.Errorf("build %s: %w", b.reference(img), err)
		}
		sayStep(start, "image %s: %s", b.reference(img), outcome)
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
func choose(wanted []string) ([]image, error) {
	if len(wanted) == 0 {
		return slices.DeleteFunc(slices.Clone(images), func(img image) bool { return img.Tests }), nil
	}
	var chosen []image
	for _, name := range wanted {
		i := slices.IndexFunc(images, func(img image) bool { return img.Name == name })
		if i < 0 {
			return nil, fmt.Errorf("no image is named %s: the names are %s", name, strings.Join(names(), ", "))
		}
		chosen = append(chosen, images[i])
	}
	return chosen, nil
}

// repository is the folder above the working directory that holds the project.
func repository() (string, error) {
	folder, err := os.Getwd()
	if err != nil {
		return "", fmt.Errorf("find the project: %w", err)
	}
	for start := folder; ; folder = filepath.Dir(folder) {
		if _, err := os.Stat(filepath.Join(folder, "PROJECT")); err == nil {
			return folder, nil
		}
		if folder == filepath.Dir(folder) {
			return "", fmt.Errorf("find the project: no folder above %s holds a file PROJECT", start)
		}
	}
}

// say tells a person what is going on; standard output is for programs.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "  "+format+"\n", args...)
}

// sayStep tells a person that a step has ended, and how long it took.
func sayStep(start time.Time, format string, args ...any) {
	say("%-62s %5.1f s", fmt.Sprintf(format, args...), time.Since(start).Seconds())
}
