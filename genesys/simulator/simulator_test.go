package simulator_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/genesys/cloud"
	"github.com/genmesh/genmesh/genesys/simulator"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const secret = "correct-horse-battery-staple"

// receiver is a webhook that takes what is signed and JSON, once.
type receiver struct {
	*httptest.Server
	mu       sync.Mutex
	secret   string
	arrived  []simulator.Received
	seen     map[string]bool
	statuses []int // answers of the next requests instead
	requests int
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{secret: secret, seen: make(map[string]bool)}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.requests++
	if len(r.statuses) > 0 {
		w.WriteHeader(r.statuses[0])
		r.statuses = r.statuses[1:]
		return
	}
	if request.Header.Get("X-Genesys-Signature") != genesys.Sign(r.secret, body) {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	var event struct{ Data struct{ ID string } }
	switch {
	case json.Unmarshal(body, &event) != nil:
		fmt.Fprint(w, `{"status":"quarantined"}`)
	case r.seen[string(body)]:
		fmt.Fprint(w, `{"status":"duplicate"}`)
	default:
		r.seen[string(body)] = true
		r.arrived = append(r.arrived, simulator.Received{Interaction: event.Data.ID, Body: body})
		fmt.Fprint(w, `{"status":"accepted"}`)
	}
}

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// simulate runs a simulator to its end.
func simulate(t *testing.T, o simulator.Options) *simulator.Ledger {
	t.Helper()
	o.Logger, o.Rate = quiet(), 50_000
	o.Start, o.Interactions = time.Unix(1767225600, 0), 24
	o.RetryBase = time.Millisecond
	s, err := simulator.New(o)
	require.NoError(t, err)
	require.NoError(t, s.Run(t.Context()))
	return s.Ledger()
}

func TestEventsFollowFromTheSeed(t *testing.T) {
	bodies := func(seed uint64) string {
		r := newReceiver(t)
		simulate(t, simulator.Options{Seed: seed, Count: 200, Targets: []simulator.Target{{r.URL, secret}}})
		var all []string
		for _, a := range r.arrived {
			all = append(all, string(a.Body))
		}
		slices.Sort(all) // targets get interactions side by side
		sum := sha256.Sum256([]byte(strings.Join(all, "\n")))
		return hex.EncodeToString(sum[:8])
	}
	assert.Equal(t, bodies(7), bodies(7))
	assert.NotEqual(t, bodies(7), bodies(8))
}

func TestInteractionsAreBelievable(t *testing.T) {
	r := newReceiver(t)
	simulate(t, simulator.Options{Seed: 3, Count: 3000, Targets: []simulator.Target{{r.URL, secret}}})
	states := map[string][]string{}
	media := map[string]int{}
	for _, a := range r.arrived {
		var e struct {
			Data struct {
				ID, Type, State string
				Sequence        int
			}
		}
		require.NoError(t, json.Unmarshal(a.Body, &e))
		states[e.Data.ID] = append(states[e.Data.ID], e.Data.State)
		require.Equal(t, len(states[e.Data.ID]), e.Data.Sequence, "in order, none left out")
		media[e.Data.Type]++
	}
	assert.Len(t, media, 5)
	seen := map[string]bool{}
	for _, s := range states {
		assert.Equal(t, "started", s[0])
		for _, state := range s {
			seen[state] = true
		}
	}
	for _, state := range []string{"ivr", "queued", "alerting", "connected", "hold", "retrieved", "consult", "transferred", "abandoned", "disconnected", "wrapup", "scheduled"} {
		assert.True(t, seen[state], state)
	}
}

func TestADayOfTroubleIsAccountedFor(t *testing.T) {
	r := newReceiver(t)
	ledger := simulate(t, simulator.Options{Seed: 5, Count: 2000, Targets: []simulator.Target{{r.URL, secret}}, Faults: simulator.Faults{
		Duplicates: 10, LostAnswers: 5, Truncated: 3, Forged: 3, Unreadable: 2,
	}})
	s := ledger.Summary()
	assert.Equal(t, 2000, s.Sent(simulator.KindEvent))
	assert.InDelta(t, 200, s.Sent(simulator.KindDuplicate), 70)
	assert.Equal(t, s.Sent(simulator.KindDuplicate), s.Of(simulator.KindDuplicate, simulator.Known))
	assert.Equal(t, s.Sent(simulator.KindForged), s.Of(simulator.KindForged, simulator.Refused))
	assert.Equal(t, s.Sent(simulator.KindTruncated), s.Of(simulator.KindTruncated, simulator.Refused))
	assert.Positive(t, s.Of(simulator.KindUnreadable, simulator.Quarantined))
	assert.Positive(t, s.Retries)
	assert.Zero(t, s.Wrong())
	d := simulator.Reconcile(ledger.Entries(), slices.Values(r.arrived))
	assert.True(t, d.None(), "%+v", d)
}

func TestReorderedEventsChangePlaces(t *testing.T) {
	r := newReceiver(t)
	ledger := simulate(t, simulator.Options{Seed: 5, Count: 500, Targets: []simulator.Target{{r.URL, secret}}, Faults: simulator.Faults{Reordered: 20}})
	d := simulator.Reconcile(ledger.Entries(), slices.Values(r.arrived))
	assert.NotEmpty(t, d.OutOfOrder)
	assert.Empty(t, slices.Concat(d.Missing, d.Doubled, d.Altered, d.Unsent))
}

func TestRetriesEndForGood(t *testing.T) {
	r := newReceiver(t)
	r.statuses = []int{503, 429, 500}
	ledger := simulate(t, simulator.Options{Count: 1, Targets: []simulator.Target{{r.URL, secret}}})
	entry := ledger.Entries()[0]
	assert.Equal(t, simulator.Accepted, entry.Outcome)
	assert.Len(t, entry.Attempts, 4)

	r.statuses = []int{503, 503, 503, 503, 503, 503}
	ledger = simulate(t, simulator.Options{Count: 1, Seed: 1, Targets: []simulator.Target{{r.URL, secret}}})
	assert.Equal(t, simulator.GivenUp, ledger.Entries()[0].Outcome)
	assert.Len(t, ledger.Entries()[0].Attempts, 6, "once and five retries")
	assert.Equal(t, 1, ledger.Summary().Wrong())

	r.statuses = []int{404}
	ledger = simulate(t, simulator.Options{Count: 1, Seed: 2, Targets: []simulator.Target{{r.URL, secret}}})
	assert.Equal(t, simulator.Refused, ledger.Entries()[0].Outcome)
	assert.Len(t, ledger.Entries()[0].Attempts, 1, "a 4xx is not sent again")
}

// TestReconcileNamesWhatWentWrong plants one of each error.
func TestReconcileNamesWhatWentWrong(t *testing.T) {
	entry := func(interaction string, sequence int, body string) simulator.Entry {
		sum := sha256.Sum256([]byte(body))
		return simulator.Entry{Kind: simulator.KindEvent, Interaction: interaction, Sequence: sequence,
			BodySHA256: hex.EncodeToString(sum[:]), Outcome: simulator.Accepted}
	}
	entries := []simulator.Entry{entry("1", 1, "a"), entry("1", 2, "b"), entry("2", 1, "c"), entry("3", 1, "d"), entry("4", 1, "e"), entry("4", 2, "f")}
	lost := entry("5", 1, "g")
	lost.Outcome = simulator.GivenUp // nobody said that it was taken
	arrived := []simulator.Received{{"1", []byte("a")}, {"1", []byte("b")}, {"1", []byte("b")}, {"2", []byte("changed")},
		{"4", []byte("f")}, {"4", []byte("e")}, {"9", []byte("x")}}
	assert.Equal(t, simulator.Differences{
		Missing: []string{"3/1"}, Doubled: []string{"1/2"}, Altered: []string{"2/1"}, Unsent: []string{"9"}, OutOfOrder: []string{"4/1"},
	}, simulator.Reconcile(append(entries, lost), slices.Values(arrived)))
}

// platform is a running simulator with its API.
func platform(t *testing.T) (*simulator.Simulator, *cloud.Client) {
	s, err := simulator.New(simulator.Options{Addr: "127.0.0.1:0", Rate: 500, RetryBase: time.Millisecond, Logger: quiet()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	transport := new(http.Transport)
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
		transport.CloseIdleConnections()
	})
	c, err := cloud.New(cloud.Options{URL: "http://" + s.Addr(), ClientID: "simulator", ClientSecret: "simulator", HTTPClient: &http.Client{Transport: transport}})
	require.NoError(t, err)
	return s, c
}

func TestSubscribersGetEventsSignedWithTheirKey(t *testing.T) {
	s, c := platform(t)
	r := newReceiver(t)
	made, err := c.CreateSubscription(t.Context(), cloud.Subscription{
		Name: "crm", EventTypes: []string{"interaction"}, TargetURL: r.URL, HTTPMethod: "POST", Active: false,
		RetryPolicy: cloud.RetryPolicy{MaxRetries: 5, BackoffType: "EXPONENTIAL"},
	})
	require.NoError(t, err)
	r.mu.Lock()
	r.secret = made.Keys()[0]
	r.mu.Unlock()
	made.Active = true
	_, err = c.UpdateSubscription(t.Context(), made)
	require.NoError(t, err)
	accepted := func() int { return s.Ledger().Summary().Of(simulator.KindEvent, simulator.Accepted) }
	require.Eventually(t, func() bool { return accepted() > 20 }, 10*time.Second, time.Millisecond)
	assert.Zero(t, s.Ledger().Summary().Wrong())

	s.Rotate(time.Hour) // announced: the API tells the new key, deliveries have the old one
	told, err := c.FindSubscription(t.Context(), "crm")
	require.NoError(t, err)
	assert.NotEqual(t, made.Keys(), told.Keys())
	before := accepted()
	require.Eventually(t, func() bool { return accepted() > before+20 }, 10*time.Second, time.Millisecond)

	s.Rotate(0)
	require.Eventually(t, func() bool { return s.Ledger().Summary().Of(simulator.KindEvent, simulator.Refused) > 0 }, 10*time.Second, time.Millisecond)

	_, err = c.UpdateSubscription(t.Context(), made)
	assert.ErrorIs(t, err, cloud.ErrConflict, "another version")
	require.NoError(t, c.DeleteSubscription(t.Context(), made.ID))
	_, err = c.Subscription(t.Context(), made.ID)
	assert.ErrorIs(t, err, cloud.ErrNotFound)
}

func TestSteering(t *testing.T) {
	s, c := platform(t)
	ask := func(method, path, body string) int {
		r, err := http.NewRequest(method, "http://"+s.Addr()+path, bytes.NewReader([]byte(body)))
		require.NoError(t, err)
		r.Header.Set("Content-Type", "application/json")
		r.Close = true
		response, err := http.DefaultClient.Do(r)
		require.NoError(t, err)
		require.NoError(t, response.Body.Close())
		return response.StatusCode
	}
	assert.Equal(t, 204, ask("PUT", "/simulator/faults", `{"duplicate_percent": 5, "api_down": true}`))
	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	_, err := c.Subscription(ctx, "x")
	cancel()
	assert.Error(t, err)
	assert.Equal(t, 204, ask("PUT", "/simulator/faults", `{"api_rate_limit_percent": 100}`))
	ctx, cancel = context.WithTimeout(t.Context(), 500*time.Millisecond)
	_, err = c.Subscription(ctx, "x")
	cancel()
	assert.ErrorContains(t, err, "rate limit", "it waits as it is told to, as long as there is time")
	for _, bad := range []string{`{"duplicate_percent": 101}`, `{"dup": 1}`, `{`, `{"burst": -1}`, `{"lost_answer_percent": 99}`} {
		assert.Equal(t, 400, ask("PUT", "/simulator/faults", bad), bad)
	}
	assert.Equal(t, 204, ask("PUT", "/simulator/rate", `{"rate": 10}`))
	assert.Equal(t, 400, ask("PUT", "/simulator/rate", `{"rate": 0}`))
	assert.Equal(t, 204, ask("POST", "/simulator/rotate", `{"overlap_seconds": 1}`))
	assert.Equal(t, 204, ask("PUT", "/simulator/schema", `{"add": ["mood"], "remove": ["contactId"], "retype": ["type"]}`))
	assert.Equal(t, 200, ask("GET", "/simulator/summary", ""))
	assert.Equal(t, 200, ask("GET", "/simulator/ledger", ""))
}

func TestSchemaChange(t *testing.T) {
	s, c := platform(t)
	r := newReceiver(t)
	made, err := c.CreateSubscription(t.Context(), cloud.Subscription{
		Name: "crm", EventTypes: []string{"interaction"}, TargetURL: r.URL, Active: true,
	})
	require.NoError(t, err)
	r.mu.Lock()
	r.secret = made.Keys()[0]
	r.mu.Unlock()
	request, err := http.NewRequest(http.MethodPut, "http://"+s.Addr()+"/simulator/schema", strings.NewReader(`{"add":["mood"],"retype":["type"]}`))
	require.NoError(t, err)
	request.Header.Set("Content-Type", "application/json")
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	require.NoError(t, response.Body.Close())
	require.Eventually(t, func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return slices.ContainsFunc(r.arrived, func(a simulator.Received) bool {
			return bytes.Contains(a.Body, []byte(`"mood":"new"`)) && bytes.Contains(a.Body, []byte(`"type":{"value":`))
		})
	}, 10*time.Second, time.Millisecond)
}

