package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/genmesh/genmesh/mesh"
)

// tlsConfig is nil where the target asks for no TLS: neither by "tls=true" nor by certificates.
func tlsConfig(p place) (*tls.Config, error) {
	wanted, err := p.query.boolean("tls", p.tls != nil)
	if err != nil || !wanted {
		return nil, err
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if p.tls == nil {
		return config, nil
	}
	config.ServerName = p.tls.ServerName
	if p.tls.CAFile != "" {
		if config.RootCAs, err = authorities(p.tls.CAFile); err != nil {
			return nil, err
		}
	}
	if p.tls.CertFile != "" {
		config.GetClientCertificate = certificate(*p.tls)
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
