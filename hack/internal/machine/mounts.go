package machine

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// MountsUnder lists the mount points at or below any of the directories, in the order in which they were mounted.
func MountsUnder(dirs ...string) ([]string, error) {
	info, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, fmt.Errorf("listing mounts: %w", err)
	}
	var found []string
	for _, point := range mountPoints(string(info)) {
		if slices.ContainsFunc(dirs, func(dir string) bool { return point == dir || strings.HasPrefix(point, dir+"/") }) {
			found = append(found, point)
		}
	}
	return found, nil
}

// mountPoints reads the fifth field of each line of /proc/<pid>/mountinfo (proc_pid_mountinfo(5)), in which space, tab,
// newline and backslash are octal escapes.
func mountPoints(mountinfo string) []string {
	var points []string
	for line := range strings.Lines(mountinfo) {
		const mountPoint = 4
		if fields := strings.Fields(line); len(fields) > mountPoint {
			points = append(points, unescape(fields[mountPoint]))
		}
	}
	return points
}

func unescape(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+4 <= len(s) {
			if code, err := strconv.ParseUint(s[i+1:i+4], 8, 8); err == nil {
				b.WriteByte(byte(code))
				i += 3
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
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