func TestSimulatorsThatCannotBe(t *testing.T) {
	for name, o := range map[string]simulator.Options{
		"no rate":        {},
		"open to others": {Rate: 1, Addr: "0.0.0.0:0"},
		"any address":    {Rate: 1, Addr: ":0"},
		"wrong fault":    {Rate: 1, Faults: simulator.Faults{Duplicates: -1}},
	} {
		o.Logger = quiet()
		_, err := simulator.New(o)
		assert.Error(t, err, name)
	}
}

func TestEndInMidRetry(t *testing.T) {
	r := newReceiver(t)
	r.statuses = slices.Repeat([]int{503}, 10_000)
	s, err := simulator.New(simulator.Options{Rate: 1000, RetryBase: time.Hour, Targets: []simulator.Target{{r.URL, secret}}, Logger: quiet()})
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	require.Eventually(t, func() bool { r.mu.Lock(); defer r.mu.Unlock(); return r.requests > 5 }, 10*time.Second, time.Millisecond)
	cancel()
	require.NoError(t, <-done)
	assert.Positive(t, s.Ledger().Summary().Of(simulator.KindEvent, simulator.Unfinished))
}

func TestScriptsRepeatThemselves(t *testing.T) {
	script := func(seed uint64) *simulator.Script {
		return simulator.NewScript(simulator.ScriptOptions{Seed: seed, Start: time.Unix(1767225600, 0)})
	}
	a, b, other := script(7), script(7), script(8)
	for range 200 {
		next := a.Next()
		assert.Equal(t, next, b.Next())
		assert.NotEqual(t, next.Interaction, other.Next().Interaction)
	}
}

