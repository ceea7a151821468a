package ingress

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/genmesh/genmesh/keypair"
	"github.com/genmesh/genmesh/mesh"
	"github.com/sirupsen/logrus"
	"golang.org/x/net/netutil"
)

// Server takes the requests of all sources. All its methods are safe for concurrent use.
type Server struct {
	options  Options
	log      *logrus.Entry
	journal  *journal
	metrics  *metrics
	panics   occasional
	reading  chan struct{} // a place for each body that is being read
	bodies   *bodyMemory
	drain    *drain
	http     *http.Server
	listener net.Listener

	updating sync.Mutex
	routes   atomic.Pointer[routes]
}

// New makes a server and listens: connections wait from here on, and are served once Run runs.
// A server that is never run must be closed. It fails if a source is not complete, its verifier or a
// schema can't be had, or the address or the certificate can't be used.
func New(options Options) (*Server, error) {
	if options.Store == nil || options.Logger == nil || options.Verifier == nil {
		return nil, errors.New("ingress needs a store, a logger and verifiers")
	}
	s := &Server{
		options: withDefaults(options),
		log:     options.Logger.WithField("component", "ingress"),
		panics:  occasional{every: time.Second},
		drain:   newDrain(),
	}
	s.journal = newJournal(s.log)
	s.reading = make(chan struct{}, s.options.MaxConnections)
	s.bodies = &bodyMemory{most: s.options.MaxBodyMemory}
	tlsConfig, err := s.newTLSConfig()
	if err != nil {
		return nil, err
	}
	s.http = s.newHTTPServer(tlsConfig)
	if s.metrics, err = newMetrics(options.Registerer); err != nil {
		return nil, err
	}
	if err := s.Update(options.Sources); err != nil {
		return nil, err
	}
	listener, err := net.Listen("tcp", options.Addr)
	if err != nil {
		return nil, fmt.Errorf("ingress can't listen on %q: %w", options.Addr, err)
	}
	s.listener = netutil.LimitListener(listener, s.options.MaxConnections)
	return s, nil
}

// newTLSConfig is nil without a certificate.
func (s *Server) newTLSConfig() (*tls.Config, error) {
	cert, key := s.options.CertFile, s.options.KeyFile
	if cert == "" && key == "" {
		return nil, nil
	}
	if cert == "" || key == "" {
		return nil, errors.New("TLS needs both a certificate file and a key file")
	}
	files, err := keypair.Open(cert, key, s.log)
	if err != nil {
		return nil, err
	}
	if s.options.Registerer != nil {
		if err := s.options.Registerer.Register(files.Metric("ingress")); err != nil {
			return nil, fmt.Errorf("register the metrics of ingress: %w", err)
		}
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: files.Get}, nil
}

// newHTTPServer speaks HTTP/2 only over TLS.
func (s *Server) newHTTPServer(tlsConfig *tls.Config) *http.Server {
	var protocols http.Protocols
	protocols.SetHTTP1(true)
	protocols.SetHTTP2(tlsConfig != nil)
	return &http.Server{
		Handler:                      http.HandlerFunc(s.serveHTTP),
		TLSConfig:                    tlsConfig,
		Protocols:                    &protocols,
		HTTP2:                        &http.HTTP2Config{MaxConcurrentStreams: maxConcurrentStreams},
		ReadHeaderTimeout:            readHeaderTimeout,
		ReadTimeout:                  readTimeout,
		WriteTimeout:                 writeTimeout,
		IdleTimeout:                  idleTimeout,
		MaxHeaderBytes:               maxHeaderBytes,
		DisableGeneralOptionsHandler: true,
		ErrorLog:                     log.New(&serverLog{log: s.log, rate: occasional{every: logEvery}}, "", 0),
	}
}

// serveHTTP takes a request by the routes of this moment; it ends on them.
func (s *Server) serveHTTP(w http.ResponseWriter, r *http.Request) {
	router := s.routes.Load().router
	if hasEncodedSlash(r.URL) {
		router.NotFound.ServeHTTP(w, r)
		return
	}
	router.ServeHTTP(w, r)
}

// hasEncodedSlash tells a path that looks like another one once it is decoded, as it is for the router. To a proxy the two differ (RFC 3986, 2.2).
func hasEncodedSlash(u *url.URL) bool { return strings.Contains(strings.ToUpper(u.RawPath), "%2F") }

// Addr is the address that the server listens on.
func (s *Server) Addr() net.Addr { return s.listener.Addr() }

// Update takes the given sources instead of those before, all at once, and reads their schemas
// again. If it fails, nothing changed. Requests under way end on the route they began on;
// sources that stay keep their counts and rates.
func (s *Server) Update(sources []mesh.Source) error {
	s.updating.Lock()
	defer s.updating.Unlock()
	next, err := s.newRoutes(sources, s.routes.Load())
	if err != nil {
		return fmt.Errorf("ingress: %w", err)
	}
	s.routes.Store(next)
	return nil
}

// Run serves until ctx ends. Then it refuses new events with a 503 until those under way are
// answered, at most for the grace period, and closes all connections. It runs once.
func (s *Server) Run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- s.serve() }()
	s.log.WithField("address", s.Addr().String()).Info("ingress is listening")
	select {
	case err := <-served:
		return fmt.Errorf("ingress on %s: %w", s.Addr(), err)
	case <-ctx.Done():
	}
	err := s.stop()
	<-served
	return err
}

func (s *Server) serve() error {
	if s.http.TLSConfig != nil {
		return s.http.ServeTLS(s.listener, "", "")
	}
	return s.http.Serve(s.listener)
}

// stop lets what is under way finish while the listener still takes connections, so that
// senders are told to try again instead of finding nobody.
func (s *Server) stop() error {
	grace, cancel := context.WithTimeout(context.Background(), s.options.GracePeriod)
	defer cancel()
	select {
	case <-s.drain.end():
	case <-grace.Done():
	}
	if err := s.http.Shutdown(grace); err != nil {
		_ = s.http.Close() // the error that counts is that requests were cut off
		return fmt.Errorf("ingress: requests were still under way after %s: %w", s.options.GracePeriod, err)
	}
	return nil
}

// Close stops listening. It is for a server that Run never ran.
func (s *Server) Close() error { return s.listener.Close() }
