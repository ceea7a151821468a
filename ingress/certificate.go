package ingress

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// certificate is a TLS certificate in files, read again when they change. It is safe for
// concurrent use.
type certificate struct {
	certFile, keyFile string
	log               logrus.FieldLogger
	now               func() time.Time

	mu      sync.Mutex
	checked time.Time
	stamp   certificateStamp
	current *tls.Certificate
	failing bool // the last check failed and that was told
}

// certificateStamp tells one state of the two files from another.
type certificateStamp struct {
	cert, key         time.Time
	certSize, keySize int64
}

// checkCertificateEvery bounds how often handshakes look at the files.
const checkCertificateEvery = time.Second

func newCertificate(certFile, keyFile string, log logrus.FieldLogger) (*certificate, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	c.checked = c.now()
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// get is tls.Config.GetCertificate. New files that can't be read, such as a half-written pair,
// leave the old certificate in place.
func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= checkCertificateEvery {
		c.checked = now
		err := c.load()
		if err != nil && !c.failing {
			c.log.WithError(err).Warn("the new TLS certificate can't be used; the old one stays")
		}
		c.failing = err != nil
	}
	return c.current, nil
}

// load reads the files if they changed since they were last read well.
func (c *certificate) load() error {
	stamp, err := c.stat()
	if err != nil {
		return fmt.Errorf("the TLS certificate: %w", err)
	}
	if c.current != nil && stamp == c.stamp {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("the TLS certificate in %s and %s: %w", c.certFile, c.keyFile, err)
	}
	if c.current != nil {
		c.log.WithField("file", c.certFile).Info("TLS certificate reloaded")
	}
	c.stamp, c.current = stamp, &pair
	return nil
}

func (c *certificate) stat() (certificateStamp, error) {
	cert, err := os.Stat(c.certFile)
	if err != nil {
		return certificateStamp{}, err
	}
	key, err := os.Stat(c.keyFile)
	if err != nil {
		return certificateStamp{}, err
	}
	return certificateStamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}
