// Package forward is the HTTP target: it posts each event to a subscriber's URL, in the binary
// mode of CloudEvents 1.0, and reads from the answer what becomes of the event.
//
// What streams.json asks for comes with each request: headers, a signature by Standard Webhooks, basic
// or bearer authentication, OAuth2 tokens, client certificates, a proxy. Addresses that are no place
// for events are refused when they are dialled (guard.go).
package forward

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

const (
	defaultTimeout     = 10 * time.Second
	defaultMaxInFlight = 32
	// maxAnswerBytes is how much of an answer is read to use its connection again. A longer
	// answer costs its connection.
	maxAnswerBytes = 64 << 10
)

// Options is what a target needs besides its entry in streams.json.
type Options struct {
	// MaxInFlight is the subscriber's max_in_flight: so many idle connections are kept.
	// Default 32.
	MaxInFlight int
	// Version of genmesh, for the User-Agent.
	Version string
	// EventTypePrefix comes before the event type in ce-type: the reverse DNS name of who
	// defines the types, such as "com.example.". Default: none.
	EventTypePrefix string
	// DeliveryIDHeader and DeliveryTypeHeader are the names under which the sender's own
	// delivery id and type are passed on. Default: they are not.
	DeliveryIDHeader   string
	DeliveryTypeHeader string
	// PublicOnly refuses, at each dial, addresses that are not on the public internet, but for those
	// in the target's allow_networks. Without it only link-local (metadata services), multicast and
	// unspecified addresses are refused.
	PublicOnly bool
	// LookupEnv reads the environment for secrets, which it does in New; nil means os.LookupEnv.
	LookupEnv func(string) (string, bool)
	// NoteCertificate is told at each new connection when a certificate ends that was used for it; nil tells nobody. It must not block.
	NoteCertificate func(use CertificateUse, ends time.Time)
	// Logger is told when a file that changed can't be read again. Default: nobody is.
	Logger logrus.FieldLogger
}

// Target posts events to one URL. Its methods are safe for concurrent use.
type Target struct {
	url           string // without the userinfo
	host          string // all that errors say of the URL
	subscriber    string
	timeout       time.Duration
	options       Options
	headers       []ownHeader
	authorization authorization
	signer        signer
	egress        egress
	transport     *http.Transport

	// calls is read-locked by each call, so that Close can wait for them.
	calls  sync.RWMutex
	closed bool
}

var errClosed = errors.New("the HTTP target is closed")

// New makes the target of a subscriber, for an http or https URL. It connects to nothing, but reads
// the secrets and the certificate files, and fails if one can't be used. Those in files are read
// again when the files change, looked at once a second at most; what can't be read again stays as it
// was. The URL's userinfo is sent as basic authentication; neither it nor the path and the query
// appear in any error.
func New(target mesh.Target, subscriber string, o Options) (*Target, error) {
	t, err := build(target, subscriber, o.withDefaults())
	if err != nil {
		return nil, fmt.Errorf("target of subscriber %s: %w", subscriber, err)
	}
	return t, nil
}

func (o Options) withDefaults() Options {
	o.MaxInFlight = cmp.Or(o.MaxInFlight, defaultMaxInFlight)
	o.Version = cmp.Or(o.Version, "dev")
	if o.Logger == nil {
		silent := logrus.New()
		silent.SetOutput(io.Discard)
		o.Logger = silent
	}
	return o
}

func build(target mesh.Target, subscriber string, o Options) (*Target, error) {
	if err := Check(target); err != nil {
		return nil, err
	}
	for _, name := range []string{o.DeliveryIDHeader, o.DeliveryTypeHeader} {
		if name != "" && !isHeaderName(name) {
			return nil, fmt.Errorf("%q can't be the name of a header", name)
		}
	}
	u, err := parseURL(target.URL)
	if err != nil {
		return nil, err
	}
	t := &Target{host: u.Host, subscriber: subscriber, options: o, timeout: cmp.Or(time.Duration(target.Timeout), defaultTimeout)}
	if err := t.readSecrets(target, u.User); err != nil {
		return nil, err
	}
	if err := t.prepareConnections(target); err != nil {
		return nil, err
	}
	u.User, u.Fragment = nil, ""
	t.url = u.String()
	return t, nil
}

func (t *Target) readSecrets(target mesh.Target, user *url.Userinfo) (err error) {
	if t.headers, err = newHeaders(target, t.options); err != nil {
		return err
	}
	if t.signer, err = newSigner(target.SigningSecrets, t.options); err != nil {
		return err
	}
	t.authorization, err = newAuthorization(target.Auth, user, t.options)
	return err
}

