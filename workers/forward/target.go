// Package forward is the HTTP target: it posts each event to a subscriber's URL, in the binary
// mode of CloudEvents 1.0, and reads from the answer what becomes of the event.
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
}

// Target posts events to one URL. Its methods are safe for concurrent use.
type Target struct {
	url        string // without the userinfo
	host       string // all that errors say of the URL
	user       *url.Userinfo
	subscriber string
	timeout    time.Duration
	options    Options
	transport  *http.Transport

	// calls is read-locked by each call, so that Close can wait for them.
	calls  sync.RWMutex
	closed bool
}

var errClosed = errors.New("the HTTP target is closed")

// New makes the target of a subscriber, for an http or https URL. The URL's userinfo is sent as
// basic authentication; neither it nor the path and the query appear in any error.
func New(target mesh.Target, subscriber string, o Options) (*Target, error) {
	u, err := parseURL(target.URL)
	if err != nil {
		return nil, fmt.Errorf("target of subscriber %s: %w", subscriber, err)
	}
	for _, name := range []string{o.DeliveryIDHeader, o.DeliveryTypeHeader} {
		if name != "" && !isHeaderName(name) {
			return nil, fmt.Errorf("target of subscriber %s: %q can't be the name of a header", subscriber, name)
		}
	}
	o.MaxInFlight = cmp.Or(o.MaxInFlight, defaultMaxInFlight)
	o.Version = cmp.Or(o.Version, "dev")
	t := &Target{
		host: u.Host, user: u.User, subscriber: subscriber, options: o,
		timeout:   cmp.Or(time.Duration(target.Timeout), defaultTimeout),
		transport: newTransport(o.MaxInFlight),
	}
	u.User, u.Fragment = nil, ""
	t.url = u.String()
	return t, nil
}

// parseURL does not say what is wrong inside the URL: that would quote it, secrets included.
func parseURL(raw string) (*url.URL, error) {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" {
		return nil, errors.New(`the url is not of the form "https://host/path"; it is not shown, for it may hold a secret`)
	}
	return u, nil
}

// Handle posts the event once. One call can still send it twice: a connection that breaks
// before the answer begins is replaced once by the transport, for the request carries an
// Idempotency-Key.
//
// The status alone decides: 2xx is success, 408, 425, 5xx and no answer are tried again, 429
// and a 503 that says when to come back make the subscriber wait, all else is permanent.
// Redirects are not followed: they are permanent failures.
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
	return t.post(ctx, event)
}

func (t *Target) post(ctx context.Context, event mesh.Event) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.url, bytes.NewReader(event.Body))
	if err != nil {
		return &workers.Failure{Err: fmt.Errorf("the request to %s can't be made", t.host)}
	}
	req.Header = t.header(event)
	// A transport and not a client: it follows no redirects, keeps no cookies and puts no URL
	// into its errors.
	resp, err := t.transport.RoundTrip(req)
	if err != nil {
		return &workers.Failure{Err: t.noAnswer(ctx, err)}
	}
	defer resp.Body.Close() //nolint:errcheck // nothing depends on the rest of the answer
	return t.judge(resp, readAnswer(resp), time.Now())
}

// noAnswer says why there is none, with bounds on what it quotes of the other side.
func (t *Target) noAnswer(ctx context.Context, err error) error {
	switch {
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return fmt.Errorf("%s did not answer within %s: %w", t.host, t.timeout, context.DeadlineExceeded)
	case ctx.Err() != nil:
		return fmt.Errorf("the request to %s was given up: %w", t.host, ctx.Err())
	}
	return fmt.Errorf("no answer from %s: %.300s", t.host, err.Error())
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
	t.transport.CloseIdleConnections()
	return nil
}
