package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/embedded"
)

// store is an embedded nats-server on a temporary folder, and what else a part of the
// benchmark opened.
type store struct {
	log     logrus.FieldLogger
	server  *embedded.Server
	closers []func() error
}

func startStore(ctx context.Context, log logrus.FieldLogger) (*store, error) {
	folder, err := os.MkdirTemp("", "genmesh-bench-")
	if err != nil {
		return nil, err
	}
	s := &store{log: log}
	s.onClose(func() error { return os.RemoveAll(folder) })
	s.server, err = embedded.Start(ctx, embedded.Options{DataDir: folder, Logger: log})
	if err != nil {
		return nil, errors.Join(err, s.close())
	}
	s.onClose(s.server.Shutdown)
	return s, nil
}

func (s *store) onClose(f func() error) { s.closers = append(s.closers, f) }

// close closes everything in the reverse order of opening.
func (s *store) close() error {
	var errs []error
	for i := len(s.closers) - 1; i >= 0; i-- {
		errs = append(errs, s.closers[i]())
	}
	s.closers = nil
	return errors.Join(errs...)
}

// background runs f until the store is closed.
func (s *store) background(f func(ctx context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	s.onClose(func() error {
		cancel()
		return <-ended
	})
}

// connect opens a connection of its own, as each process would have.
func (s *store) connect(name string) (jetstream.JetStream, error) {
	nc, err := mesh.Connect(name, "", s.log, s.server.InProcess())
	if err != nil {
		return nil, err
	}
	s.onClose(func() error {
		nc.Close()
		return nil
	})
	return mesh.JetStream(nc)
}

// serve runs a handler on a free port of this machine until the store is closed.
func (s *store) serve(handler http.Handler) (url string, err error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	server := &http.Server{Handler: handler, ReadHeaderTimeout: requestTimeout}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(listener) }()
	s.onClose(func() error {
		_ = server.Close() // all that it answers is done with
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	return "http://" + listener.Addr().String(), nil
}

// apply makes the streams of the server what a streams.json says. Consumers are made by whoever measures
// them, so that nobody pays for those of others.
func (s *store) apply(ctx context.Context, js jetstream.JetStream, streams string) (*mesh.Topology, error) {
	t, err := app.ParseStreams([]byte(streams), lookup)
	if err != nil {
		return nil, fmt.Errorf("the benchmark's streams.json: %w", err)
	}
	unserved := *t
	unserved.Subscribers = nil
	plan, err := unserved.Plan(ctx, js)
	if err != nil {
		return nil, err
	}
	return t, plan.Apply(ctx, js, false)
}

const (
	secret = "a secret of the benchmark"
	// signingKey is the base64 of 32 bytes, as the Standard Webhooks specification wants a key.
	signingKey = "whsec_YSBzaWduaW5nIGtleSBvZiB0aGUgYmVuY2htYXJrISE="
)

func lookup(name string) (string, bool) {
	switch name {
	case "SECRET":
		return secret, true
	case "SIGNING_KEY":
		return signingKey, true
	}
	return "", false
}

// stored is how many messages a stream holds.
func stored(ctx context.Context, js jetstream.JetStream, stream string) (uint64, error) {
	s, err := js.Stream(ctx, stream)
	if err != nil {
		return 0, err
	}
	return s.CachedInfo().State.Msgs, nil
}

// roleStreams are those that every mesh needs.
const roleStreams = `
	{"name": "DEAD_LETTERS", "subjects": ["dead.>"], "duplicate_window": "2h", "allow_direct": true},
	{"name": "QUARANTINE", "subjects": ["quarantine.>"], "allow_atomic": true},
	{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}`
