package app

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/archive"
	"github.com/genmesh/genmesh/workers/forward"
	"github.com/genmesh/genmesh/workers/logtarget"
	"github.com/genmesh/genmesh/workers/ndjson"
	"github.com/genmesh/genmesh/workers/republish"
	"github.com/genmesh/genmesh/workers/shape"
)

// Preview shows what subscribers get, to people who try a configuration out or listen in on it. It serves nobody, reads secrets
// where it can, and shows none.
type Preview struct {
	topology *mesh.Topology
	lookup   func(string) (string, bool)
	version  string
	seed     string // of stand-ins
}

// NewPreview makes the preview of a configuration. lookup reads the environment for secrets. One that is made by Of shares its stand-ins.
func NewPreview(t *mesh.Topology, lookup func(string) (string, bool), version string) Preview {
	return Preview{topology: t, lookup: lookup, version: version, seed: rand.Text()}
}

// Of is the preview of another configuration, with the same stand-ins for the same secrets: so that what both make can be compared.
func (p Preview) Of(t *mesh.Topology) Preview {
	p.topology = t
	return p
}

// Shape is that of a subscriber. If the key of its hashes can't be read another one stands in, which is a new one in each process,
// and standIn says so.
func (p Preview) Shape(s mesh.Subscriber) (applied *shape.Shape, standIn string, err error) {
	applied, err = shape.New(s, p.lookup)
	if err == nil || shape.Check(s) != nil {
		return applied, "", err
	}
	sum := sha256.Sum256([]byte(p.seed + string(s.RedactKey)))
	key := hex.EncodeToString(sum[:])
	unread := err
	s.RedactKey = "${STAND_IN}"
	applied, err = shape.New(s, func(string) (string, bool) { return key, true })
	return applied, fmt.Sprintf("hashes are made with a stand-in: %v", unread), err
}

// Sent is what the target of a subscriber gets of an event. What is secret in it is hidden.
type Sent struct {
	// Kind says how it is sent: "request", "line", "message" or "event".
	Kind string `json:"kind"`
	// To is where to, as it may be shown. Method, for a request, is HTTP's.
	To     string      `json:"to"`
	Method string      `json:"method,omitempty"`
	Header http.Header `json:"headers,omitempty"`
	Body   []byte      `json:"-"`
	// StandIns say what could not be read, and what stands in its place.
	StandIns []string `json:"-"`
}

// Sent makes what the subscriber's target gets of an event that has its shape. It connects to nothing. For targets whose messages only
// their clients can make it is the event.
func (p Preview) Sent(s mesh.Subscriber, e mesh.Event) (Sent, error) {
	if s.Target == nil {
		return Sent{Kind: "event", To: "a handler in code", Body: e.Body}, nil
	}
	u, err := url.Parse(s.Target.URL)
	if err != nil {
		return Sent{}, fmt.Errorf("subscriber %s: the target's URL can't be read", s.Name) // it may hold a secret
	}
	e.Attempt = max(e.Attempt, 1)
	switch to := s.Target.Display(); {
	case u.Scheme == "http" || u.Scheme == "https":
		r, err := forward.Preview(*s.Target, s.Name, p.options(s), e)
		return Sent{Kind: "request", To: r.URL, Method: r.Method, Header: r.Header, Body: r.Body, StandIns: r.StandIns}, err
	case u.Scheme == ndjson.Scheme || slices.Contains(archive.Schemes(), u.Scheme):
		return Sent{Kind: "line", To: to, Body: ndjson.Line(e)}, nil
	case u.Scheme == republish.Scheme:
		return republished(s, e)
	case u.Scheme == logtarget.Scheme:
		return logged(s, e)
	default:
		return Sent{Kind: "event", To: to, Header: http.Header{republish.HeaderIdempotencyKey: {e.IdempotencyKey()}}, Body: e.Body}, nil
	}
}

// republished is the message as a NATS target makes it.
func republished(s mesh.Subscriber, e mesh.Event) (Sent, error) {
	var caught publisher
	target, err := republish.New(*s.Target, s.Name, &caught)
	if err != nil {
		return Sent{}, err
	}
	if err := target.Handle(context.Background(), e); err != nil {
		return Sent{}, err
	}
	return Sent{Kind: "message", To: "nats:" + caught.msg.Subject, Header: http.Header(caught.msg.Header), Body: caught.msg.Data}, nil
}

// publisher keeps the message that would have been published.
type publisher struct {
	jetstream.Publisher
	msg *nats.Msg
}

func (p *publisher) PublishMsg(_ context.Context, msg *nats.Msg, _ ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	p.msg = msg
	return &jetstream.PubAck{}, nil
}

// logged is the line of a log target.
func logged(s mesh.Subscriber, e mesh.Event) (Sent, error) {
	var line bytes.Buffer
	log := logrus.New()
	log.SetOutput(&line)
	log.SetFormatter(&logrus.TextFormatter{DisableColors: true, DisableTimestamp: true})
	target, err := logtarget.New(*s.Target, s.Name, log)
	if err != nil {
		return Sent{}, err
	}
	err = target.Handle(context.Background(), e)
	return Sent{Kind: "line", To: "the log", Body: line.Bytes()}, err
}

// Mirror is a target that gets at another URL what a subscriber gets at its own: with its headers and signature, but without what shows who
// genmesh is, for the URL is somebody else's. A signature whose secrets can't be read is left out, and standIn says so. The caller closes it.
func (p Preview) Mirror(s mesh.Subscriber, rawURL string) (target *forward.Target, standIn string, err error) {
	own := mesh.Target{URL: rawURL}
	if s.Target != nil {
		own.Timeout, own.Headers, own.SigningSecrets = s.Target.Timeout, withoutCredentials(s.Target.Headers), s.Target.SigningSecrets
	}
	target, err = forward.New(own, s.Name, p.options(s))
	if err == nil || len(own.SigningSecrets) == 0 {
		return target, "", err
	}
	unread := err
	own.SigningSecrets = nil
	target, err = forward.New(own, s.Name, p.options(s))
	return target, fmt.Sprintf("requests are not signed: %v", unread), err
}

func withoutCredentials(headers map[string]string) map[string]string {
	kept := map[string]string{}
	for name, value := range headers {
		switch strings.ToLower(name) {
		case "authorization", "cookie":
		default:
			kept[name] = value
		}
	}
	return kept
}

// options are those that the workers use, but that any address may be dialled.
func (p Preview) options(s mesh.Subscriber) forward.Options {
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	return forwardOptions(forward.Options{Version: p.version, LookupEnv: p.lookup, Logger: quiet}, p.topology, s)
}
