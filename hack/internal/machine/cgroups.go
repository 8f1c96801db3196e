package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/process"
)

const cgroupRoot = "/sys/fs/cgroup"

// Cgroups returns the control groups called name at the top of each hierarchy: one of them with cgroup v2, one for each
// controller with v1.
func Cgroups(name string) ([]string, error) {
	var found []string
	for _, pattern := range []string{cgroupRoot + "/" + name, cgroupRoot + "/*/" + name} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, fmt.Errorf("listing control groups: %w", err)
		}
		found = append(found, paths...)
	}
	return found, nil
}

// topCgroups lists the control groups of the first two levels, which is where new ones for containers appear.
func topCgroups() ([]string, error) {
	var dirs []string
	for _, pattern := range []string{cgroupRoot + "/*/", cgroupRoot + "/*/*/"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			return nil, err
		}
		for _, path := range paths {
			// systemd makes and removes groups for sessions and services at will.
			if base := filepath.Base(path); !strings.HasSuffix(base, ".service") && !strings.HasSuffix(base, ".scope") {
				dirs = append(dirs, filepath.Clean(path))
			}
		}
	}
	return dirs, nil
}

// ProcessesIn returns the processes in the control groups called name and all below them.
func ProcessesIn(name string) ([]process.Identity, error) {
	groups, err := Cgroups(name)
	if err != nil {
		return nil, err
	}
	var found []process.Identity
	for _, group := range groups {
		all := os.DirFS(group)
		err := fs.WalkDir(all, ".", func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.Name() != "cgroup.procs" {
				return ignoreGone(err)
			}
			list, err := fs.ReadFile(all, path)
			if err != nil {
				return ignoreGone(err)
			}
			for _, field := range strings.Fields(string(list)) {
				pid, err := strconv.Atoi(field)
				if err != nil {
					return err
				}
				if id, err := process.Identify(pid); err == nil && !slices.Contains(found, id) {
					found = append(found, id)
				}
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("listing processes in %s: %w", group, err)
		}
	}
	return found, nil
}

// RemoveCgroups removes the control groups called name and all below them, which must hold no process any more.
func RemoveCgroups(name string) error {
	groups, err := Cgroups(name)
	if err != nil {
		return err
	}
	var failures []error
	for _, group := range groups {
		var dirs []string
		err := filepath.WalkDir(group, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return ignoreGone(err)
		})
		failures = append(failures, err)
		for _, dir := range slices.Backward(dirs) {
			failures = append(failures, removeCgroup(dir))
		}
	}
	return errors.Join(failures...)
}

// removeCgroup waits for the kernel to be done with the group's last processes, which may be after they are gone from /proc.
func removeCgroup(dir string) error {
	deadline := time.Now().Add(5 * time.Second)
	for {
		err := syscall.Rmdir(dir)
		switch {
		case err == nil, errors.Is(err, syscall.ENOENT):
			return nil
		case !errors.Is(err, syscall.EBUSY), time.Now().After(deadline):
			return fmt.Errorf("removing control group %s: %w", dir, err)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
		return nil
	}
	return err
}
