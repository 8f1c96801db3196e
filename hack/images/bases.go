package main

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/scrapethis/spider-operator/hack/internal/command"
	"github.com/scrapethis/spider-operator/hack/internal/debian"
)

// bases makes the base images that a Dockerfile's defaults would pull from a registry.
type bases struct {
	buildah buildah
	log     io.Writer
}

// debianBase is the name of the base image in our storage; a change of its recipe needs another number.
const debianBase = "localhost/base/debian:1"

// ensure returns the base image that stands in for a build argument's default, made now if it was not before.
func (b bases) ensure(ctx context.Context) (string, error) {
	found, err := b.buildah.do(ctx, "images", "--quiet", "--filter", "reference="+debianBase)
	if err != nil || found != "" {
		return debianBase, err
	}
	if err := b.makeDebian(ctx); err != nil {
		return "", fmt.Errorf("make the base image %s: %w", debianBase, err)
	}
	return debianBase, nil
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
	if _, err := command.Logged(contained(ctx, "mmdebstrap", args...), b.log); err != nil {
		return err
	}
	container, err := b.buildah.do(ctx, "from", "--pull-never", "scratch")
	if err != nil {
		return err
	}
	for _, step := range [][]string{
		{"add", "--quiet", container, archive, "/"},
		{"config", "--cmd", "bash", container},
		{"commit", "--quiet", "--rm", container, debianBase},
	} {
		if _, err := b.buildah.do(ctx, step...); err != nil {
			return err
		}
	}
	return nil
}

// debianSources asks apt for the mirrors of the release, as lines of a sources.list.
func (b bases) debianSources(ctx context.Context, codename string) ([]string, error) {
	list := func() ([]string, error) {
		list := command.New(ctx, "apt-get", "indextargets", "--format", indexTargetFormat, indexTargetFilter)
		targets, err := command.Logged(list, b.log)
		return debianSources(targets, codename), err
	}
	sources, err := list()
	if err != nil || len(sources) > 0 {
		return sources, err
	}
	// apt knows a mirror's origin only after its first update.
	if err := debian.AptGet(ctx, b.log, "update"); err != nil {
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
