package machine

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// Listener is a listening TCP socket, or a bound UDP one.
type Listener struct {
	Address netip.AddrPort
	inode   string
}

// Conflict returns the listeners that would keep a program from listening on the address: those of the same port on the same
// or on all addresses.
func Conflict(listeners []Listener, want netip.AddrPort) []Listener {
	var found []Listener
	for _, l := range listeners {
		if l.Address.Port() == want.Port() && (l.Address.Addr() == want.Addr() || l.Address.Addr().IsUnspecified()) {
			found = append(found, l)
		}
	}
	return found
}

// TCPListeners lists the machine's listening TCP sockets.
func TCPListeners() ([]Listener, error) { return listeners("tcp", "0A") }

// UDPListeners lists the machine's bound UDP sockets.
func UDPListeners() ([]Listener, error) { return listeners("udp", "07") }

func listeners(protocol, state string) ([]Listener, error) {
	var all []Listener
	for _, file := range []string{"/proc/net/" + protocol, "/proc/net/" + protocol + "6"} {
		table, err := os.ReadFile(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue // a kernel without IPv6
		}
		if err != nil {
			return nil, fmt.Errorf("listing open ports: %w", err)
		}
		found, err := parseSockets(string(table), state)
		if err != nil {
			return nil, fmt.Errorf("listing open ports from %s: %w", file, err)
		}
		all = append(all, found...)
	}
	return all, nil
}

// parseSockets reads /proc/net/tcp and its like (proc_pid_net(5)): local address, state and inode are fields 1, 3 and 9.
func parseSockets(table, state string) ([]Listener, error) {
	var found []Listener
	for line := range strings.Lines(table) {
		fields := strings.Fields(line)
		if len(fields) < 10 || fields[3] != state {
			continue
		}
		address, err := parseAddress(fields[1])
		if err != nil {
			return nil, err
		}
		found = append(found, Listener{Address: address, inode: fields[9]})
	}
	return found, nil
}

// parseAddress reads an address as the kernel prints it: 32-bit words in the machine's byte order (little-endian here), and
// the port, all hexadecimal.
func parseAddress(s string) (netip.AddrPort, error) {
	host, port, _ := strings.Cut(s, ":")
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%4 != 0 {
		return netip.AddrPort{}, fmt.Errorf("no socket address: %q", s)
	}
	for word := range slices.Chunk(raw, 4) {
		slices.Reverse(word)
	}
	address, ok := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, fmt.Errorf("no socket address: %q", s)
	}
	return netip.AddrPortFrom(address.Unmap(), uint16(number)), nil
}

// Owner describes the process that has the socket open: "process 123 (nginx)". It is empty where that cannot be seen.
func (l Listener) Owner() string {
	descriptors, err := filepath.Glob("/proc/[0-9]*/fd/*")
	if err != nil {
		return ""
	}
	for _, fd := range descriptors {
		if target, err := os.Readlink(fd); err != nil || target != "socket:["+l.inode+"]" {
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
