package apiserver

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/scrapethis/spider-operator/apiserver/guard"
)

// writeCertificate writes a self-signed certificate of that name and its key into the files, as a mounted Secret changes: by
// putting other files in their place.
func writeCertificate(t *testing.T, files TLS, name string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		files.KeyFile: {Type: "PRIVATE KEY", Bytes: private}, files.CertFile: {Type: "CERTIFICATE", Bytes: certificate},
	} {
		next := file + ".next"
		if err := os.WriteFile(next, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(next, file); err != nil {
			t.Fatal(err)
		}
	}
}

func newTLS(t *testing.T) TLS {
	t.Helper()
	directory := t.TempDir()
	files := TLS{CertFile: filepath.Join(directory, "tls.crt"), KeyFile: filepath.Join(directory, "tls.key")}
	writeCertificate(t, files, "first")
	return files
}

func TestCertificateIsTakenUpWhenItChanges(t *testing.T) {
	f := newTestAPI(t)
	files := newTLS(t)
	served(t, f, Options{TLS: files, Config: draining(0, 10*time.Second)})
	f.url = strings.Replace(f.url, "http:", "https:", 1)

	// The certificates sign themselves; which one is shown is what is tested.
	unverified := &tls.Config{InsecureSkipVerify: true}
	shown := func() string {
		dialer := &tls.Dialer{Config: unverified}
		connection, err := dialer.DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "https://"))
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = connection.Close() }()
		return connection.(*tls.Conn).ConnectionState().PeerCertificates[0].Subject.CommonName
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: unverified, ForceAttemptHTTP2: true}}
	defer client.CloseIdleConnections()
	ready := func() string {
		t.Helper()
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/readyz", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		response, err := client.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = response.Body.Close() }()
		if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
			t.Errorf("answer %d by %s, want 200 by HTTP/2", response.StatusCode, response.Proto)
		}
		return response.TLS.PeerCertificates[0].Subject.CommonName
	}
	if name := shown(); name != "first" {
		t.Fatalf("the certificate is %s's", name)
	}
	ready()
	writeCertificate(t, files, "second")
	eventually(t, "new connections are shown the new certificate", func() bool { return shown() == "second" })
	if name := ready(); name != "first" {
		t.Errorf("the open connection was dropped for one with the certificate of %s", name)
	}

	old := &tls.Dialer{Config: &tls.Config{InsecureSkipVerify: true, MaxVersion: tls.VersionTLS11}}
	if connection, err := old.DialContext(t.Context(), "tcp", strings.TrimPrefix(f.url, "https://")); err == nil {
		_ = connection.Close()
		t.Error("TLS 1.1 is spoken")
	}
}

// With TLS, too, it is known whose a connection is: of HTTP/2, with several requests on it, and of one that never comes to a
// request.
func TestConnectionsWithTLSAreToldApart(t *testing.T) {
	t.Parallel()
	f := newTestAPI(t, func(c *Config) {
		c.Timeouts = guard.DefaultTimeouts
		c.Timeouts.Header = 300 * time.Millisecond
	})
	served(t, f, Options{TLS: newTLS(t), Config: draining(0, 10*time.Second)})
	address := strings.TrimPrefix(f.url, "http://")
	f.url = "https://" + address
	count := func() (open, onPurpose int) {
		open, onPurpose, _ = f.server.guard.Connections().Count()
		return open, onPurpose
	}
	eventually(t, "nobody is connected", func() bool { open, _ := count(); return open == 0 })

	var silent []net.Conn
	for range 3 {
		connection, err := new(net.Dialer).DialContext(t.Context(), "tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = connection.Close() })
		silent = append(silent, connection)
	}
	for _, connection := range silent {
		eventually(t, "a handshake that never ends is given up", func() bool { return hasEnded(connection) })
	}

	key, id := f.key("team", ""), f.apply("team", "endless")
	client := &http.Client{
		Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true},
	}
	defer client.CloseIdleConnections()
	var waiting sync.WaitGroup
	for range 3 {
		waiting.Go(func() {
			request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, f.url+"/api/v1/jobs/"+id+"?wait=5m", http.NoBody)
			if err != nil {
				t.Error(err)
				return
			}
			request.Header.Set("Authorization", "Bearer "+key)
			response, err := client.Do(request)
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = response.Body.Close() }()
			if response.StatusCode != http.StatusOK || response.ProtoMajor != 2 {
				t.Errorf("a wait is answered %s by %s", response.Status, response.Proto)
			}
		})
	}
	eventually(t, "a connection is open on purpose", func() bool { _, onPurpose := count(); return onPurpose == 1 })
	f.cluster.update(t, "team", "endless", finishedOne)
	waiting.Wait()
	eventually(t, "it is so no more, and stays", func() bool { open, onPurpose := count(); return open == 1 && onPurpose == 0 })
}

func TestWrongTLSFilesAreNamed(t *testing.T) {
	good, other := newTLS(t), newTLS(t)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("not PEM"), 0o600); err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		files TLS
		says  []string
	}{
		"no key":         {TLS{CertFile: good.CertFile}, []string{"both"}},
		"no certificate": {TLS{KeyFile: good.KeyFile}, []string{"both"}},
		"missing":        {TLS{CertFile: "/no/such.crt", KeyFile: good.KeyFile}, []string{"/no/such.crt", "no such file"}},
		"not PEM":        {TLS{CertFile: text, KeyFile: good.KeyFile}, []string{text, "PEM"}},
		"another's key":  {TLS{CertFile: good.CertFile, KeyFile: other.KeyFile}, []string{other.KeyFile, "match"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := serve(
				t.Context(), newTestAPI(t).server, nil, Options{Listen: "127.0.0.1:0", TLS: test.files}, slog.New(slog.DiscardHandler),
			)
			for _, part := range test.says {
				if err == nil || !strings.Contains(err.Error(), part) {
					t.Errorf("error %v, want one that says %q", err, part)
				}
			}
		})
	}
}
