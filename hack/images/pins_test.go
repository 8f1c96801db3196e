package main

import (
	"fmt"
	"go/version"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var (
	argument  = regexp.MustCompile(`^\$\{?(\w+)\}?$`)
	byDigest  = regexp.MustCompile(`^[^@]+@sha256:[0-9a-f]{64}$`)
	byVersion = regexp.MustCompile(`^[^:@]+:v?\d+\.\d+`)
	byPatch   = regexp.MustCompile(`^golang:(\d+\.\d+\.\d+)(-|$)`)
)

// unpinned lists, for each FROM of a Dockerfile whose image may be another one tomorrow, what is wrong with it. Those of Go name
// a patch version; other images at least the second number of theirs, or a digest. pinnedGo are the versions of Go.
func unpinned(dockerfile string) (complaints, pinnedGo []string) {
	defaults, stages := map[string]string{}, map[string]bool{"scratch": true}
	for line := range strings.Lines(dockerfile) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		switch strings.ToUpper(fields[0]) {
		case "ARG":
			name, value, _ := strings.Cut(fields[1], "=")
			if defaults[name] == "" {
				defaults[name] = value
			}
		case "FROM":
			fields = fields[1:]
			for len(fields) > 1 && strings.HasPrefix(fields[0], "--") {
				fields = fields[1:]
			}
			image := fields[0]
			if match := argument.FindStringSubmatch(image); match != nil {
				image = defaults[match[1]]
			}
			patch := byPatch.FindStringSubmatch(image)
			switch {
			case patch != nil:
				pinnedGo = append(pinnedGo, "go"+patch[1])
			case stages[image], byDigest.MatchString(image):
			case strings.HasPrefix(image, "golang:"), !byVersion.MatchString(image):
				complaints = append(complaints, fmt.Sprintf("FROM %s, which is %q, names no exact version", fields[0], image))
			}
			if len(fields) == 3 {
				stages[fields[2]] = true
			}
		}
	}
	return complaints, pinnedGo
}

func TestEveryBaseImageIsPinned(t *testing.T) {
	module, err := os.ReadFile("../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	wants := regexp.MustCompile(`(?m)^go (\S+)$`).FindSubmatch(module)
	if wants == nil {
		t.Fatal("go.mod names no version of Go")
	}
	found, compilers := 0, map[string]bool{}
	err = filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && strings.HasPrefix(entry.Name(), ".") && strings.Trim(entry.Name(), ".") != "":
			return filepath.SkipDir
		case entry.IsDir(), !strings.HasPrefix(entry.Name(), "Dockerfile"):
			return nil
		}
		found++
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		complaints, pinned := unpinned(string(content))
		for _, complaint := range complaints {
			t.Errorf("%s: %s", path, complaint)
		}
		for _, compiler := range pinned {
			compilers[compiler] = true
			if version.Compare(compiler, "go"+string(wants[1])) < 0 {
				t.Errorf("%s: builds with %s, and go.mod wants %s", path, compiler, wants[1])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if found < len(images) {
		t.Errorf("only %d Dockerfiles were found, and there are %d images", found, len(images))
	}
	if len(compilers) != 1 {
		t.Errorf("images are built by several versions of Go: %v", compilers)
	}
}

func TestUnpinnedBaseImagesAreFound(t *testing.T) {
	for dockerfile, pinned := range map[string]bool{
		"FROM scratch": true,
		"ARG GO_IMAGE=golang:1.26.8-bookworm\nFROM ${GO_IMAGE} AS build\nFROM build": true,
		"FROM debian:12.15-slim":                                  true,
		"FROM --platform=linux/amd64 debian:12.15":                true,
		"FROM debian@sha256:" + strings.Repeat("0a", 32):          true,
		"FROM golang:1.26-bookworm":                               false,
		"FROM debian":                                             false,
		"FROM debian:latest":                                      false,
		"FROM debian:12":                                          false,
		"FROM debian:bookworm-slim":                               false,
		"ARG BASE\nFROM $BASE":                                    false,
		"ARG BASE=debian:latest\nFROM $BASE\nARG BASE=debian:1.2": false,
	} {
		if complaints, _ := unpinned(dockerfile); (len(complaints) == 0) != pinned {
			t.Errorf("%q: %v", dockerfile, complaints)
		}
	}
}
