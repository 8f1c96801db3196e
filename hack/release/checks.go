package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"golang.org/x/mod/semver"
)

// checkVersion wants a version in full, as tags, images and charts are named by it.
func checkVersion(version string) error {
	if semver.Canonical(version) != version || version == "" {
		return fmt.Errorf("VERSION is %q, and must be a semantic version such as v1.2.3 or v1.2.3-rc.1", version)
	}
	return nil
}

// number is a version as charts and image tags have it: without the v.
func number(version string) string { return strings.TrimPrefix(version, "v") }

// checkTree holds that what is released is what was committed, and that the version's tag, if there is one, is on it.
func checkTree(ctx context.Context, root, version string, allowDirty bool) error {
	changes, err := output(ctx, root, nil, "git", "status", "--porcelain")
	if err != nil {
		return fmt.Errorf("find what is not committed: %w", err)
	}
	if changes != "" && !allowDirty {
		return fmt.Errorf("these files are not committed, so nobody could make the same release. "+
			"Commit or stash them, or set ALLOW_DIRTY=1 for a rehearsal:\n%s", changes)
	}
	head, err := output(ctx, root, nil, "git", "rev-parse", "HEAD")
	if err != nil {
		return fmt.Errorf("find the commit: %w", err)
	}
	// Prints nothing where there is no such tag.
	tagged, err := output(ctx, root, nil, "git", "for-each-ref", "--format=%(objectname) %(*objectname)", "refs/tags/"+version)
	if err != nil {
		return fmt.Errorf("find the tag %s: %w", version, err)
	}
	if tagged != "" && !strings.Contains(tagged, head) {
		return fmt.Errorf("the tag %s is on another commit than the one that is checked out, %s", version, head)
	}
	return nil
}

// date is the one time that the files of a release have: SOURCE_DATE_EPOCH (Unix seconds), else when the commit was made.
func date(ctx context.Context, root string) (time.Time, error) {
	epoch, source := os.Getenv("SOURCE_DATE_EPOCH"), "SOURCE_DATE_EPOCH"
	if epoch == "" {
		var err error
		if epoch, err = output(ctx, root, nil, "git", "log", "-1", "--format=%ct"); err != nil {
			return time.Time{}, fmt.Errorf("find the commit's date: %w", err)
		}
		source = "the commit's date"
	}
	seconds, err := strconv.ParseInt(epoch, 10, 64)
	if err != nil || seconds < 0 {
		return time.Time{}, fmt.Errorf("%s is %q, and must be seconds since 1970", source, epoch)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

var dockerfileGo = regexp.MustCompile(`(?m)^ARG GO_IMAGE=golang:([0-9.]+)-`)

// checkGo holds that Go is the one that the Dockerfile names: another compiler makes other binaries.
func checkGo(ctx context.Context, root string) error {
	dockerfile, err := os.ReadFile(filepath.Join(root, "Dockerfile"))
	if err != nil {
		return err
	}
	match := dockerfileGo.FindSubmatch(dockerfile)
	if match == nil {
		return fmt.Errorf("the Dockerfile's GO_IMAGE names no version of Go")
	}
	want := "go" + string(match[1])
	got, err := output(ctx, root, nil, "go", "env", "GOVERSION")
	if err != nil {
		return fmt.Errorf("find the version of Go: %w", err)
	}
	if got != want {
		return fmt.Errorf("releases are built by %s, which Dockerfile names, and this is %s: set GOTOOLCHAIN=%s", want, got, want)
	}
	return nil
}
