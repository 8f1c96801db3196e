package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/files"
	"github.com/scrapethis/spider-operator/hack/internal/image"
)

// archive is what distinguishes the states of an image archive without reading it.
type archive struct {
	Size     int64    `json:"size"`
	Modified int64    `json:"modified"` // nanoseconds since the epoch
	Images   []string `json:"images"`
}

// load imports image archives into the node, except those that are in already.
func (c *cluster) load(ctx context.Context, archives []string) error {
	if err := requireRoot("loading images"); err != nil {
		return err
	}
	present, err := c.images(ctx)
	if err != nil {
		return fmt.Errorf("loading images (does the cluster run? `cluster up` starts it): %w", err)
	}
	loaded, err := files.LoadIfThere[map[string]archive](c.loaded())
	if err != nil {
		return err
	}
	if loaded == nil {
		loaded = map[string]archive{}
	}
	for _, path := range archives {
		path, err := filepath.Abs(path)
		if err != nil {
			return fmt.Errorf("loading %s: %w", path, err)
		}
		info, err := os.Stat(path)
		if err != nil {
			return fmt.Errorf("loading %s: %w", path, err)
		}
		now := archive{Size: info.Size(), Modified: info.ModTime().UnixNano()}
		if known := loaded[path]; known.Size == now.Size && known.Modified == now.Modified && containsAll(present, known.Images) {
			continue
		}
		err = c.say.Do(ctx, "load "+filepath.Base(path), func(ctx context.Context, note note) error {
			now.Images, err = c.importArchive(ctx, path)
			note("%s", strings.Join(now.Images, " "))
			return err
		})
		if err != nil {
			return err
		}
		// Another archive that brought one of these images is not what is loaded any more.
		for other, known := range loaded {
			if other != path && overlapping(known.Images, now.Images) {
				delete(loaded, other)
			}
		}
		loaded[path] = now
		if err := files.Save(c.loaded(), loaded); err != nil {
			return err
		}
	}
	return nil
}

// loadPause makes and loads the image of Pods' sandboxes, unless it is there.
func (c *cluster) loadPause(ctx context.Context, built programs) error {
	present, err := c.images(ctx)
	if err != nil || containsAll(present, []string{pauseImage}) {
		return err
	}
	return c.say.Do(ctx, "load the pause image", func(ctx context.Context, _ note) error {
		path := c.path("pause.tar")
		pause, err := image.Program(built.pauseProgram())
		if err != nil {
			return err
		}
		if err := image.Write(path, pauseImage, pause); err != nil {
			return err
		}
		_, err = c.importArchive(ctx, path)
		return err
	})
}

// importArchive returns the names of the images that were in the archive.
func (c *cluster) importArchive(ctx context.Context, path string) ([]string, error) {
	snapshotter, err := c.snapshotter()
	if err != nil {
		return nil, err
	}
	out, err := c.ctr(ctx, "images", "import", "--snapshotter", snapshotter, path)
	if err != nil {
		return nil, fmt.Errorf("loading %s: %w", path, err)
	}
	names := importedImages(out)
	if len(names) == 0 {
		return nil, fmt.Errorf("loading %s: it holds no image of this platform that has a name: %s", path, out)
	}
	return names, nil
}

// importedImages reads what `ctr images import` prints: "unpacking <reference> (sha256:...)...done".
func importedImages(output string) []string {
	var names []string
	for line := range strings.Lines(output) {
		if fields := strings.Fields(line); len(fields) >= 2 && fields[0] == "unpacking" {
			names = append(names, fields[1])
		}
	}
	return names
}

// images lists the names of the images on the node.
func (c *cluster) images(ctx context.Context) ([]string, error) {
	out, err := c.ctr(ctx, "images", "list", "--quiet")
	return strings.Fields(out), err
}

func (c *cluster) ctr(ctx context.Context, args ...string) (string, error) {
	program, err := findProgram("ctr")
	if err != nil {
		return "", err
	}
	global := []string{"--address", c.containerdSocket(), "--namespace", imageNamespace}
	return command.Output(command.New(ctx, program, append(global, args...)...))
}

// containsAll reports whether a list has everything wanted.
func containsAll(list, wanted []string) bool {
	return !slices.ContainsFunc(wanted, func(item string) bool { return !slices.Contains(list, item) })
}

func overlapping(a, b []string) bool {
	return slices.ContainsFunc(a, func(item string) bool { return slices.Contains(b, item) })
}
