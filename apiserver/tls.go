package apiserver

import (
	"crypto/tls"
	"errors"
	"fmt"

	"sigs.k8s.io/controller-runtime/pkg/certwatcher"
)

// TLS names the files, in PEM, of the server's certificate, followed by those of its issuers, and of its key. The zero value
// serves without TLS. The files are read again when they change; connections keep the certificate with which they began.
type TLS struct {
	CertFile, KeyFile string
}

// certificates reads the files and prepares to follow them; nil if there are none.
func (t TLS) certificates() (*certwatcher.CertWatcher, error) {
	switch {
	case t == TLS{}:
		return nil, nil
	case t.CertFile == "" || t.KeyFile == "":
		return nil, errors.New("serving with TLS needs both a certificate file and a key file, but only one is set")
	}
	certificates, err := certwatcher.New(t.CertFile, t.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("reading the TLS certificate %s and key %s: %w", t.CertFile, t.KeyFile, err)
	}
	return certificates, nil
}

func tlsConfig(certificates *certwatcher.CertWatcher) *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: certificates.GetCertificate}
}
