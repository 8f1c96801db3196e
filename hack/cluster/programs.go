package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/mod/modfile"

	"github.com/scrapethis/spider-operator/hack/internal/gobuild"
)

// kubernetesComponents are what the multi-call binary of hack/kubernetes is called by.
var kubernetesComponents = []string{
	"etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kubelet", "kube-proxy", "kubectl",
}

// programs are the directories of what is built from the repository's sources.
type programs struct {
	kubernetes, coredns, pause string
}

func (p programs) kubernetesComponent(name string) string { return filepath.Join(p.kubernetes, name) }
func (p programs) dns() string                            { return filepath.Join(p.coredns, "coredns") }
func (p programs) pauseProgram() string                   { return filepath.Join(p.pause, "pause") }

func kubernetesProgram(repository string) (gobuild.Program, error) {
	module := filepath.Join(repository, "hack", "kubernetes")
	flags, err := versionFlags(module)
	if err != nil {
		return gobuild.Program{}, err
	}
	return gobuild.Program{
		Name: "kube", Module: module, Package: ".", Flags: flags, Links: kubernetesComponents,
	}, nil
}

func corednsProgram(repository string) gobuild.Program {
	module := filepath.Join(repository, "hack", "coredns")
	return gobuild.Program{Name: "coredns", Module: module, Package: ".", Flags: []string{"-ldflags", "-s -w"}}
}

func pauseProgram(repository string) gobuild.Program {
	module := filepath.Join(repository, "hack")
	return gobuild.Program{
		Name:    "pause",
		Module:  module,
		Package: "./cluster/pause",
		Flags:   []string{"-ldflags", "-s -w"},
	}
}

// versionFlags makes the binary say which Kubernetes it is: a build outside Kubernetes' own tree does not know, and clients
// refuse or warn about a server whose version they cannot read.
func versionFlags(module string) ([]string, error) {
	content, err := os.ReadFile(filepath.Join(module, "go.mod"))
	if err != nil {
		return nil, fmt.Errorf("reading the version of Kubernetes: %w", err)
	}
	goMod, err := modfile.ParseLax("go.mod", content, nil)
	if err != nil {
		return nil, fmt.Errorf("reading the version of Kubernetes: %w", err)
	}
	i := slices.IndexFunc(goMod.Require, func(r *modfile.Require) bool { return r.Mod.Path == "k8s.io/kubernetes" })
	if i < 0 {
		return nil, fmt.Errorf("%s/go.mod requires no version of Kubernetes", module)
	}
	version := goMod.Require[i].Mod.Version
	major, rest, _ := strings.Cut(strings.TrimPrefix(version, "v"), ".")
	minor, _, _ := strings.Cut(rest, ".")
	var linker strings.Builder
	linker.WriteString("-s -w")
	for _, pkg := range []string{"k8s.io/component-base/version", "k8s.io/client-go/pkg/version"} {
		fmt.Fprintf(&linker, " -X %s.gitVersion=%s -X %s.gitMajor=%s -X %s.gitMinor=%s", pkg, version, pkg, major, pkg, minor)
	}
	return []string{"-ldflags", linker.String()}, nil
}

// buildKubernetes builds, or finds, the multi-call binary and returns the directory of its links.
func (c *cluster) buildKubernetes(ctx context.Context) (string, error) {
	program, err := kubernetesProgram(c.repository)
	if err != nil {
		return "", err
	}
	return c.build(ctx, program, "Kubernetes (the first time this takes some ten minutes)")
}

// buildAll builds, or finds, everything that the cluster runs.
func (c *cluster) buildAll(ctx context.Context) (p programs, err error) {
	if p.kubernetes, err = c.buildKubernetes(ctx); err != nil {
		return programs{}, err
	}
	if p.coredns, err = c.build(ctx, corednsProgram(c.repository), "CoreDNS"); err != nil {
		return programs{}, err
	}
	if p.pause, err = c.build(ctx, pauseProgram(c.repository), "the pause program"); err != nil {
		return programs{}, err
	}
	return p, nil
}

func (c *cluster) build(ctx context.Context, program gobuild.Program, title string) (dir string, err error) {
	if c.cache.Has(program) {
		return c.cache.Path(program)
	}
	err = c.say.Do(ctx, "build "+title, func(ctx context.Context, note note) error {
		dir, err = c.cache.Ensure(ctx, program, note)
		return err
	})
	return dir, err
}
