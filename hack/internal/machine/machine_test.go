package machine

import (
	"net/netip"
	"slices"
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

func TestMountPoints(t *testing.T) {
	const info = `22 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw
40 22 0:35 / /home/a\040b/.cluster/kubelet/pods rw shared:2 - tmpfs none rw
41 22 0:36 / /back\134slash rw - tmpfs none rw
`
	want := []string{"/", "/home/a b/.cluster/kubelet/pods", `/back\slash`}
	if got := mountPoints(info); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// FuzzUnescape: whatever is mounted somewhere, reading its path must not panic, and plain paths stay as they are.
func FuzzUnescape(f *testing.F) {
	f.Add(`/a\040b\`)
	f.Add(`\777`)
	f.Fuzz(func(t *testing.T, path string) {
		got := unescape(path)
		if len(got) > len(path) {
			t.Errorf("%q grew to %q", path, got)
		}
		if !slices.Contains([]byte(path), '\\') && got != path {
			t.Errorf("%q became %q", path, got)
		}
	})
}

const tcpTable = `  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:094B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0 100 0 0 10 0
   1: 00000000:192B 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 222 1 0 100 0 0 10 0
   2: 0100007F:D0B0 0100007F:094B 01 00000000:00000000 00:00000000 00000000     0        0 333 1 0 100 0 0 10 0
   3: 00000000000000000000000000000000:2809 00000000000000000000000000000000:0000 0A 0:0 00:0 0 0 0 444 1 0 100 0 0 10 0
`

func TestConflict(t *testing.T) {
	listening, err := parseSockets(tcpTable, "0A")
	if err != nil {
		t.Fatal(err)
	}
	for address, inodes := range map[string][]string{
		"127.0.0.1:2379":   {"111"},
		"10.245.0.1:2379":  nil,     // another address of the machine
		"10.245.0.1:6443":  {"222"}, // somebody listens on all addresses
		"127.0.0.1:10249":  {"444"}, // and on all of IPv6, which takes IPv4's along
		"127.0.0.1:10250":  nil,
		"127.0.0.1:53424":  nil, // a connection is no listener
		"192.0.2.2:6443":   {"222"},
		"10.245.0.1:10249": {"444"},
	} {
		var got []string
		for _, l := range Conflict(listening, netip.MustParseAddrPort(address)) {
			got = append(got, l.inode)
		}
		if !slices.Equal(got, inodes) {
			t.Errorf("%s: got %q, want %q", address, got, inodes)
		}
	}
}

func FuzzParseSockets(f *testing.F) {
	f.Add(tcpTable)
	f.Fuzz(func(t *testing.T, table string) {
		listening, err := parseSockets(table, "0A")
		for _, l := range listening {
			if err == nil && !l.Address.IsValid() {
				t.Errorf("an invalid address out of %q", table)
			}
		}
	})
}
