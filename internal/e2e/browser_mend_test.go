package e2e

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// watchedStreams are streams that also keep the audit and how deliveries ended.
func watchedStreams(subscribers ...string) []byte {
	return []byte(strings.Replace(string(streams(subscribers...)), `{"name": "ADVISORIES"`,
		`{"name": "AUDIT", "subjects": ["audit.>"]},
	    {"name": "DELIVERIES", "subjects": ["deliveries.>"], "discard": "old", "max_bytes": 67108864},
	    {"name": "ADVISORIES"`, 1))
}

// newTalkingSink is a sink that says why it refuses.
func newTalkingSink(t testing.TB, words string) *sink {
	t.Helper()
	s := &sink{answer: always(http.StatusOK)}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.ServeHTTP(talker{w, words}, r)
	}))
	t.Cleanup(s.Close)
	return s
}

type talker struct {
	http.ResponseWriter
	words string
}

func (t talker) WriteHeader(status int) {
	t.Header().Set("Content-Type", "text/plain")
	t.ResponseWriter.WriteHeader(status)
	if status >= http.StatusBadRequest {
		_, _ = t.Write([]byte(t.words)) // whoever has hung up needs no words
	}
}

// trickle sends some twenty events per second until stop is called, which returns their bodies.
func trickle(t *testing.T, p *process) (stop func() []string) {
	t.Helper()
	ending := make(chan struct{})
	var bodies []string
	var all sync.WaitGroup
	all.Go(func() {
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for n := 0; ; n++ {
			body := event(fmt.Sprintf("call-%d", n/5), n%5)
			a, err := post(t.Context(), p.addr.Ingress, body)
			if err == nil && assert.Equal(t, http.StatusAccepted, a.status) {
				bodies = append(bodies, body)
			}
			select {
			case <-ending:
				return
			case <-tick.C:
			}
		}
	})
	end := sync.OnceFunc(func() { close(ending); all.Wait() })
	t.Cleanup(end)
	return func() []string {
		end()
		return bodies
	}
}

func TestBrowserFindsTheFailingSubscriberAndMendsIt(t *testing.T) {
	b := startBrowser(t)
	crm, analytics, compliance := newTalkingSink(t, "no such customer"), newSink(t), newSink(t)
	crm.answerWith(always(http.StatusUnprocessableEntity))
	p := startDev(t, watchedStreams(subscriber("crm", crm), subscriber("analytics", analytics), subscriber("compliance", compliance)))
	stop := trickle(t, p)
	v := b.visitor(p)

	v.open("/")
	v.sees(card("crm"), "failing", "most attempts fail", "422", "no such customer")
	v.sees(card("analytics"), "good")
	v.sees(card("compliance"), "good")
	v.sees(".headline", "1 of 3 subscribers is failing", "crm")

	v.follow(".concerns", "crm", "/subscribers/crm")
	v.sees("#live-subscriber-state", "most attempts fail")
	v.sees("#live-subscriber-errors", "no such customer", "422")
	v.follow("main", "Its dead letters", "/dead-letters?subscriber=crm")
	v.sees(".groups", "crm · 422")
	v.follow(".groups", "The newest", "/dead-letters/")
	v.sees("main", "the target said 422", "no such customer", `"type": "call"`)

	crm.answerWith(always(http.StatusOK))
	bodies := stop()
	v.follow(".nav", "Dead letters", "/dead-letters")
	v.follow(".groups", "Replay…", "/dead-letters/confirm")
	chosen := len(p.dead())
	v.sees("main h2", fmt.Sprintf("%d", chosen))
	v.confirm("Replay", "the customers were imported")
	v.stays()
	v.sees(".lead .health", "done")
	v.sees(".result", fmt.Sprintf("%d of %d done", chosen, chosen))
	assert.True(t, v.stayed(), "the task came to its end before somebody's eyes")

	v.follow(".nav", "Dead letters", "/dead-letters")
	v.sees("main", "There are no dead letters")
	crm.await(t, len(bodies))
	for _, body := range bodies {
		assert.Equal(t, 1, crm.bodies()[body], body)
	}
	v.follow(".nav", "Audit", "/audit")
	v.sees("tbody tr", "dead-replay", "loopback", "subscriber crm, reason rejected", fmt.Sprintf("%d of %d done", chosen, chosen), "the customers were imported")
	require.Empty(t, p.dead())
}
