package process

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

func TestAZombieIsDeadWhenItsLastThreadHasEnded(t *testing.T) {
	for want, stats := range map[bool][]procfs.ProcStat{
		false: {{State: "S", NumThreads: 9}, {State: "R", NumThreads: 1}, {State: "Z", NumThreads: 3}},
		true:  {{State: "Z", NumThreads: 1}, {State: "X"}},
	} {
		for _, s := range stats {
			if dead(s) != want {
				t.Errorf("in state %s with %d threads it is dead: %v", s.State, s.NumThreads, !want)
			}
		}
	}
}

func TestMemoryIsOfTheProcess(t *testing.T) {
	const mebibyte = 1 << 20
	if m := MemoryOf(os.Getpid()); m.Resident < mebibyte || m.Proportional > m.Resident {
		t.Errorf("this process takes %+v", m)
	}
	if m := MemoryOf(1 << 30); m != (Memory{}) {
		t.Errorf("no process takes %+v", m)
	}
}

func TestAReusedPidIsAnotherProcess(t *testing.T) {
	self, err := Identify(os.Getpid())
	if err != nil {
		t.Fatal(err)
	}
	if !self.Alive() {
		t.Fatal("this process is not alive")
	}
	earlier := self
	earlier.StartTime--
	if earlier.Alive() {
		t.Error("a process that had this pid earlier counts as alive")
	}
	boot := self
	boot.BootID = "another boot"
	if boot.Alive() {
		t.Error("a process that had this pid before the machine was restarted counts as alive")
	}
	if (Identity{}).Alive() {
		t.Error("no process counts as alive")
	}
	// It would end this test.
	if err := Signal(earlier, syscall.SIGKILL); err != nil {
		t.Error(err)
	}
}

func start(t *testing.T, program string, args ...string) (Store, *Running) {
	t.Helper()
	store := Store{Dir: t.TempDir()}
	spec := Spec{Name: "program", Path: program, Args: args, Env: []string{"MARK=" + store.Dir}}
	r, err := store.Start(spec, filepath.Join(store.Dir, "log"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Stop(r.Identity, 0); err != nil {
			t.Error(err)
		}
	})
	return store, r
}

func TestAStartedProgramIsFoundAgainAndStopped(t *testing.T) {
	store, r := start(t, "/bin/sleep", "60")
	record, err := store.Load("program")
	if err != nil {
		t.Fatal(err)
	}
	if record != r.Record || !record.Alive() {
		t.Errorf("recorded %+v, started %+v", record, r.Record)
	}
	found, err := FindByEnvironment("MARK", store.Dir)
	if err != nil || len(found) != 1 || found[0].Identity != record.Identity {
		t.Errorf("found %v, %v by its environment", found, err)
	}
	if session, err := getsid(record.PID); err != nil || session != record.PID {
		t.Errorf("the program is in session %d (%v), so that a Ctrl-C of its starter reaches it", session, err)
	}
	if err := Stop(record.Identity, time.Minute); err != nil {
		t.Fatal(err)
	}
	if record.Alive() {
		t.Error("the program is alive after it was stopped")
	}
	if record, err := store.Load("another"); err != nil || record != (Record{}) {
		t.Errorf("the record of an unknown program: %+v, %v", record, err)
	}
}

func getsid(pid int) (int, error) {
	id, _, errno := syscall.Syscall(syscall.SYS_GETSID, uintptr(pid), 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(id), nil
}

func TestAProcessThatIgnoresSIGTERMIsKilled(t *testing.T) {
	store, r := start(t, "/bin/sh", "-c", "trap '' TERM; echo ready; while :; do sleep 1; done")
	for log := filepath.Join(store.Dir, "log"); ; time.Sleep(time.Millisecond) {
		if said, err := os.ReadFile(log); err == nil && len(said) > 0 {
			break
		}
	}
	if err := Stop(r.Identity, 50*time.Millisecond); err != nil {
		t.Fatal(err)
	}
	if r.Alive() {
		t.Error("the process is alive")
	}
}

func TestTheEndOfAProcessIsNoticed(t *testing.T) {
	_, r := start(t, "/bin/sh", "-c", "exit 3")
	<-r.exited
	if how, ended := r.Exited(); !ended || how != "exit status 3" {
		t.Errorf("the process ended: %v, with %q", ended, how)
	}
}

func TestFingerprintChangesWithWhatAProcessRuns(t *testing.T) {
	base := Spec{Name: "a", Path: "/bin/a", Args: []string{"--x"}, Env: []string{"E=1"}, Settings: []string{"s"}}
	same := Spec{Name: "a", Path: "/bin/a", Args: []string{"--x"}, Env: []string{"E=1"}, Settings: []string{"s"}}
	if base.Fingerprint() != same.Fingerprint() {
		t.Error("equal programs have different fingerprints")
	}
	for name, change := range map[string]func(*Spec){
		"binary":      func(s *Spec) { s.Path = "/bin/b" },
		"arguments":   func(s *Spec) { s.Args = []string{"--y"} },
		"environment": func(s *Spec) { s.Env = nil },
		"settings":    func(s *Spec) { s.Settings = []string{"t"} },
	} {
		changed := same
		change(&changed)
		if changed.Fingerprint() == base.Fingerprint() {
			t.Errorf("a change of the %s does not show", name)
		}
	}
}
