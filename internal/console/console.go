// Package console is the operator's side of a process over HTTP: metrics and health, and, where NATS is at hand, the admin API
// and the dashboard.
package console

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/sirupsen/logrus"
	"golang.org/x/net/netutil"
)

// Options is what a Server serves. Only Addr, Metrics, Ready and Logger are needed.
type Options struct {
	Addr string
	// Certificate is that of tls.Config.GetCertificate; nil serves plain HTTP.
	Certificate func(*tls.ClientHelloInfo) (*tls.Certificate, error)
	Metrics     prometheus.Gatherer
	// Ready tells why the process can't do its work now.
	Ready func() error
	// Pages and API serve the dashboard and the admin API; nil serves none.
	Pages, API http.Handler
	// Guard stands before them and before /metrics, and answers who is not let in; nil lets everybody in, which is for metrics and
	// health alone.
	Guard  func(next http.Handler) http.Handler
	Logger logrus.FieldLogger
}

// Server serves a console.
type Server struct {
	listener net.Listener
	http     *http.Server
	// endStreams ends the requests that would go on for ever, such as live updates.
	endStreams context.CancelFunc
}

const (
	headerTimeout   = 5 * time.Second
	requestTimeout  = 30 * time.Second
	idleTimeout     = 2 * time.Minute
	shutdownTimeout = 5 * time.Second
	// streamGrace is what requests may take after the end was asked for before those without an end are told.
	streamGrace    = 200 * time.Millisecond
	maxHeaderBytes = 16 << 10
	// maxConnections bounds who watches; more wait.
	maxConnections = 512
	// maxStreams bounds the requests at once on one connection of HTTP/2.
	maxStreams = 100
)

// Listen opens the address; Run serves it.
func Listen(o Options) (*Server, error) {
	listener, err := net.Listen("tcp", o.Addr)
	if err != nil {
		return nil, fmt.Errorf("console address %s: %w", o.Addr, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	s := &Server{listener: netutil.LimitListener(listener, maxConnections), endStreams: cancel, http: &http.Server{
		Handler:           routes(o),
		BaseContext:       func(net.Listener) context.Context { return ctx },
		ReadHeaderTimeout: headerTimeout,
		ReadTimeout:       requestTimeout,
		WriteTimeout:      requestTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          log.New(&lines{o.Logger}, "", 0),
		HTTP2:             &http.HTTP2Config{MaxConcurrentStreams: maxStreams},
	}}
	if o.Certificate != nil {
		s.http.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: o.Certificate}
	}
	return s, nil
}

func routes(o Options) http.Handler {
	open, guarded := http.NewServeMux(), http.NewServeMux()
	guarded.Handle("GET /metrics", promhttp.HandlerFor(o.Metrics, promhttp.HandlerOpts{ErrorLog: o.Logger}))
	if o.API != nil {
		guarded.Handle("/api/", o.API)
	}
	if o.Pages != nil {
		guarded.Handle("/", o.Pages)
	}
	var behind http.Handler = guarded
	if o.Guard != nil {
		behind = o.Guard(guarded)
	}
	open.Handle("/", behind)
	open.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "ok") })
	open.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := o.Ready(); err != nil {
			answer(w, http.StatusServiceUnavailable, err.Error())
			return
		}
		answer(w, http.StatusOK, "ready")
	})
	return open
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = fmt.Fprintln(w, text) // the client is gone, or it is not
}

// lines logs what net/http says of a connection, at debug: anybody can make it say much.
type lines struct{ log logrus.FieldLogger }

func (l *lines) Write(line []byte) (int, error) {
	l.log.WithField("component", "console").Debug(string(line))
	return len(line), nil
}

// Addr is the address that is served, with the port that a port 0 became.
func (s *Server) Addr() string { return s.listener.Addr().String() }

// Close stops listening. It is for a server that Run never ran.
func (s *Server) Close() error {
	s.endStreams()
	return s.listener.Close()
}

// Run serves until ctx ends.
func (s *Server) Run(ctx context.Context) error {
	defer s.endStreams()
	stopped := make(chan error, 1)
	go func() {
		<-ctx.Done()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), shutdownTimeout)
		defer cancel()
		timer := time.AfterFunc(streamGrace, s.endStreams)
		defer timer.Stop()
		stopped <- s.http.Shutdown(grace)
	}()
	if err := s.serve(); !errors.Is(err, http.ErrServerClosed) {
		return fmt.Errorf("console: %w", err)
	}
	return <-stopped
}

func (s *Server) serve() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}
