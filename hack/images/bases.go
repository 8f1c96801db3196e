package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// bases makes the base images that a Dockerfile's defaults would pull from a registry.
type bases struct {
	buildah buildah
	log     io.Writer
}

// debianBase is the name of the base image in our storage; a change of its recipe needs another number.
const debianBase = "localhost/base/debian:1"

// ensure returns the base image that stands in for a build argument's default, made now if it was not before.
func (b bases) ensure(ctx context.Context, argument string) (string, error) {
	switch argument {
	case debianArgument:
		return debianBase, b.once(ctx, debianBase, b.makeDebian)
	default:
		return "", fmt.Errorf("no base image is known for the build argument %s", argument)
	}
}

func (b bases) once(ctx context.Context, reference string, create func(context.Context) error) error {
	found, err := b.buildah.do(ctx, "images", "--quiet", "--filter", "reference="+reference)
	if err != nil || found != "" {
		return err
	}
	if err := create(ctx); err != nil {
		return fmt.Errorf("make the base image %s: %w", reference, err)
	}
	return nil
}

// makeDebian makes what debian:12.15-slim is, of the machine's own release and from its own mirror.
func (b bases) makeDebian(ctx context.Context) error {
	if err := requirePrograms(ctx, b.log, "mmdebstrap"); err != nil {
		return err
	}
	release, err := os.ReadFile("/etc/os-release")
	if err != nil {
		return fmt.Errorf("find the machine's release: %w", err)
	}
	codename := codename(string(release))
	sources, err := b.debianSources(ctx, codename)
	if err != nil {
		return err
	}
	archive := filepath.Join(b.buildah.run, "debian.tar")
	args := append([]string{"--variant=apt", "--mode=root", "--dpkgopt=force-unsafe-io", codename, archive}, sources...)
	if _, err := output(contained(ctx, "mmdebstrap", args...), b.log); err != nil {
		return err
	}
	return b.commit(ctx, "scratch", debianBase, func(container string) error {
		if _, err := b.buildah.do(ctx, "add", "--quiet", container, archive, "/"); err != nil {
			return err
		}
		_, err := b.buildah.do(ctx, "config", "--cmd", "bash", container)
		return err
	})
}

// debianSources asks apt for the mirrors of the release, as lines of a sources.list.
func (b bases) debianSources(ctx context.Context, codename string) ([]string, error) {
	list := func() ([]string, error) {
		targets, err := output(contained(ctx, "apt-get", "indextargets", "--format", indexTargetFormat, indexTargetFilter), b.log)
		return debianSources(targets, codename), err
	}
	sources, err := list()
	if err != nil || len(sources) > 0 {
		return sources, err
	}
	// apt knows a mirror's origin only after its first update.
	if _, err := output(aptGet(ctx, "update"), b.log); err != nil {
		return nil, err
	}
	sources, err = list()
	if err == nil && len(sources) == 0 {
		err = fmt.Errorf("apt's configuration names no Debian mirror for this machine's release %q", codename)
	}
	return sources, err
}

const (
	indexTargetFilter = "Created-By: Packages"
	indexTargetFormat = "$(ORIGIN)|$(CODENAME)|$(REPO_URI)|$(COMPONENT)"
)

// debianSources picks Debian's own archives of a release out of what apt-get indextargets printed in indexTargetFormat.
func debianSources(targets, codename string) []string {
	var sources []string
	for line := range strings.Lines(targets) {
		fields := strings.Split(strings.TrimSpace(line), "|")
		if len(fields) != 4 || fields[0] != "Debian" || fields[3] != "main" {
			continue
		}
		switch suite := fields[1]; suite {
		case codename, codename + "-updates", codename + "-security":
			sources = append(sources, fmt.Sprintf("deb %s %s main", fields[2], suite))
		}
	}
	return sources
}

// codename is the VERSION_CODENAME of an os-release file, such as bookworm.
func codename(release string) string {
	for line := range strings.Lines(release) {
		if name, ok := strings.CutPrefix(strings.TrimSpace(line), "VERSION_CODENAME="); ok {
			return strings.Trim(name, `"'`)
		}
	}
	return ""
}

// commit makes an image from another by what change does to a container of it.
func (b bases) commit(ctx context.Context, from, reference string, change func(container string) error) error {
	container, err := b.buildah.do(ctx, "from", "--pull-never", from)
	if err != nil {
		return err
	}
	if err := change(container); err != nil {
		return err
	}
	_, err = b.buildah.do(ctx, "commit", "--quiet", "--rm", container, reference)
	return err
}
