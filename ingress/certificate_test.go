package ingress

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// writeCertificate writes a self-signed certificate for 127.0.0.1, whose serial number tells it
// from others.
func writeCertificate(t *testing.T, certFile, keyFile string, serial int64) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial),
		NotBefore:    time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		DNSNames: []string{"localhost"},
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	require.NoError(t, err)
	der, err := x509.MarshalPKCS8PrivateKey(key)
	require.NoError(t, err)
	writePEM(t, certFile, "CERTIFICATE", cert, serial)
	writePEM(t, keyFile, "PRIVATE KEY", der, serial)
}

// writePEM gives each serial a time of its own: files change faster in tests than clocks tick.
func writePEM(t *testing.T, file, kind string, der []byte, serial int64) {
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600))
	at := time.Unix(1_700_000_000+serial, 0)
	require.NoError(t, os.Chtimes(file, at, at))
}

func TestCertificateIsReloaded(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	c, err := newCertificate(certFile, keyFile, quiet())
	require.NoError(t, err)
	now := c.checked
	c.now = func() time.Time { return now }
	serial := func() int64 {
		got, err := c.get(nil)
		require.NoError(t, err)
		return got.Leaf.SerialNumber.Int64()
	}
	assert.Equal(t, int64(1), serial())

	writeCertificate(t, certFile, keyFile, 2)
	assert.Equal(t, int64(1), serial(), "looked at less than a second ago")
	now = now.Add(checkCertificateEvery)
	assert.Equal(t, int64(2), serial())

	writePEM(t, certFile, "CERTIFICATE", []byte("half-written"), 3)
	now = now.Add(checkCertificateEvery)
	assert.Equal(t, int64(2), serial(), "what can't be read leaves the old one in place")
	require.NoError(t, os.Remove(keyFile))
	now = now.Add(checkCertificateEvery)
	assert.Equal(t, int64(2), serial())

	writeCertificate(t, certFile, keyFile, 4)
	now = now.Add(checkCertificateEvery)
	assert.Equal(t, int64(4), serial())
}

func TestTLS(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	writeCertificate(t, certFile, keyFile, 1)
	s := start(t, new(memory), func(o *Options) { o.CertFile, o.KeyFile = certFile, keyFile })
	s.url = "https://" + s.Addr().String()
	var serial atomic.Int64
	transport := s.client.Transport.(*http.Transport)
	transport.ForceAttemptHTTP2 = true
	transport.TLSClientConfig = &tls.Config{
		InsecureSkipVerify: true, // self-signed; VerifyConnection looks at it
		VerifyConnection: func(state tls.ConnectionState) error {
			serial.Store(state.PeerCertificates[0].SerialNumber.Int64())
			return nil
		},
	}

	response, err := s.client.Do(s.request(goodBody))
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	assert.Equal(t, http.StatusAccepted, response.StatusCode)
	assert.Equal(t, 2, response.ProtoMajor)
	assert.Equal(t, int64(1), serial.Load())

	writeCertificate(t, certFile, keyFile, 2)
	assert.Eventually(t, func() bool {
		transport.CloseIdleConnections()
		return s.post(goodBody).code == http.StatusOK && serial.Load() == 2
	}, 10*time.Second, 50*time.Millisecond)

	_, err = tls.Dial("tcp", s.Addr().String(), &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
	})
	assert.ErrorContains(t, err, "protocol version not supported")
}
