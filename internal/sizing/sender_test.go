//go:build sizing

package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
)

// names makes interactions of different runs differ.
var names atomic.Int64

// eventsOfInteraction is how many events share an interaction, as in the document's table.
const eventsOfInteraction = 5

// life makes the events of one interaction after another, as the preset genesys has them.
type life struct {
	name string
	n    int
}

// next is the interaction and number of the next event. An interaction's name is as long as Genesys Cloud's are: 36 characters.
func (l *life) next() (interaction string, step int) {
	sum := sha256.Sum256(fmt.Appendf(nil, "%s-%d", l.name, l.n/eventsOfInteraction))
	interaction, step = fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]), l.n%eventsOfInteraction
	l.n++
	return interaction, step
}

// body is the next event as it is sent, of a size.
func (l *life) body(size int) []byte {
	interaction, step := l.next()
	return bodyOf(interaction, step, size)
}

func bodyOf(interaction string, step, size int) []byte {
	b := make([]byte, 0, size)
	b = fmt.Appendf(b, `{"id":"%s-%d","timestamp":%d,"eventTypeId":"interaction","data":{"id":"%s","contactId":"c-00042","type":"call","state":"connected",`+
		`"sequence":%d,"queue":{"id":"q-01","name":"Queue 1"},"participants":[`, interaction, step, 1_767_225_600+step, interaction, step)
	const end = `{}]}}`
	const participant = `{"id":"7f3cf2b5-1c7e-4cde-9f2e-3f1f7a9d1c11","purpose":"agent","state":"connected","muted":false,"held":false,"wrapup":"done"},`
	for len(b)+len(participant)+len(end) <= size {
		b = append(b, participant...)
	}
	b = append(b, end...)
	return append(b, strings.Repeat(" ", max(0, size-len(b)))...)
}

// event is the next event as ingress hands it to the committer.
func (l *life) event(source string, size int) mesh.Event {
	interaction, step := l.next()
	return mesh.Event{
		Source: source, Interaction: interaction, ID: fmt.Sprintf("%s-%d", interaction, step), Type: "interaction", Media: "call",
		Occurred: time.Unix(1_767_225_600+int64(step), 0), Received: time.Now(), Fingerprint: fmt.Sprintf("%032d", step), Body: bodyOf(interaction, step, size),
	}
}

// sent is what came of a load.
type sent struct {
	events  int
	took    time.Duration
	refused int // answers 503 and 429; the event is sent again
	latency []time.Duration
}

func (s sent) perSecond() float64 { return float64(s.events) / s.took.Seconds() }

func (s sent) percentile(p int) time.Duration {
	return s.latency[min(len(s.latency)-1, len(s.latency)*p/100)].Round(100 * time.Microsecond)
}

// send lets senders post signed events for a while, each the next one once it was answered. With several URLs they take turns.
func send(t testing.TB, urls []string, senders, size int, d time.Duration) sent {
	t.Helper()
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: senders, DisableCompression: true}}
	defer client.CloseIdleConnections()
	run := names.Add(1)
	latencies := make([][]time.Duration, senders)
	var refused atomic.Int64
	began := time.Now()
	group, posting := errgroup.WithContext(t.Context())
	for sender := range senders {
		group.Go(func() error {
			l := life{name: fmt.Sprintf("%d-%d", run, sender)}
			for time.Since(began) < d {
				body, from := l.body(size), time.Now()
				for {
					status, err := post(posting, client, urls[sender%len(urls)], body)
					if err != nil {
						return err
					}
					if status == http.StatusAccepted {
						break
					}
					if status != http.StatusServiceUnavailable && status != http.StatusTooManyRequests && status != http.StatusOK {
						return fmt.Errorf("a new event was answered %d", status)
					}
					if status == http.StatusOK && refused.Load() > 0 {
						break // stored by a try that was not answered in time
					}
					refused.Add(1)
				}
				latencies[sender] = append(latencies[sender], time.Since(from))
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	s := sent{took: time.Since(began), refused: int(refused.Load()), latency: slices.Concat(latencies...)}
	s.events = len(s.latency)
	require.Positive(t, s.events)
	slices.Sort(s.latency)
	return s
}

// post signs and sends a body as Genesys Cloud does.
func post(ctx context.Context, client *http.Client, url string, body []byte) (status int, err error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Genesys-Signature", genesys.Sign(secret, body))
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
