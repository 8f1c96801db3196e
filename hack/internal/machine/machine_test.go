package machine

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestDiff(t *testing.T) {
	before := Snapshot{
		Links: []string{"eth0", "lo"}, Routes: []string{"default via 192.0.2.1 dev eth0"},
		Sysctls: map[string]string{"net/ipv4/ip_forward": "0", "kernel/panic": "1", "net/ipv4/conf/old/forwarding": "0"},
	}
	now := Snapshot{
		Links: []string{"kube0", "lo"}, Routes: before.Routes, Tables: []string{"table ip kube-proxy"},
		Sysctls: map[string]string{"net/ipv4/ip_forward": "1", "kernel/panic": "1", "net/ipv4/conf/kube0/forwarding": "1"},
	}
	got := Diff(before, now)
	want := []string{
		"network link is new: kube0",
		"network link is gone: eth0",
		"nftables table is new: table ip kube-proxy",
		`sysctl net/ipv4/ip_forward was "0", is "1"`,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got  %q\nwant %q", got, want)
	}
	if same := Diff(now, now); len(same) != 0 {
		t.Errorf("a machine differs from itself: %q", same)
	}
}

func TestOnlySysctlsOfTheClusterAreRestored(t *testing.T) {
	for key, restored := range map[string]bool{
		"net/ipv4/ip_forward":                true,
		"net/ipv4/conf/eth0/forwarding":      true,
		"net/bridge/bridge-nf-call-iptables": true,
		"kernel/panic_on_oops":               true,
		"vm/overcommit_memory":               true,
		"vm/swappiness":                      false,
		"net/core/somaxconn":                 false,
		"kernel/hostname":                    false,
	} {
		if got := matchesAny(clusterSysctls, key); got != restored {
			t.Errorf("%s: restored %v, want %v", key, got, restored)
		}
	}
}

func TestMountsUnderADirectory(t *testing.T) {
	mounts, err := MountsUnder("/proc")
	if err != nil || len(mounts) == 0 || mounts[0] != "/proc" {
		t.Errorf("mounts %q, %v", mounts, err)
	}
	if mounts, err := MountsUnder("/pro", t.TempDir()); err != nil || len(mounts) > 0 {
		t.Errorf("where nothing is mounted there are %q, %v", mounts, err)
	}
}

func TestAListenerIsFoundWithItsOwner(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	address := netip.MustParseAddrPort(l.Addr().String())
	all, err := TCPListeners()
	if err != nil {
		t.Fatal(err)
	}
	taken := Conflict(all, address)
	if len(taken) != 1 || taken[0].Address != address || !strings.Contains(taken[0].Owner(), strconv.Itoa(os.Getpid())) {
		t.Errorf("%s is taken by %+v", address, taken)
	}
	packets, err := new(net.ListenConfig).ListenPacket(t.Context(), "udp", "[::1]:0")
	if err != nil {
		t.Skipf("no IPv6: %v", err)
	}
	defer func() { _ = packets.Close() }()
	if all, err = UDPListeners(); err != nil || len(Conflict(all, netip.MustParseAddrPort(packets.LocalAddr().String()))) != 1 {
		t.Errorf("%s is not found: %v", packets.LocalAddr(), err)
	}
}

func TestConflict(t *testing.T) {
	listening := []Listener{
		{netip.MustParseAddrPort("127.0.0.1:2379"), 1}, {netip.MustParseAddrPort("0.0.0.0:6443"), 2},
		{netip.MustParseAddrPort("[::]:10249"), 3},
	}
	for address, inodes := range map[string][]uint64{
		"127.0.0.1:2379":   {1},
		"10.245.0.1:2379":  nil, // another address of the machine
		"10.245.0.1:6443":  {2}, // somebody listens on all addresses
		"127.0.0.1:10249":  {3}, // and on all of IPv6, which takes IPv4's along
		"127.0.0.1:10250":  nil,
		"192.0.2.2:6443":   {2},
		"10.245.0.1:10249": {3},
	} {
		var got []uint64
		for _, l := range Conflict(listening, netip.MustParseAddrPort(address)) {
			got = append(got, l.inode)
		}
		if !slices.Equal(got, inodes) {
			t.Errorf("%s: got %v, want %v", address, got, inodes)
		}
	}
}
