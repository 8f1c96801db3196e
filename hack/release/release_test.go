package main

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha256"
	"debug/buildinfo"
	"debug/elf"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

const root = "../.."

var released = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// helm returns the path of Helm that the Makefile names or builds: `make helm`.
func helm(t *testing.T) string {
	t.Helper()
	path, err := filepath.Abs(cmp.Or(os.Getenv("HELM"), filepath.Join(root, "bin", "helm")))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// checkout copies what a release is made of to another folder, with other dates.
func checkout(t *testing.T, folder string) string {
	t.Helper()
	for _, name := range []string{"api", "apiserver", "charts", "client", "cmd", "config", "controllers", "internal"} {
		if err := os.CopyFS(filepath.Join(folder, name), os.DirFS(filepath.Join(root, name))); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"go.mod", "go.sum", "LICENSE", "Dockerfile"} {
		content, err := os.ReadFile(filepath.Join(root, name))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return folder
}

// makeRelease makes a release of one platform out of a folder, and returns its files by name.
func makeRelease(t *testing.T, root string) map[string][]byte {
	t.Helper()
	rel := release{
		root: root, out: t.TempDir(), version: "v1.2.3-rc.1", platforms: platforms[:1], helm: helm(t), date: released,
		level: gzip.BestSpeed, // the best takes minutes with the race detector
	}
	if err := rel.build(t.Context()); err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(rel.out)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for _, entry := range entries {
		if files[entry.Name()], err = os.ReadFile(filepath.Join(rel.out, entry.Name())); err != nil {
			t.Fatal(err)
		}
		if info, err := entry.Info(); err != nil || !info.ModTime().Equal(released) {
			t.Errorf("%s is of %v (%v), want %v", entry.Name(), info.ModTime(), err, released)
		}
	}
	return files
}

func TestARelease(t *testing.T) {
	here := t.TempDir()
	files := makeRelease(t, checkout(t, filepath.Join(here, "a")))

	const binaryName, bomName = "spider-operator_1.2.3-rc.1_linux_amd64.tar.gz", "spider-operator_1.2.3-rc.1_linux_amd64.cdx.json"
	const chartName = "spider-operator-1.2.3-rc.1.tgz"
	want := []string{sumsFile, licencesFile, installFile, chartName, bomName, binaryName}
	slices.Sort(want)
	var names []string
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	if !slices.Equal(names, want) {
		t.Fatalf("files %v, want %v", names, want)
	}
	packed := unpack(t, files[binaryName])
	binary := packed["spider-operator"]

	t.Run("is the same from another folder", func(t *testing.T) {
		again := makeRelease(t, checkout(t, filepath.Join(here, "elsewhere", "and", "deeper")))
		for name := range files {
			if !bytes.Equal(files[name], again[name]) {
				t.Errorf("%s differs", name)
			}
		}
	})
	t.Run("has a static binary that knows its version and no folder of this machine", func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "spider-operator")
		if err := os.WriteFile(path, binary, 0o700); err != nil {
			t.Fatal(err)
		}
		printed, err := exec.CommandContext(t.Context(), path, "version").CombinedOutput()
		if err != nil || !strings.Contains(string(printed), "v1.2.3-rc.1") {
			t.Errorf("version: %q, %v", printed, err)
		}
		file, err := elf.NewFile(bytes.NewReader(binary))
		if err != nil {
			t.Fatal(err)
		}
		for _, segment := range file.Progs {
			if segment.Type == elf.PT_INTERP || segment.Type == elf.PT_DYNAMIC {
				t.Errorf("the binary has a segment %v, so it is not static", segment.Type)
			}
		}
		cache, err := output(t.Context(), ".", nil, "go", "env", "GOMODCACHE")
		if err != nil {
			t.Fatal(err)
		}
		for _, folder := range []string{here, cache} {
			if bytes.Contains(binary, []byte(folder)) {
				t.Errorf("the binary names the folder %s", folder)
			}
		}
	})
	t.Run("has a bill of materials that names every module in the binary", func(t *testing.T) {
		info, err := buildinfo.Read(bytes.NewReader(binary))
		if err != nil {
			t.Fatal(err)
		}
		var bom struct {
			BOMFormat string
			Metadata  struct {
				Component struct{ Name, Version string }
			}
			Components []struct {
				Name, Version, PURL string
				Licenses            []struct{ License struct{ ID string } }
			}
		}
		if err := json.Unmarshal(files[bomName], &bom); err != nil {
			t.Fatal(err)
		}
		listed := map[string]bool{}
		for _, c := range bom.Components {
			listed[c.Name+" "+c.Version] = true
			if len(c.Licenses) == 0 || c.PURL == "" {
				t.Errorf("%s has the licences %v and the package URL %q", c.Name, c.Licenses, c.PURL)
			}
		}
		if len(info.Deps) < 50 {
			t.Errorf("only %d modules are in the binary, which cannot be", len(info.Deps))
		}
		for _, module := range info.Deps {
			if !listed[module.Path+" "+module.Version] {
				t.Errorf("%s %s is in the binary and not in the bill", module.Path, module.Version)
			}
			delete(listed, module.Path+" "+module.Version)
		}
		if !listed["std "+info.GoVersion] || len(listed) != 2 {
			t.Errorf("besides modules the bill lists %v, want the standard library and Swagger UI", listed)
		}
		ours := bom.Metadata.Component
		if bom.BOMFormat != "CycloneDX" || ours.Name != info.Main.Path || ours.Version != "v1.2.3-rc.1" {
			t.Errorf("the bill is a %s of %v", bom.BOMFormat, ours)
		}
	})
	t.Run("passes on the licences", func(t *testing.T) {
		if !bytes.Equal(packed[licencesFile], files[licencesFile]) || len(packed[licenceFile]) == 0 {
			t.Errorf("the archive has %d and %d bytes of licences", len(packed[licencesFile]), len(packed[licenceFile]))
		}
		for _, text := range []string{
			"github.com/gin-gonic/gin v", "std go1.", "swagger-ui 5.", "Manuel Martínez-Almeida", "Copyright 2009 The Go Authors",
			"Copyright (c) 2018 Jed Watson", "SmartBear",
		} {
			if !bytes.Contains(files[licencesFile], []byte(text)) {
				t.Errorf("%s does not have %q", licencesFile, text)
			}
		}
	})
	t.Run("has a chart and a manifest that install its image", func(t *testing.T) {
		chart := unpack(t, files[chartName])
		for _, line := range []string{"version: 1.2.3-rc.1\n", "appVersion: 1.2.3-rc.1\n"} {
			if !strings.Contains("\n"+string(chart["spider-operator/Chart.yaml"]), "\n"+line) {
				t.Errorf("Chart.yaml has no line %q:\n%s", line, chart["spider-operator/Chart.yaml"])
			}
		}
		manifest := string(files[installFile])
		if images := strings.Count(manifest, "image: scrapethis/spider-operator:1.2.3-rc.1\n"); images != 2 {
			t.Errorf("%d containers of the manifest have the release's image, want 2", images)
		}
		if crds := strings.Count(manifest, "kind: CustomResourceDefinition\n"); crds != 5 {
			t.Errorf("the manifest has %d CustomResourceDefinitions, want 5", crds)
		}
	})
	t.Run("has sums of all files", func(t *testing.T) {
		var sums strings.Builder
		for _, name := range names {
			if name != sumsFile {
				sum := sha256.Sum256(files[name])
				fmt.Fprintf(&sums, "%s  %s\n", hex.EncodeToString(sum[:]), name)
			}
		}
		if string(files[sumsFile]) != sums.String() {
			t.Errorf("sums:\n%swant:\n%s", files[sumsFile], sums.String())
		}
	})
}

