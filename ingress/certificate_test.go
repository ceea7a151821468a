package ingress

import (
	"crypto/tls"
	"net/http"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/keypair/keypairtest"
)

func TestTLS(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	keypairtest.Write(t, certFile, keyFile, 1)
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

	keypairtest.Write(t, certFile, keyFile, 2)
	assert.Eventually(t, func() bool {
		transport.CloseIdleConnections()
		return s.post(goodBody).code == http.StatusOK && serial.Load() == 2
	}, 10*time.Second, 50*time.Millisecond)

	_, err = tls.Dial("tcp", s.Addr().String(), &tls.Config{
		InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11,
	})
	assert.ErrorContains(t, err, "protocol version not supported")
}
