package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/genmesh/genmesh/mesh"
)

// wantsTLS reports whether the target asks for TLS, by "tls=true" or by certificates.
func wantsTLS(p place) (bool, error) { return p.query.boolean("tls", p.tls != nil) }

// tlsConfig reads the authorities, and sees to it that there is a certificate to show where one is named. It is nil where no
// TLS is wanted.
func tlsConfig(p place, wanted bool) (*tls.Config, error) {
	if !wanted {
		return nil, nil
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.tls == nil {
		return config, nil
	}
	config.ServerName = p.tls.ServerName
	if p.tls.CAFile != "" {
		var err error
		if config.RootCAs, err = authorities(p.tls.CAFile); err != nil {
			return nil, err
		}
	}
	if p.tls.CertFile != "" {
		config.GetClientCertificate = certificate(*p.tls)
		if _, err := config.GetClientCertificate(nil); err != nil {
			return nil, err
		}
	}
	return config, nil
}

func authorities(file string) (*x509.CertPool, error) {
	read, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("the authorities in ca_file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(read) {
		return nil, errors.New("the authorities in ca_file: it holds no certificate in PEM")
	}
	return pool, nil
}

// certificate reads the files at each handshake, so that a renewed one is shown by the next connection.
func certificate(files mesh.TargetTLS) func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
	return func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		pair, err := tls.LoadX509KeyPair(files.CertFile, files.KeyFile)
		if err != nil {
			return nil, fmt.Errorf("the certificate to show: %w", err)
		}
		return &pair, nil
	}
}
