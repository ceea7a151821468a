// Package keypair serves a TLS certificate from two files, which may be renewed at any time.
package keypair

import (
	"crypto/tls"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

// Pair is a TLS certificate and its key in PEM files, read again within a second of a change. It is safe for
// concurrent use.
type Pair struct {
	certFile, keyFile string
	log               logrus.FieldLogger
	now               func() time.Time

	mu      sync.Mutex
	checked time.Time
	read    stamp
	current *tls.Certificate
	failing bool // the last check failed and that was told
}

// stamp tells one state of the two files from another.
type stamp struct {
	cert, key         time.Time
	certSize, keySize int64
}

// checkEvery bounds how often handshakes look at the files.
const checkEvery = time.Second

// Open reads the files. It fails if they are no pair; later on that leaves the old one in place, and is logged.
func Open(certFile, keyFile string, log logrus.FieldLogger) (*Pair, error) {
	c := &Pair{certFile: certFile, keyFile: keyFile, log: log, now: time.Now}
	c.checked = c.now()
	if err := c.load(); err != nil {
		return nil, err
	}
	return c, nil
}

// Get is tls.Config.GetCertificate. New files that can't be read, such as a half-written pair,
// leave the old certificate in place.
func (c *Pair) Get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if now := c.now(); now.Sub(c.checked) >= checkEvery {
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
func (c *Pair) load() error {
	now, err := c.stat()
	if err != nil {
		return fmt.Errorf("the TLS certificate: %w", err)
	}
	if c.current != nil && now == c.read {
		return nil
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("the TLS certificate in %s and %s: %w", c.certFile, c.keyFile, err)
	}
	if c.current != nil {
		c.log.WithField("file", c.certFile).Info("TLS certificate reloaded")
	}
	c.read, c.current = now, &pair
	return nil
}

// Expires is when the certificate that is served now ends to be valid.
func (c *Pair) Expires() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.current.Leaf.NotAfter
}

// Metric tells when the certificate ends to be valid. use says what it is for, such as "ingress".
func (c *Pair) Metric(use string) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name:        "genmesh_tls_certificate_expiry_timestamp_seconds",
		Help:        "When the certificate that is served ends to be valid.",
		ConstLabels: prometheus.Labels{"use": use},
	}, func() float64 { return float64(c.Expires().Unix()) })
}

func (c *Pair) stat() (stamp, error) {
	cert, err := os.Stat(c.certFile)
	if err != nil {
		return stamp{}, err
	}
	key, err := os.Stat(c.keyFile)
	if err != nil {
		return stamp{}, err
	}
	return stamp{cert.ModTime(), key.ModTime(), cert.Size(), key.Size()}, nil
}
