package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const sysctlRoot = "/proc/sys"

// volatileSysctls change by themselves.
var volatileSysctls = []string{"kernel/ns_last_pid", "kernel/random/*", "kernel/pty/nr"}

// clusterSysctls are those that the cluster's components set, by themselves or as a consequence of another: kube-proxy and
// CNI those of the network, the kubelet (setupKernelTunables in its container manager) the others.
var clusterSysctls = []string{
	"net/ipv4/ip_forward", "net/ipv4/conf/*/*", "net/ipv6/conf/*/*", "net/bridge/*", "net/netfilter/nf_conntrack_*",
	"net/nf_conntrack_max", "vm/overcommit_memory", "vm/panic_on_oom", "kernel/panic", "kernel/panic_on_oops",
	"kernel/keys/root_maxkeys", "kernel/keys/root_maxbytes",
}

// sysctls reads all settings of the network, virtual memory and the kernel that can be both read and set.
func sysctls() (map[string]string, error) {
	values := make(map[string]string)
	all := os.DirFS(sysctlRoot)
	for _, area := range []string{"net", "vm", "kernel"} {
		err := fs.WalkDir(all, area, func(key string, d fs.DirEntry, err error) error {
			if err != nil {
				// Links come and go, and their settings with them.
				return ignoreGone(err)
			}
			if d.IsDir() || matchesAny(volatileSysctls, key) {
				return nil
			}
			info, err := d.Info()
			if err != nil {
				return ignoreGone(err)
			}
			if info.Mode()&0o600 != 0o600 {
				return nil
			}
			// Some refuse to be read although their mode allows it (a stable_secret that is not set): those cannot be kept.
			if value, err := fs.ReadFile(all, key); err == nil {
				values[key] = strings.TrimSpace(string(value))
			}
			return nil
		})
		if err != nil {
			return nil, fmt.Errorf("reading sysctls of %s: %w", area, err)
		}
	}
	return values, nil
}

// Sysctl reads one setting, named by its path below /proc/sys; fs.ErrNotExist is in the error's chain if the kernel has none.
func Sysctl(key string) (string, error) {
	value, err := os.ReadFile(filepath.Join(sysctlRoot, key))
	if err != nil {
		return "", fmt.Errorf("reading sysctl %s: %w", key, err)
	}
	return strings.TrimSpace(string(value)), nil
}

// SetSysctl sets it, unless it has the value already.
func SetSysctl(key, value string) error {
	if now, err := Sysctl(key); err != nil || now == value {
		return err
	}
	if err := os.WriteFile(filepath.Join(sysctlRoot, key), []byte(value), 0); err != nil {
		return fmt.Errorf("setting sysctl %s to %s: %w", key, value, err)
	}
	return nil
}

// RestoreSysctls puts back those settings of before that a cluster changes. Whatever else has changed was somebody else, and
// stays.
func RestoreSysctls(before Snapshot) error {
	// Switching forwarding switches it for every link: first, so that what a single link had is put back after it.
	var failures []error
	const forward = "net/ipv4/ip_forward"
	if value, recorded := before.Sysctls[forward]; recorded {
		failures = append(failures, SetSysctl(forward, value))
	}
	now, err := sysctls()
	if err != nil {
		return err
	}
	for _, key := range changedSysctls(before.Sysctls, now) {
		if matchesAny(clusterSysctls, key) {
			failures = append(failures, SetSysctl(key, before.Sysctls[key]))
		}
	}
	return errors.Join(failures...)
}

// changedSysctls returns, sorted, the keys that both have with different values.
func changedSysctls(before, now map[string]string) []string {
	var keys []string
	for key, value := range before {
		if current, both := now[key]; both && current != value {
			keys = append(keys, key)
		}
	}
	slices.Sort(keys)
	return keys
}

func matchesAny(patterns []string, key string) bool {
	return slices.ContainsFunc(patterns, func(pattern string) bool {
		matched, err := filepath.Match(pattern, key)
		return err == nil && matched
	})
}