// unpack returns the files of a .tar.gz by name.
func unpack(t *testing.T, archive []byte) map[string][]byte {
	t.Helper()
	compressed, err := gzip.NewReader(bytes.NewReader(archive))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string][]byte{}
	for reader := tar.NewReader(compressed); ; {
		header, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return files
		}
		if err != nil {
			t.Fatal(err)
		}
		if !header.ModTime.Equal(released) {
			t.Errorf("%s is of %v, want %v", header.Name, header.ModTime, released)
		}
		if files[header.Name], err = io.ReadAll(reader); err != nil {
			t.Fatal(err)
		}
	}
}

func TestVersionsThatAreNone(t *testing.T) {
	for version, good := range map[string]bool{
		"v1.2.3": true, "v0.1.0": true, "v1.2.3-rc.1": true,
		"": false, "1.2.3": false, "v1.2": false, "v1.2.3+build": false, "v01.2.3": false, "2a443fa": false, "v1.2.3/x": false,
	} {
		err := checkVersion(version)
		if (err == nil) != good {
			t.Errorf("%q: %v", version, err)
		}
		if err != nil && !strings.Contains(err.Error(), fmt.Sprintf("VERSION is %q", version)) {
			t.Errorf("%q: the error does not name it: %v", version, err)
		}
	}
}