func (t *Target) prepareConnections(target mesh.Target) (err error) {
	t.egress.guard.publicOnly = t.options.PublicOnly
	if t.egress.guard.allowed, err = parseNetworks(target.AllowNetworks); err != nil {
		return err
	}
	if t.egress.proxy, err = parseProxy(target.Proxy); err != nil {
		return err
	}
	if err = t.egress.useTLS(target.TLS, t.options); err != nil {
		return err
	}
	t.transport = t.egress.transport(t.options.MaxInFlight)
	if target.Auth != nil && target.Auth.Method == mesh.AuthOAuth2 {
		t.authorization.tokens, err = newTokens(target.Auth, t.egress.elsewhere().transport(1), t.options)
	}
	return err
}

// Handle posts the event once. One call can still send it twice: a connection that breaks
// before the answer begins is replaced once by the transport, for the request carries an
// Idempotency-Key.
//
// The status alone decides: 2xx is success, 408, 425, 5xx and no answer are tried again, 429
// and a 503 that says when to come back make the subscriber wait, all else is permanent.
// Redirects are not followed: they are permanent failures.
//
// What is wrong for every event alike makes the subscriber wait, too, with its backoff, and spends no
// attempt, until somebody has looked at it: a 401 to a target with credentials (a rotated secret more
// likely than a bad event), a token endpoint that gives no token, a proxy that asks for other
// credentials, an address that events don't go to, a certificate of either side that the other one
// does not trust. A token that is refused and older than ten seconds is renewed first, and the event
// tried again at once.
//
// What each answer says of the target's limits goes to workers.NotePace.
func (t *Target) Handle(ctx context.Context, event mesh.Event) error {
	if !t.calls.TryRLock() { // fails only while Close waits for the others
		return errClosed
	}
	defer t.calls.RUnlock()
	if t.closed {
		return errClosed
	}
	ctx, cancel := context.WithTimeout(ctx, t.timeout)
	defer cancel()
	return t.deliver(ctx, event)
}

func (t *Target) deliver(ctx context.Context, event mesh.Event) error {
	authorization, err := t.authorization.value(ctx)
	if err != nil {
		return err
	}
	resp, answer, err := t.post(ctx, event, authorization)
	if err == nil && resp.StatusCode == http.StatusUnauthorized && t.authorization.renew(authorization) {
		// It was revoked before its end.
		if authorization, err = t.authorization.value(ctx); err != nil {
			return err
		}
		resp, answer, err = t.post(ctx, event, authorization)
	}
	if err != nil {
		return err
	}
	return t.judge(resp, answer, time.Now())
}

// post returns the answer, whose body is read and closed, and the beginning of that body. The error
// is the event's fate.
func (t *Target) post(ctx context.Context, event mesh.Event, authorization string) (*http.Response, []byte, error) {
	req, err := http.NewRequestWithContext(withLease(ctx), http.MethodPost, t.url, bytes.NewReader(event.Body))
	if err != nil {
		return nil, nil, &workers.Failure{Err: fmt.Errorf("the request to %s can't be made", t.host)}
	}
	req.Header = t.header(ctx, event, authorization, time.Now())
	// A transport and not a client: it follows no redirects, keeps no cookies and puts no URL
	// into its errors.
	resp, err := t.transport.RoundTrip(req)
	if err != nil {
		return nil, nil, t.unanswered(ctx, err)
	}
	defer resp.Body.Close() //nolint:errcheck // nothing depends on the rest of the answer
	if l, ok := limitOf(resp.Header, time.Now()); ok {
		workers.NotePace(ctx, l.remaining, l.reset)
	}
	return resp, readAnswer(resp), nil
}

// readAnswer reads so much of the answer that its connection can be used again and returns its
// beginning. A rest that does not come changes nothing: the status was said.
func readAnswer(resp *http.Response) []byte {
	if resp.StatusCode == http.StatusSwitchingProtocols {
		return nil // what follows is no answer, and no deadline would end the reading
	}
	answer, _ := io.ReadAll(io.LimitReader(resp.Body, workers.MaxAnswerBytes))
	_, _ = io.CopyN(io.Discard, resp.Body, maxAnswerBytes-workers.MaxAnswerBytes)
	return answer
}

// Close waits for the calls under way, at most one timeout, and closes the connections.
func (t *Target) Close() error {
	t.calls.Lock()
	defer t.calls.Unlock()
	t.closed = true
	t.authorization.close()
	t.transport.CloseIdleConnections()
	return nil
}
