// Package pki makes the certificates of the local cluster: an authority for Kubernetes, another for etcd, the certificates
// that each component needs, and the key that signs service-account tokens.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/scrapethis/spider-operator/hack/internal/files"
)

// lifetime is that of every certificate: a local cluster is made anew long before.
const lifetime = 10 * 365 * 24 * time.Hour

// Request describes a certificate.
type Request struct {
	// Name is the file name, without suffix, that certificate and key get.
	Name string
	// CommonName and Organizations are what Kubernetes takes as user name and groups.
	CommonName    string
	Organizations []string
	// Addresses and Names are what a server may be called by; a certificate without any is a client's.
	Addresses []net.IP
	Names     []string
}

// Directory holds keys and certificates as PEM files: <name>.crt, mode 0644, and <name>.key, mode 0600, in a directory of
// mode 0700.
type Directory string

// Certificate is the path of the named certificate.
func (d Directory) Certificate(name string) string { return filepath.Join(string(d), name+".crt") }

// Key is the path of the named certificate's private key.
func (d Directory) Key(name string) string { return filepath.Join(string(d), name+".key") }

// Ensure makes what is missing: the authority of that name, and certificates signed by it. What exists is kept.
func (d Directory) Ensure(authority string, requests []Request) error {
	if err := os.MkdirAll(string(d), 0o700); err != nil {
		return fmt.Errorf("making the directory for keys: %w", err)
	}
	ca, err := d.ensureAuthority(authority)
	if err != nil {
		return fmt.Errorf("certificate authority %s: %w", authority, err)
	}
	for _, r := range requests {
		if d.has(r.Name) {
			continue
		}
		template := &x509.Certificate{
			Subject:     pkix.Name{CommonName: r.CommonName, Organization: r.Organizations},
			KeyUsage:    x509.KeyUsageDigitalSignature,
			ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth},
			IPAddresses: r.Addresses,
			DNSNames:    r.Names,
		}
		if len(r.Addresses)+len(r.Names) > 0 {
			template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
		}
		if err := d.issue(r.Name, template, ca); err != nil {
			return fmt.Errorf("certificate %s: %w", r.Name, err)
		}
	}
	return nil
}

// EnsureKey makes the named private key unless it exists. kube-apiserver takes it for its public half as well.
func (d Directory) EnsureKey(name string) error {
	if exists(d.Key(name)) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making key %s: %w", name, err)
	}
	return d.writeKey(name, key)
}

type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func (d Directory) ensureAuthority(name string) (*authority, error) {
	if !d.has(name) {
		template := &x509.Certificate{
			Subject:               pkix.Name{CommonName: name},
			KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature,
			IsCA:                  true,
			BasicConstraintsValid: true,
		}
		if err := d.issue(name, template, nil); err != nil {
			return nil, err
		}
	}
	certDER, err := readPEM(d.Certificate(name))
	if err != nil {
		return nil, err
	}
	keyDER, err := readPEM(d.Key(name))
	if err != nil {
		return nil, err
	}
	certificate, err := x509.ParseCertificate(certDER)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", d.Certificate(name), err)
	}
	key, err := x509.ParseECPrivateKey(keyDER)
	if err != nil {
		return nil, fmt.Errorf("parsing %s: %w", d.Key(name), err)
	}
	return &authority{certificate, key}, nil
}

// issue writes a new key and its certificate, signed by ca, or by itself if there is none.
func (d Directory) issue(name string, template *x509.Certificate, ca *authority) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return fmt.Errorf("making a key: %w", err)
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
	if err != nil {
		return fmt.Errorf("making a serial number: %w", err)
	}
	template.SerialNumber = serial
	// An hour back: clocks of machines that were suspended may step.
	template.NotBefore = time.Now().Add(-time.Hour)
	template.NotAfter = template.NotBefore.Add(lifetime)
	parent, signer := template, key
	if ca != nil {
		parent, signer = ca.certificate, ca.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		return fmt.Errorf("signing: %w", err)
	}
	// The certificate last: it is what has() takes as the sign that both are there.
	if err := d.writeKey(name, key); err != nil {
		return err
	}
	return writePEM(d.Certificate(name), "CERTIFICATE", der, 0o644)
}

func (d Directory) has(name string) bool { return exists(d.Key(name)) && exists(d.Certificate(name)) }

func (d Directory) writeKey(name string, key *ecdsa.PrivateKey) error {
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return fmt.Errorf("encoding key %s: %w", name, err)
	}
	return writePEM(d.Key(name), "EC PRIVATE KEY", der, 0o600)
}

func writePEM(path, kind string, der []byte, mode fs.FileMode) error {
	return files.Write(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), mode)
}

func readPEM(path string) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", path, err)
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s is not a PEM file", path)
	}
	return block.Bytes, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return !errors.Is(err, fs.ErrNotExist)
}