func TestOnlyWhatIsCommittedIsReleased(t *testing.T) {
	repository := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		args = append([]string{"-c", "user.name=test", "-c", "user.email=test@example.com"}, args...)
		if _, err := output(t.Context(), repository, nil, "git", args...); err != nil {
			t.Fatal(err)
		}
	}
	commit := func(name string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(repository, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		git("add", ".")
		git("commit", "--quiet", "--message", name)
	}
	git("init", "--quiet")
	commit("one")
	git("tag", "--annotate", "--message", "v1.0.0", "v1.0.0")
	git("tag", "v1.0.1")
	for _, version := range []string{"v1.0.0", "v1.0.1", "v1.1.0"} {
		if err := checkTree(t.Context(), repository, version, false); err != nil {
			t.Errorf("a clean tree, tagged or not: %v", err)
		}
	}
	commit("two")
	for _, version := range []string{"v1.0.0", "v1.0.1"} {
		if err := checkTree(t.Context(), repository, version, false); err == nil || !strings.Contains(err.Error(), version) {
			t.Errorf("a tag on another commit: %v", err)
		}
	}
	if err := os.WriteFile(filepath.Join(repository, "forgotten.go"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := checkTree(t.Context(), repository, "v1.1.0", false)
	if err == nil || !strings.Contains(err.Error(), "forgotten.go") || !strings.Contains(err.Error(), "ALLOW_DIRTY") {
		t.Errorf("a file that is not committed: %v", err)
	}
	if err := checkTree(t.Context(), repository, "v1.1.0", true); err != nil {
		t.Errorf("a rehearsal: %v", err)
	}
}

func TestOnlyTheDockerfilesGoMakesReleases(t *testing.T) {
	folder := t.TempDir()
	for dockerfile, complaint := range map[string]string{
		"ARG GO_IMAGE=golang:1.2.3-bookworm\n": "set GOTOOLCHAIN=go1.2.3",
		"FROM scratch\n":                       "names no version of Go",
	} {
		if err := os.WriteFile(filepath.Join(folder, "Dockerfile"), []byte(dockerfile), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := checkGo(t.Context(), folder); err == nil || !strings.Contains(err.Error(), complaint) {
			t.Errorf("%q: %v", dockerfile, err)
		}
	}
}

func TestADateIsTheEpochsElseTheCommits(t *testing.T) {
	t.Setenv("SOURCE_DATE_EPOCH", "1767323045")
	if got, err := date(t.Context(), root); err != nil || !got.Equal(released) {
		t.Errorf("SOURCE_DATE_EPOCH: %v, %v", got, err)
	}
	t.Setenv("SOURCE_DATE_EPOCH", "yesterday")
	if _, err := date(t.Context(), root); err == nil || !strings.Contains(err.Error(), "yesterday") {
		t.Errorf("a date that is none: %v", err)
	}
}

func TestOnlyAnEarlierReleaseGivesWayToARelease(t *testing.T) {
	folder := t.TempDir()
	dist := filepath.Join(folder, "dist")
	if _, err := folderFor(dist); err != nil {
		t.Errorf("a folder that is not there: %v", err)
	}
	if _, err := folderFor(folder); err == nil || !strings.Contains(err.Error(), folder) {
		t.Errorf("a folder with something else in it: %v", err)
	}
	if _, err := os.Stat(dist); err != nil {
		t.Errorf("what was in it: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dist, sumsFile), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := folderFor(dist); err != nil {
		t.Errorf("an earlier release: %v", err)
	}
	if entries, err := os.ReadDir(dist); err != nil || len(entries) != 0 {
		t.Errorf("the folder of an earlier release has %v, %v", entries, err)
	}
}

func TestMissingToolsAreNamed(t *testing.T) {
	args := []string{"--root", root, "--version", "v1.2.3", "--helm", "no-such-helm", "--out", t.TempDir(), "build"}
	if err := run(t.Context(), args, io.Discard); err == nil || !strings.Contains(err.Error(), "make helm") {
		t.Errorf("without Helm: %v", err)
	}
}
