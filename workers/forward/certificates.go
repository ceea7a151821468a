package forward

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// maxCABytes bounds a ca_file: the bundles of whole systems have about 250 KiB.
const maxCABytes = 4 << 20

// CertificateUse is what a certificate is for.
type CertificateUse string

// The uses of certificates.
const (
	TargetCertificate CertificateUse = "target" // which the target shows
	ClientCertificate CertificateUse = "client" // which it is shown
)

// useTLS reads the certificate files. The client's certificate is read again by the handshakes after
// its files changed; connections that are open go on with the old one.
func (e *egress) useTLS(files *mesh.TargetTLS, o Options) error {
	e.tls = &tls.Config{MinVersion: tls.VersionTLS12}
	note := o.NoteCertificate
	if note == nil {
		note = func(CertificateUse, time.Time) {}
	}
	e.tls.VerifyConnection = func(state tls.ConnectionState) error {
		note(TargetCertificate, state.PeerCertificates[0].NotAfter) // it was verified
		return nil
	}
	if files == nil {
		return nil
	}
	e.tls.ServerName = files.ServerName
	if files.CAFile != "" {
		if err := e.trust(files.CAFile); err != nil {
			return fmt.Errorf("tls.ca_file: %w", err)
		}
	}
	if files.CertFile == "" {
		return nil
	}
	pair := []string{files.CertFile, files.KeyFile}
	certificate, err := newReloaded("the certificate for a target", pair, o.Logger, func() (*tls.Certificate, error) {
		certificate, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
		return &certificate, err
	})
	if err != nil {
		return fmt.Errorf("tls.cert_file and tls.key_file: %w", err)
	}
	e.tls.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		now := certificate.get()
		note(ClientCertificate, now.Leaf.NotAfter)
		return now, nil
	}
	return nil
}

// trust puts the authorities of a file in the place of the system's for the target, and beside them
// for the proxy, which may be of another house.
func (e *egress) trust(file string) error {
	bundle, err := readBounded(file, maxCABytes)
	if err != nil {
		return err
	}
	e.tls.RootCAs = x509.NewCertPool()
	if !e.tls.RootCAs.AppendCertsFromPEM(bundle) {
		return fmt.Errorf("%s holds no PEM certificate", file)
	}
	if e.proxyRoots, err = x509.SystemCertPool(); err != nil {
		e.proxyRoots = x509.NewCertPool()
	}
	e.proxyRoots.AppendCertsFromPEM(bundle)
	return nil
}

func readBounded(file string, limit int64) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // only read
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && int64(len(data)) > limit {
		err = fmt.Errorf("%s is larger than %d bytes", file, limit)
	}
	return data, err
}

func checkTLS(target mesh.Target) error {
	files := target.TLS
	switch {
	case files == nil:
		return nil
	case (files.CertFile == "") != (files.KeyFile == ""):
		return &mesh.FieldError{Field: "tls", Problem: "cert_file and key_file belong together", Hint: "give both or neither"}
	case !strings.HasPrefix(strings.ToLower(target.URL), "https:"):
		return &mesh.FieldError{Field: "tls", Problem: "the url is not https: nothing would be encrypted", Hint: "write https, or remove it"}
	}
	return nil
}
