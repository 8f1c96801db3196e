package machine

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"
)

// MountsUnder lists the mount points at or below any of the directories, in the order in which they were mounted.
func MountsUnder(dirs ...string) ([]string, error) {
	mounts, err := mountinfo.GetMounts(func(m *mountinfo.Info) (skip, stop bool) {
		under := func(dir string) bool { return m.Mountpoint == dir || strings.HasPrefix(m.Mountpoint, dir+"/") }
		return !slices.ContainsFunc(dirs, under), false
	})
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	points := make([]string, len(mounts))
	for i, m := range mounts {
		points[i] = m.Mountpoint
	}
	return points, nil
}

// UnmountUnder unmounts everything at or below the directories, the last mounted first; what is busy is detached, and goes
// when its last user does.
func UnmountUnder(dirs ...string) error {
	mounts, err := MountsUnder(dirs...)
	if err != nil {
		return err
	}
	var failures []error
	for _, point := range slices.Backward(mounts) {
		err := syscall.Unmount(point, 0)
		if errors.Is(err, syscall.EBUSY) {
			err = syscall.Unmount(point, syscall.MNT_DETACH)
		}
		// EINVAL: no longer a mount point, since a mount it propagated from is gone.
		if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
			failures = append(failures, fmt.Errorf("unmounting %s: %w", point, err))
		}
	}
	return errors.Join(failures...)
}
