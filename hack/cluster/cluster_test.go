package main

import (
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/scrapethis/spider-operator/hack/internal/machine"
	"github.com/scrapethis/spider-operator/hack/internal/process"
)

func written(t *testing.T) layout {
	t.Helper()
	l := layout{dir: filepath.Join(t.TempDir(), ".cluster")}
	if err := writeKeys(l); err != nil {
		t.Fatal(err)
	}
	if err := writeSettings(l, "/usr/lib/cni", "overlayfs"); err != nil {
		t.Fatal(err)
	}
	return l
}

func plan(l layout) []component {
	return components(l, programs{kubernetes: "/cache/kube", coredns: "/cache/coredns"}, "/usr/bin/containerd")
}

func TestComponentsAreStartedWithFilesThatExist(t *testing.T) {
	l := written(t)
	for _, c := range plan(l) {
		if _, err := c.spec(l); err != nil {
			t.Error(err)
		}
		for _, arg := range c.args {
			_, path, isPath := strings.Cut(arg, "="+l.dir+"/")
			if !isPath || !strings.Contains(filepath.Base(path), ".") {
				continue // no path, or one of a directory that the component makes
			}
			if _, err := os.Stat(l.path(path)); err != nil {
				t.Errorf("%s %s: %v", c.name, arg, err)
			}
		}
	}
}

