package pki

import (
	"crypto/x509"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var requests = []Request{
	{Name: "client", CommonName: "system:kube-proxy", Organizations: []string{"g"}},
	{Name: "server", CommonName: "kube-apiserver", Names: []string{"kubernetes"}, Addresses: []net.IP{net.ParseIP("10.96.0.1")}},
}

func ensure(t *testing.T, name string) Directory {
	t.Helper()
	d := Directory(filepath.Join(t.TempDir(), name))
	if err := d.Ensure("ca", requests); err != nil {
		t.Fatal(err)
	}
	if err := d.EnsureKey("service-account"); err != nil {
		t.Fatal(err)
	}
	return d
}

func TestOnlyTheOwnerReadsKeys(t *testing.T) {
	d := ensure(t, "pki")
	info, err := os.Stat(string(d))
	if err != nil {
		t.Fatal(err)
	}
	if mode := info.Mode().Perm(); mode != 0o700 {
		t.Errorf("the directory has mode %o, want 700", mode)
	}
	entries, err := os.ReadDir(string(d))
	if err != nil {
		t.Fatal(err)
	}
	keys := 0
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasSuffix(e.Name(), ".key") {
			keys++
			if mode := info.Mode().Perm(); mode != 0o600 {
				t.Errorf("%s has mode %o, want 600", e.Name(), mode)
			}
		}
	}
	const want = 4 // the authority's, the client's, the server's, the service accounts'
	if keys != want {
		t.Errorf("%d keys, want %d", keys, want)
	}
}

func load(t *testing.T, path string) *x509.Certificate {
	t.Helper()
	der, err := readPEM(path)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return certificate
}

func TestCertificatesAreValidForTheirPurpose(t *testing.T) {
	d, other := ensure(t, "pki"), ensure(t, "other")
	verify := func(d Directory, name, host string, usage x509.ExtKeyUsage, certificates Directory) error {
		roots := x509.NewCertPool()
		roots.AddCert(load(t, d.Certificate("ca")))
		_, err := load(t, certificates.Certificate(name)).Verify(x509.VerifyOptions{
			Roots: roots, DNSName: host, KeyUsages: []x509.ExtKeyUsage{usage},
		})
		return err
	}
	for name, test := range map[string]struct {
		certificate, host string
		usage             x509.ExtKeyUsage
		issuer            Directory
		good              bool
	}{
		"a client is a client":             {"client", "", x509.ExtKeyUsageClientAuth, d, true},
		"a client is no server":            {"client", "", x509.ExtKeyUsageServerAuth, d, false},
		"a server by its name":             {"server", "kubernetes", x509.ExtKeyUsageServerAuth, d, true},
		"a server by its address":          {"server", "10.96.0.1", x509.ExtKeyUsageServerAuth, d, true},
		"a server by another name":         {"server", "example.com", x509.ExtKeyUsageServerAuth, d, false},
		"a client of another authority":    {"client", "", x509.ExtKeyUsageClientAuth, other, false},
		"a server acts as a client itself": {"server", "", x509.ExtKeyUsageClientAuth, d, true},
	} {
		t.Run(name, func(t *testing.T) {
			if err := verify(d, test.certificate, test.host, test.usage, test.issuer); (err == nil) != test.good {
				t.Errorf("verifying: %v, want good %v", err, test.good)
			}
		})
	}
	subject := load(t, d.Certificate("client")).Subject
	if subject.CommonName != "system:kube-proxy" || subject.Organization[0] != "g" {
		t.Errorf("the client is user %s of groups %v", subject.CommonName, subject.Organization)
	}
}

func TestExistingKeysAreKept(t *testing.T) {
	d := ensure(t, "pki")
	read := func() string {
		var all strings.Builder
		for _, path := range []string{d.Certificate("ca"), d.Key("client"), d.Key("service-account")} {
			content, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			all.Write(content)
		}
		return all.String()
	}
	before := read()
	// Half a pair, as an interrupted run may leave it, is made anew.
	if err := os.Remove(d.Certificate("server")); err != nil {
		t.Fatal(err)
	}
	if err := d.Ensure("ca", requests); err != nil {
		t.Fatal(err)
	}
	if err := d.EnsureKey("service-account"); err != nil {
		t.Fatal(err)
	}
	if read() != before {
		t.Error("a second run changed what was there: running components would not trust it")
	}
	load(t, d.Certificate("server"))
}