// TestTimesOfAnInteractionFitItsFields reads the times that a script tells: they go forward, and what
// the last events say of a call's length is what went by.
func TestTimesOfAnInteractionFitItsFields(t *testing.T) {
	type told struct {
		Timestamp int64
		Data      struct {
			State               string
			ConnectedDurationMs int64
		}
	}
	script := simulator.NewScript(simulator.ScriptOptions{Seed: 3, Start: time.Unix(1767225600, 0)})
	lives := map[string][]told{}
	last := int64(0)
	for range 5000 {
		e := script.Next()
		var event told
		require.NoError(t, json.Unmarshal(e.Body, &event))
		require.GreaterOrEqual(t, event.Timestamp, last, "events come in the order of their times")
		last = event.Timestamp
		lives[e.Interaction] = append(lives[e.Interaction], event)
	}
	ended := 0
	for _, life := range lives {
		var connected int64
		for i, e := range life {
			if e.Data.State == "disconnected" && i > 0 {
				ended++
				assert.InDelta(t, float64(connected), float64(e.Data.ConnectedDurationMs)/1000, float64(len(life)))
			}
			if e.Data.State == "connected" && i+1 < len(life) {
				connected += life[i+1].Timestamp - e.Timestamp
			}
		}
	}
	assert.Greater(t, ended, 100)
}
