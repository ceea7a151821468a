package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/genmesh/genmesh/genesys"
)

// requestTimeout is far above anything that a sound run sees.
const requestTimeout = 30 * time.Second

// sender posts signed events over kept-alive connections, one sender of events on each.
type sender struct {
	client   *http.Client
	url      string
	feeds    []feed
	accepted atomic.Uint64 // answered 202: stored, and not known before
}

func newSender(name, url string, connections int, lifecycle bool) *sender {
	s := &sender{client: newClient(connections), url: url, feeds: make([]feed, connections)}
	for i := range s.feeds {
		s.feeds[i] = feed{sender: name + "-" + strconv.Itoa(i), lifecycle: lifecycle}
	}
	return s
}

func newClient(connections int) *http.Client {
	return &http.Client{
		Timeout: requestTimeout,
		Transport: &http.Transport{
			MaxConnsPerHost:     connections,
			MaxIdleConnsPerHost: connections,
			DisableCompression:  true,
		},
	}
}

// send posts a sender's next event. An event that was sent before must be answered 200, any
// other 202: so a store that loses or mistakes one fails the benchmark.
func (s *sender) send(ctx context.Context, worker int) (int, error) {
	d := s.feeds[worker].next()
	status, err := post(ctx, s.client, s.url, d.body)
	if err != nil {
		return 0, err
	}
	want := http.StatusAccepted
	if d.again {
		want = http.StatusOK
	}
	if status != want {
		return 0, fmt.Errorf("%s answered %d and not %d", s.url, status, want)
	}
	if !d.again {
		s.accepted.Add(1)
	}
	return 1, nil
}

func (s *sender) close() error {
	s.client.CloseIdleConnections()
	return nil
}

// post signs and sends a body as Genesys does.
func post(ctx context.Context, client *http.Client, url string, body []byte) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header["Content-Type"] = []string{"application/json"}
	r.Header["X-Genesys-Signature"] = []string{genesys.Sign(secret, body)}
	resp, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return 0, err
	}
	return resp.StatusCode, nil
}
