// Package keypairtest makes certificates for tests.
package keypairtest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Write writes a self-signed certificate for 127.0.0.1, whose serial number tells it
// from others.
func Write(t testing.TB, certFile, keyFile string, serial int64) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	WritePEM(t, certFile, "CERTIFICATE", cert, serial)
	WritePEM(t, keyFile, "PRIVATE KEY", der, serial)
}

// WritePEM writes one of the files. It gives each serial a time of its own: files change faster in tests than clocks tick.
func WritePEM(t testing.TB, file, kind string, der []byte, serial int64) {
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	at := time.Unix(1_700_000_000+serial, 0)
	require.NoError(t, os.Chtimes(file, at, at))
}
