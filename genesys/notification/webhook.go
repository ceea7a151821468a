package notification

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/genmesh/genmesh/genesys"
)

// WebhookOptions is what a Webhook is made of.
type WebhookOptions struct {
	// URL is where a source takes its deliveries; they are posted there in the clear if it is http.
	URL string
	// Verification is the source's, and Key what a delivery is signed with. Key is asked for each, so
	// it may change.
	Verification genesys.Verification
	Key          func() (string, error)
	UserAgent    string
}

// Webhook posts frames to a source, signed as the source wants it. It is safe for concurrent use.
type Webhook struct {
	options WebhookOptions
	client  *http.Client
}

const (
	postTimeout    = 10 * time.Second // the source answers within 9 s
	maxAnswerBytes = 64 << 10
	maxRetryAfter  = time.Minute
)

// NewWebhook makes a webhook. It is closed when no frame is under way.
func NewWebhook(o WebhookOptions) *Webhook {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConnsPerHost = laneCount
	return &Webhook{options: o, client: &http.Client{
		Transport: transport, Timeout: postTimeout,
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse // a key goes nowhere else
		},
	}}
}

// Close lets go of the connections.
func (w *Webhook) Close() { w.client.CloseIdleConnections() }

// Refusal is an answer that says: never send this again.
type Refusal struct{ Status int }

func (r *Refusal) Error() string {
	return fmt.Sprintf("the source refuses it with status %d", r.Status)
}

// mayPass reports whether the answer may be another soon: path and key follow streams.json and the
// secret's file, on both sides but not in the same second.
func (r *Refusal) mayPass() bool {
	return r.Status == http.StatusUnauthorized || r.Status == http.StatusNotFound
}

// unavailable is an answer that asks to come again.
type unavailable struct {
	status int
	after  time.Duration
}

func (u *unavailable) Error() string {
	return fmt.Sprintf("the source answers with status %d", u.status)
}

// Post posts a frame. A *Refusal is for good; with any other error the frame may be posted again. No
// error shows the frame or the key.
func (w *Webhook) Post(ctx context.Context, frame []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, w.options.URL, bytes.NewReader(frame))
	if err != nil {
		return errors.New("the URL to forward to can't be used")
	}
	request.Header.Set("Content-Type", "application/json")
	request.Header.Set("User-Agent", w.options.UserAgent)
	if err := w.sign(request, frame); err != nil {
		return err
	}
	response, err := w.client.Do(request)
	if err != nil {
		return withoutURL(err)
	}
	defer response.Body.Close()                                               // only read
	_, _ = io.Copy(io.Discard, io.LimitReader(response.Body, maxAnswerBytes)) // the status says it all
	return verdict(response)
}

func (w *Webhook) sign(r *http.Request, frame []byte) error {
	key, err := w.options.Key()
	if err != nil {
		return err
	}
	err = w.options.Verification.Sign(&genesys.Delivery{
		Method: r.Method, Host: r.URL.Host, URI: r.URL.RequestURI(), Header: r.Header, Body: frame, Received: time.Now(),
	}, key)
	if err != nil {
		return fmt.Errorf("sign: %w", err)
	}
	return nil
}

// verdict is what an answer means.
func verdict(r *http.Response) error {
	switch s := r.StatusCode; {
	case s >= 200 && s < 300:
		return nil
	case s == http.StatusRequestTimeout || s == http.StatusTooManyRequests || s >= 500:
		return &unavailable{s, retryAfter(r.Header)}
	default:
		return &Refusal{s}
	}
}

// retryAfter is in seconds or a date (RFC 9110, 10.2.3), and at most a minute; 0 if it is not given.
func retryAfter(h http.Header) time.Duration {
	value := h.Get("Retry-After")
	if seconds, err := strconv.Atoi(value); err == nil {
		return time.Duration(min(max(seconds, 0), int(maxRetryAfter.Seconds()))) * time.Second
	}
	if at, err := http.ParseTime(value); err == nil {
		return min(max(time.Until(at), 0), maxRetryAfter)
	}
	return 0
}

// withoutURL takes the address out of an error: it may be a secret.
func withoutURL(err error) error {
	if failed, ok := errors.AsType[*url.Error](err); ok {
		return failed.Err
	}
	return err
}
