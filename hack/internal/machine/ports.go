package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/prometheus/procfs"
)

// Listener is a listening TCP socket, or a bound UDP one.
type Listener struct {
	Address netip.AddrPort
	inode   uint64
}

// Conflict returns the listeners that would keep a program from listening on the address: those of the same port on the same
// or on all addresses.
func Conflict(listeners []Listener, want netip.AddrPort) []Listener {
	return slices.DeleteFunc(slices.Clone(listeners), func(l Listener) bool {
		return l.Address.Port() != want.Port() || (l.Address.Addr() != want.Addr() && !l.Address.Addr().IsUnspecified())
	})
}

// The states of sockets in /proc/net, as tcp_states.h of the kernel numbers them: a bound UDP socket is "closed".
const listens, bound = 10, 7

// TCPListeners lists the machine's listening TCP sockets.
func TCPListeners() ([]Listener, error) {
	tcp, tcp6 := procfs.FS.NetTCP, procfs.FS.NetTCP6 //nolint:staticcheck // They are slow, which few sockets do not notice.
	return listeners(listens, tcp, tcp6)
}

// UDPListeners lists the machine's bound UDP sockets.
func UDPListeners() ([]Listener, error) { return listeners(bound, procfs.FS.NetUDP, procfs.FS.NetUDP6) }

// listeners lists the sockets in a state that any of the tables has.
func listeners[T procfs.NetTCP | procfs.NetUDP](state uint64, tables ...func(procfs.FS) (T, error)) ([]Listener, error) {
	machine, err := procfs.NewDefaultFS()
	if err != nil {
		return nil, fmt.Errorf("listing open ports: %w", err)
	}
	var all []Listener
	for _, table := range tables {
		sockets, err := table(machine)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("listing open ports: %w", err)
		}
		for _, socket := range procfs.NetTCP(sockets) {
			address, ok := netip.AddrFromSlice(socket.LocalAddr)
			if ok && socket.St == state {
				port := uint16(socket.LocalPort) //nolint:gosec // The kernel's ports are no larger.
				all = append(all, Listener{netip.AddrPortFrom(address.Unmap(), port), socket.Inode})
			}
		}
	}
	return all, nil
}

// Owner describes the process that has the socket open: "process 123 (nginx)". It is empty where that cannot be seen.
func (l Listener) Owner() string {
	descriptors, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, fd := range descriptors {
		if target, err := os.Readlink(fd); err != nil || target != fmt.Sprintf("socket:[%d]", l.inode) {
			continue
		}
		dir := filepath.Dir(filepath.Dir(fd))
		name, err := os.ReadFile(filepath.Join(dir, "comm"))
		if err != nil {
			return ""
		}
		return fmt.Sprintf("process %s (%s)", filepath.Base(dir), strings.TrimSpace(string(name)))
	}
	return ""
}
