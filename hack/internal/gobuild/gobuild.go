// Package gobuild builds Go programs into a cache that is keyed by everything that decides what comes out.
package gobuild

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/command"
)

// Program is one main package of a module.
type Program struct {
	// Name is that of the binary, and of the program's place in the cache.
	Name string
	// Module is the module's directory, Package the main package as the go command takes it: ./ and a path in the module, or an
	// import path.
	Module, Package string
	// Flags go to `go build`.
	Flags []string
	// Links are further names that the binary is called by.
	Links []string
}

// Cache is a directory of built programs. Removing it is always safe: what is missing is built again.
type Cache string

// DefaultCache is the project's place under the user's cache directory (XDG_CACHE_HOME, or else ~/.cache).
func DefaultCache() (Cache, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("finding the user's cache directory: %w", err)
	}
	return Cache(filepath.Join(dir, "spider-operator")), nil
}

// Key is a hash over the module's go.mod and go.sum, the package's Go sources, the flags, the platform and the Go version.
func (p Program) Key() (string, error) {
	files := []string{filepath.Join(p.Module, "go.mod"), filepath.Join(p.Module, "go.sum")}
	err := filepath.WalkDir(filepath.Join(p.Module, p.Package), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go") {
			files = append(files, path)
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("listing the sources of %s: %w", p.Name, err)
	}
	var all bytes.Buffer
	fmt.Fprintf(&all, "%s %s/%s %q %q\n", runtime.Version(), runtime.GOOS, runtime.GOARCH, p.Flags, p.Links)
	for _, path := range files {
		content, err := os.ReadFile(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a module without dependencies has no go.sum
		}
		if err != nil {
			return "", fmt.Errorf("reading the sources of %s: %w", p.Name, err)
		}
		relative, err := filepath.Rel(p.Module, path)
		if err != nil {
			return "", fmt.Errorf("reading the sources of %s: %w", p.Name, err)
		}
		fmt.Fprintf(&all, "%s %d\n", relative, len(content))
		all.Write(content)
	}
	sum := sha256.Sum256(all.Bytes())
	return hex.EncodeToString(sum[:8]), nil
}

// Path is where the built program is or will be: a directory that holds it and its links.
func (c Cache) Path(p Program) (string, error) {
	key, err := p.Key()
	if err != nil {
		return "", err
	}
	return filepath.Join(string(c), p.Name+"-"+key), nil
}

// Has reports whether the program is built.
func (c Cache) Has(p Program) bool {
	dir, err := c.Path(p)
	if err != nil {
		return false
	}
	_, err = os.Stat(filepath.Join(dir, p.Name))
	return err == nil
}

// Ensure returns the directory that holds the program and its links, and builds it first if need be. Two that want the same
// program at once build it once.
func (c Cache) Ensure(ctx context.Context, p Program, note func(format string, args ...any)) (string, error) {
	dir, err := c.Path(p)
	if err != nil || c.Has(p) {
		return dir, err
	}
	if err := os.MkdirAll(string(c), 0o750); err != nil {
		return "", fmt.Errorf("making the cache of built programs: %w", err)
	}
	unlock, err := Lock(ctx, filepath.Join(string(c), p.Name+".lock"), note)
	if err != nil {
		return "", fmt.Errorf("building %s: %w", p.Name, err)
	}
	defer unlock()
	if c.Has(p) {
		return dir, nil
	}
	temporary, err := os.MkdirTemp(string(c), p.Name+".building-")
	if err != nil {
		return "", fmt.Errorf("building %s: %w", p.Name, err)
	}
	defer func() { _ = os.RemoveAll(temporary) }()
	if err := Build(ctx, p, filepath.Join(temporary, p.Name), note); err != nil {
		return "", fmt.Errorf("building %s: %w", p.Name, err)
	}
	for _, link := range p.Links {
		if err := os.Symlink(p.Name, filepath.Join(temporary, link)); err != nil {
			return "", fmt.Errorf("building %s: %w", p.Name, err)
		}
	}
	// A directory without the program cannot be renamed over; it is what somebody's half removal left.
	if err := errors.Join(os.RemoveAll(dir), os.Rename(temporary, dir)); err != nil {
		return "", fmt.Errorf("putting %s into the cache: %w", p.Name, err)
	}
	return dir, nil
}

// Build builds a program into a file. Note hears how far it is.
func Build(ctx context.Context, p Program, output string, note func(format string, args ...any)) error {
	args := slices.Concat([]string{"build", "-v", "-trimpath", "-o", output}, p.Flags, []string{p.Package})
	// GOWORK=off, GOFLAGS empty: what is built depends on the module alone, as the key says. All programs are built alike, and
	// their modules agree on the versions of what they share, so that each package is compiled once for all of them.
	cmd := command.In(ctx, p.Module, []string{"GOWORK=off", "GOFLAGS=", "CGO_ENABLED=0"}, "go", args...)
	stderr, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("starting go: %w", err)
	}
	var said bytes.Buffer
	compiled := 0
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		line := lines.Text()
		switch {
		case packagePath.MatchString(line):
			compiled++
			note("%d packages compiled", compiled)
		case strings.HasPrefix(line, "go: downloading "):
			note("%s", strings.TrimPrefix(line, "go: "))
		default:
			fmt.Fprintln(&said, line)
		}
	}
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		return fmt.Errorf("go %s: %w\n%s", strings.Join(args, " "), err, said.String())
	}
	return nil
}

// packagePath matches the lines that `go build -v` prints for each package it compiles.
var packagePath = regexp.MustCompile(`^[A-Za-z0-9][\w.~/+-]*$`)

// Lock takes a lock that ends with the process at the latest.
func Lock(ctx context.Context, path string, note func(string, ...any)) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("opening the lock %s: %w", path, err)
	}
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err == nil {
			return func() { _ = f.Close() }, nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errors.Join(fmt.Errorf("taking the lock %s: %w", path, err), f.Close())
		}
		note("waiting for another build")
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), f.Close())
		case <-time.After(200 * time.Millisecond):
		}
	}
}
