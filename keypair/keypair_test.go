package keypair

import (
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/keypair/keypairtest"
)

func TestCertificateIsReloaded(t *testing.T) {
	certFile, keyFile := filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	keypairtest.Write(t, certFile, keyFile, 1)
	c, err := Open(certFile, keyFile, quiet())
	require.NoError(t, err)
	now := c.checked
	c.now = func() time.Time { return now }
	serial := func() int64 {
		got, err := c.Get(nil)
		require.NoError(t, err)
		return got.Leaf.SerialNumber.Int64()
	}
	assert.Equal(t, int64(1), serial())
	assert.WithinDuration(t, now.Add(time.Hour), c.Expires(), time.Minute)

	keypairtest.Write(t, certFile, keyFile, 2)
	assert.Equal(t, int64(1), serial(), "looked at less than a second ago")
	now = now.Add(checkEvery)
	assert.Equal(t, int64(2), serial())

	keypairtest.WritePEM(t, certFile, "CERTIFICATE", []byte("half-written"), 3)
	now = now.Add(checkEvery)
	assert.Equal(t, int64(2), serial(), "what can't be read leaves the old one in place")
	require.NoError(t, os.Remove(keyFile))
	now = now.Add(checkEvery)
	assert.Equal(t, int64(2), serial())

	keypairtest.Write(t, certFile, keyFile, 4)
	now = now.Add(checkEvery)
	assert.Equal(t, int64(4), serial())
}

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}
