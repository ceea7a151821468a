//go:build fault

package fault

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
)

// senders are a contact centre: each of them sends the events of its interactions one after another, and sends each again until it is
// answered 2xx, at another address where there are several.
type senders struct {
	t      testing.TB
	ledger *ledger.Ledger
	client *http.Client
	gone   context.Context // ends when nobody waits for an answer any more
	// secret is what they sign with.
	secret atomic.Pointer[string]
	// strange counts answers that no sender may get for a valid event.
	strange atomic.Int64
	// stop ends them once the event under way is answered; abandon at once.
	stop, abandon func()
}

const (
	eventsOfInteraction = 5
	// repeatedEvery event is sent once more after it was answered, as Genesys Cloud does where an answer got lost.
	repeatedEvery = 7
)

// send starts so many senders; pace is how long each waits between two events.
func send(t testing.TB, l *ledger.Ledger, run string, many int, pace time.Duration, ingress ...string) *senders {
	t.Helper()
	return sendSigned(t, l, run, many, pace, secret, ingress...)
}

// sendSigned is send with another secret than that of these tests.
func sendSigned(t testing.TB, l *ledger.Ledger, run string, many int, pace time.Duration, secret string, ingress ...string) *senders {
	t.Helper()
	s := &senders{t: t, ledger: l, client: &http.Client{
		Timeout:   10 * time.Second,
		Transport: &http.Transport{MaxIdleConnsPerHost: many, DisableCompression: true},
	}}
	s.secret.Store(&secret)
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for sender := range many {
		all.Go(func() { s.work(ctx, fmt.Sprintf("%s-%d", run, sender), pace, ingress) })
	}
	gone, leave := context.WithCancel(context.Background())
	s.gone = gone
	s.stop = sync.OnceFunc(func() {
		cancel()
		all.Wait()
		s.client.CloseIdleConnections()
	})
	s.abandon = func() { leave(); s.stop() }
	t.Cleanup(s.abandon)
	return s
}

// work sends until ctx ends, and the event under way until it is answered or the sender has lost its patience.
func (s *senders) work(ctx context.Context, name string, pace time.Duration, ingress []string) {
	for n := 0; ctx.Err() == nil; n++ {
		event := ledger.Name{Interaction: fmt.Sprintf("%s-%d", name, n/eventsOfInteraction), Number: n % eventsOfInteraction}
		body := s.ledger.Body(event)
		if !s.deliver(ctx, body, ingress, n) {
			return
		}
		s.ledger.Answered(event)
		if n%repeatedEvery == 0 {
			s.deliver(ctx, body, ingress, n)
		}
		pause(ctx, pace)
	}
}

// patience is for how long a sender goes on with one event after the end was asked for.
const patience = 60 * time.Second

// deliver sends one event until it is answered 2xx. It reports false when it gave up.
func (s *senders) deliver(ctx context.Context, body []byte, ingress []string, first int) bool {
	wait := 5 * time.Millisecond
	var ending time.Time
	for try := first; ; try++ {
		status, err := s.post(ingress[try%len(ingress)], body)
		switch {
		case err == nil && status/100 == 2:
			return true
		case err == nil && status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests:
			s.strange.Add(1)
			s.t.Errorf("a valid event was answered %d", status)
			return false
		}
		s.ledger.Refused()
		if ctx.Err() != nil && ending.IsZero() {
			ending = time.Now().Add(patience)
		}
		if s.gone.Err() != nil || !ending.IsZero() && time.Now().After(ending) {
			return false
		}
		pause(s.gone, wait)
		wait = min(2*wait, 250*time.Millisecond)
	}
}

func (s *senders) post(ingress string, body []byte) (status int, err error) {
	return s.postSigned(ingress, body, sign(*s.secret.Load(), body))
}

func sign(secret string, body []byte) string {
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write(body)
	return hex.EncodeToString(mac.Sum(nil))
}

func (s *senders) postSigned(ingress string, body []byte, signature string) (status int, err error) {
	req, err := http.NewRequest(http.MethodPost, "http://"+ingress+"/webhooks/genesys", bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Genesys-Signature", signature)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, 64<<10))
	return resp.StatusCode, nil
}

// more waits until so many further events were answered.
func (s *senders) more(n int, within time.Duration) {
	s.t.Helper()
	from := s.ledger.Tally().Answered
	require.Eventually(s.t, func() bool { return s.ledger.Tally().Answered >= from+n }, within, 5*time.Millisecond, "the mesh takes no more events")
}

// pause waits, or until ctx ends.
func pause(ctx context.Context, d time.Duration) {
	if d == 0 {
		return
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
