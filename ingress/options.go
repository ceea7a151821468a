package ingress

import (
	"cmp"
	"time"

	"github.com/genmesh/genmesh/mesh"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"go.opentelemetry.io/otel/trace"
)

// Options is what a Server is made of.
type Options struct {
	// Addr is where to listen, such as ":8080"; port 0 takes a free one.
	Addr string
	// CertFile and KeyFile are PEM files: both for TLS 1.2 and up, neither for plain HTTP
	// behind a proxy. They are read again within a second of a change.
	CertFile, KeyFile string
	// MaxConnections bounds the open connections; more wait to be accepted. Default 8192.
	MaxConnections int
	// MaxBodyMemory bounds the bytes of the bodies of all requests under way; more are told to come again. Default 256 MiB, or a
	// quarter of GOMEMLIMIT if that is less.
	MaxBodyMemory int64

	// Sources are the ways in, as mesh.ParseTopology completes them.
	Sources []mesh.Source
	// Verifier has the verifier of a source. It is called when the source is taken up and after each
	// Update. It is needed.
	Verifier func(mesh.Source) (Verifier, error)
	// Observer has the observer of a source by its name. Default: one that looks at nothing.
	Observer func(source string) Observer
	// Store takes the events. It is needed.
	Store Committer
	// GracePeriod bounds how long Run waits at the end for requests under way. Default 15 s.
	GracePeriod time.Duration
	// Ready says why events can't be stored now, or nil. The reason is public, on /readyz. It
	// is called by several goroutines at once. Default: always ready.
	Ready func() error

	// Logger takes the log. It is needed.
	Logger logrus.FieldLogger
	// Registerer takes the metrics; nil leaves them uncollected.
	Registerer prometheus.Registerer
	// Tracing makes the spans of signed requests; nil makes none, and events carry the trace context that came with them.
	Tracing trace.TracerProvider
}

// The limits of every connection. What a sender does slower than this it does not finish.
const (
	readHeaderTimeout    = 5 * time.Second
	readTimeout          = 10 * time.Second // headers and body
	idleTimeout          = 60 * time.Second
	writeTimeout         = 25 * time.Second // from the headers on: reading, committing, answering
	maxHeaderBytes       = 16 << 10
	maxConcurrentStreams = 100 // of one HTTP/2 connection

	defaultMaxConnections = 8192
	defaultGracePeriod    = 15 * time.Second
)

func withDefaults(o Options) Options {
	o.MaxConnections = cmp.Or(o.MaxConnections, defaultMaxConnections)
	o.MaxBodyMemory = cmp.Or(o.MaxBodyMemory, bodyMemoryShare())
	o.GracePeriod = cmp.Or(o.GracePeriod, defaultGracePeriod)
	if o.Observer == nil {
		o.Observer = func(string) Observer { return noObserver{} }
	}
	if o.Ready == nil {
		o.Ready = func() error { return nil }
	}
	return o
}