func TestOnlyTheOwnerReadsTheClustersFiles(t *testing.T) {
	l := written(t)
	err := filepath.WalkDir(l.dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || strings.HasSuffix(path, ".crt") {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%s has mode %v", path, info.Mode())
		}
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

func TestComponentsListenOnLocalAddressesOnly(t *testing.T) {
	seen := make(map[netip.AddrPort]string)
	for _, c := range plan(layout{dir: "/c"}) {
		for _, address := range c.listens {
			if other, taken := seen[address]; taken {
				t.Errorf("%s and %s both listen on %s", other, c.name, address)
			}
			seen[address] = c.name
			if !address.Addr().IsLoopback() && address.Addr() != nodeAddress {
				t.Errorf("%s listens on %s", c.name, address)
			}
		}
	}
}

func TestASecondRunRestartsNothing(t *testing.T) {
	l := written(t)
	fingerprints := func() (all []string) {
		for _, c := range plan(l) {
			spec, err := c.spec(l)
			if err != nil {
				t.Fatal(err)
			}
			all = append(all, spec.Fingerprint())
		}
		return all
	}
	before := fingerprints()
	touched, err := os.Stat(l.config("kube-proxy.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(writeKeys(l), writeSettings(l, "/usr/lib/cni", "overlayfs")); err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(fingerprints(), before) {
		t.Error("a second run has other settings: components would be restarted")
	}
	if again, err := os.Stat(l.config("kube-proxy.yaml")); err != nil || again.ModTime() != touched.ModTime() {
		t.Errorf("kube-proxy's settings were written again, which ends kube-proxy (%v)", err)
	}
}

func TestEveryComponentCarriesTheMarkThatDownLooksFor(t *testing.T) {
	l := written(t)
	for _, c := range plan(l) {
		spec, err := c.spec(l)
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Contains(spec.Env, machine.Marker+"="+l.dir) {
			t.Errorf("%s has no mark: down would not find what it starts", c.name)
		}
	}
}

func TestRoutesThatOverlapTheClustersAreFound(t *testing.T) {
	for route, harmful := range map[string]bool{
		"default via 192.0.2.1 dev eth0":                    false,
		"192.0.2.0/24 dev eth0 proto kernel scope link":     false,
		"10.0.0.0/8 via 192.0.2.9 dev vpn0":                 false, // ours are more specific
		"10.96.0.0/16 dev kube0 scope link":                 false,
		"10.244.0.0/22 dev kube-pods proto kernel":          false,
		"10.96.0.0/16 via 192.0.2.9 dev vpn0":               true,
		"10.96.4.0/24 via 192.0.2.9 dev vpn0":               true,
		"10.244.1.0/24 dev cni0 proto kernel":               true,
		"10.245.0.1 via 192.0.2.9 dev vpn0":                 true,
		"unreachable default dev lo metric 4294967295":      false,
		"fe80::/64 dev eth0 proto kernel metric 256":        false,
		"2001:db8::/32 via fe80::1 dev eth0 proto ra":       false,
		"10.96.0.0/12 via 192.0.2.9 dev vpn0 proto static ": false,
	} {
		if got := overlap([]string{route}) != ""; got != harmful {
			t.Errorf("%s: harmful %v, want %v", route, got, harmful)
		}
	}
}

func TestImportantLinesOfALogAreThoseOfErrors(t *testing.T) {
	for name, test := range map[string]struct {
		log  string
		want []string
	}{
		"klog's errors before its information": {
			"I1123 15:21:44 1 a.go:1] fine\nE1123 15:21:44 1 run.go:72] \"command failed\"\nI1123 15:21:45 1 a.go:2] bye\n",
			[]string{`E1123 15:21:44 1 run.go:72] "command failed"`},
		},
		"etcd's": {
			`{"level":"info"}` + "\n" + `{"level":"fatal","msg":"bind"}` + "\n",
			[]string{`{"level":"fatal","msg":"bind"}`},
		},
		"containerd's":     {"time=x level=info msg=a\ntime=x level=fatal msg=b\n", []string{"time=x level=fatal msg=b"}},
		"a flag's":         {"Error: unknown flag: --x\nUsage:\n", []string{"Error: unknown flag: --x"}},
		"a panic":          {"panic: nil\n\ngoroutine 1 [running]:\n", []string{"panic: nil"}},
		"nothing of note":  {"a\nb\n", []string{"a", "b"}},
		"the last of many": {strings.Repeat("x\n", 100) + "y\n", append(slices.Repeat([]string{"x"}, 11), "y")},
	} {
		t.Run(name, func(t *testing.T) {
			if got := importantLines([]byte(test.log)); !slices.Equal(got, test.want) {
				t.Errorf("got %q, want %q", got, test.want)
			}
		})
	}
}

func TestAFailureNamesItsLog(t *testing.T) {
	path := filepath.Join(t.TempDir(), "etcd.log")
	if err := os.WriteFile(path, []byte("panic: disk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	said := (&logError{errors.New("etcd does not serve"), path}).explain()
	if !strings.Contains(said, path) || !strings.Contains(said, "panic: disk") {
		t.Errorf("said %q", said)
	}
}

func TestImportedImages(t *testing.T) {
	const out = "unpacking example.org/library/a:dev (sha256:1)...done\nunpacking localhost/b:dev (sha256:2)...done\n"
	want := []string{"example.org/library/a:dev", "localhost/b:dev"}
	if got := importedImages(out); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestLeftovers(t *testing.T) {
	clean := machine.Snapshot{
		Links: []string{"eth0", "lo"}, Tables: []string{"table ip filter"}, Cgroups: []string{"/sys/fs/cgroup/memory/user"},
	}
	if found := leftovers(clean); len(found) > 0 {
		t.Errorf("a clean machine has leftovers: %q", found)
	}
	left := machine.Snapshot{
		Processes: []string{"12 etcd"}, Links: []string{"kube0", "lo"}, Tables: []string{"table ip kube-proxy"},
		Cgroups: []string{"/sys/fs/cgroup/memory/kubepods"},
	}
	const want = 4
	if found := leftovers(left); len(found) != want {
		t.Errorf("found %q, want %d", found, want)
	}
}

func TestFlagsMayFollowArguments(t *testing.T) {
	for _, args := range [][]string{
		{"--signal", "TERM", "etcd"}, {"etcd", "--signal", "TERM"}, {"etcd", "--signal=TERM"},
	} {
		flags := flag.NewFlagSet("kill", flag.ContinueOnError)
		flags.SetOutput(io.Discard)
		signal := flags.String("signal", "KILL", "")
		rest, err := parse(flags, args)
		if err != nil || !slices.Equal(rest, []string{"etcd"}) || *signal != "TERM" {
			t.Errorf("%q: arguments %q, signal %s, %v", args, rest, *signal, err)
		}
	}
}

func TestHelpExplainsEveryCommand(t *testing.T) {
	var out strings.Builder
	if err := usage(&out); err != nil {
		t.Fatal(err)
	}
	for _, c := range subcommands {
		if c.help == "" || !strings.Contains(out.String(), c.help) {
			t.Errorf("the help does not explain %s", c.name)
		}
	}
	if err := execute(t.Context(), []string{"halt"}); !errors.Is(err, errUsage) {
		t.Errorf("an unknown command: %v", err)
	}
}

func TestBuiltProgramsHaveTheirKubernetesVersion(t *testing.T) {
	module := t.TempDir()
	if err := os.WriteFile(filepath.Join(module, "go.mod"), []byte("require k8s.io/kubernetes v1.37.2\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	flags, err := versionFlags(module)
	if err != nil || !strings.Contains(flags[1], "version.gitVersion=v1.37.2") || !strings.Contains(flags[1], "gitMinor=37") {
		t.Errorf("flags %q, %v", flags, err)
	}
}

func TestAReusedPidIsNotTakenForAComponent(t *testing.T) {
	c := &cluster{layout: layout{dir: t.TempDir()}}
	c.processes = newStore(c.layout)
	if err := os.MkdirAll(c.records(), 0o700); err != nil {
		t.Fatal(err)
	}
	// The pid is this test's, the start time is not.
	record := `{"pid":` + strconv.Itoa(os.Getpid()) + `,"startTime":1,"bootID":"` + process.BootID() + `"}`
	if err := os.WriteFile(filepath.Join(c.records(), "etcd.json"), []byte(record), 0o600); err != nil {
		t.Fatal(err)
	}
	running, err := c.alive(plan(c.layout))
	if err != nil || len(running) != 0 {
		t.Errorf("alive: %v, %v", running, err)
	}
}
