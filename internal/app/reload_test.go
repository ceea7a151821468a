package app

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// phones is a streams.json with a source whose sender names its deliveries in a header, and two subscribers.
func phones(header, when, target string) string {
	return fmt.Sprintf(`{
		"sources": [{
			"name": "desk", "path": "/webhooks/desk", "secret": "${DESK_KEY}", "stream": "DESK",
			"verification": {"method": "header", "header": "X-Key"}, "identity": {"interaction": "call", "delivery_id_header": %q}
		}],
		"streams": [
			{"name": "DESK", "subjects": ["desk.>"], "max_age": "1h", "duplicate_window": "10m", "allow_direct": true},
			{"name": "DEAD_LETTERS", "subjects": ["dead.>"]}, {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
			{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
		"subscribers": [
			{"name": "crm", "stream": "DESK", "when": %q, "target": {"url": %q}},
			{"name": "audit", "stream": "DESK", "target": {"url": "log:"}}
		]
	}`, header, when, target)
}

// desk is a process with a source and subscribers, and a target that notes the requests that it gets.
type desk struct {
	*process
	t       *testing.T
	file    string
	target  string
	reload  chan struct{}
	arrived chan http.Header
	calls   int
}

func newDesk(t *testing.T, header string) *desk {
	d := &desk{t: t, file: filepath.Join(t.TempDir(), "streams.json"), reload: make(chan struct{}), arrived: make(chan http.Header, 1000)}
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { d.arrived <- r.Header }))
	t.Cleanup(server.Close)
	d.target = server.URL
	d.write(phones(header, "", d.target))
	d.process = startProcess(t, Config{
		Streams: StreamsFile{Path: d.file}, Embedded: &Embedded{DataDir: t.TempDir()}, Apply: true, Reload: d.reload,
		Ingress: &Ingress{Addr: "127.0.0.1:0", Grace: time.Second}, Workers: &Workers{Grace: time.Second},
	})
	return d
}

func (d *desk) write(streams string) {
	require.NoError(d.t, os.WriteFile(d.file, []byte(streams), 0o600))
}

// call sends an event whose delivery is named in both headers, and returns what the target gets.
func (d *desk) call() http.Header {
	d.post()
	select {
	case header := <-d.arrived:
		return header
	case <-time.After(testPatience):
		require.FailNow(d.t, "the target gets nothing", d.log.String())
		return nil
	}
}

func (d *desk) post() {
	d.calls++
	request, err := http.NewRequestWithContext(d.t.Context(), http.MethodPost, "http://"+d.addresses.Ingress+"/webhooks/desk",
		strings.NewReader(fmt.Sprintf(`{"call": "c-%d"}`, d.calls)))
	require.NoError(d.t, err)
	request.Header = http.Header{"X-Key": {deskKey}, "X-Old-Id": {"old"}, "X-New-Id": {"new"}}
	answer, err := http.DefaultClient.Do(request)
	require.NoError(d.t, err)
	require.NoError(d.t, answer.Body.Close())
	require.Equal(d.t, http.StatusAccepted, answer.StatusCode)
}

func TestATargetFollowsTheHeaderOfItsSource(t *testing.T) {
	d := newDesk(t, "X-Old-Id")
	defer http.DefaultClient.CloseIdleConnections()
	got := d.call()
	assert.Equal(t, "old", got.Get("X-Old-Id"))
	assert.Empty(t, got.Get("X-New-Id"))

	d.write(phones("X-New-Id", "", d.target))
	d.reload <- struct{}{}
	require.Eventually(t, func() bool {
		got = d.call()
		return got.Get("X-New-Id") == "new" && got.Get("X-Old-Id") == ""
	}, testPatience, time.Millisecond, "the target is made anew")
	assert.Contains(t, d.log.String(), `msg="subscriber is no longer served here" subscriber=crm`)
	assert.NotContains(t, d.log.String(), `msg="subscriber is no longer served here" subscriber=audit`, "its target takes no headers")
}

// TestAHandlerInCodeNeedsNoTarget: only who has one may leave the target out.
func TestAHandlerInCodeNeedsNoTarget(t *testing.T) {
	streams := strings.Replace(phones("X-Old-Id", "", "log:"), `, "target": {"url": "log:"}`, "", 1)
	file := filepath.Join(t.TempDir(), "mesh.json")
	require.NoError(t, os.WriteFile(file, []byte(streams), 0o600))
	handled := make(chan string, 1)
	p := startProcess(t, Config{
		Streams: StreamsFile{Path: file}, Embedded: &Embedded{DataDir: t.TempDir()}, Apply: true,
		Ingress: &Ingress{Addr: "127.0.0.1:0", Grace: time.Second},
		Workers: &Workers{Grace: time.Second, Handlers: map[string]workers.Handler{
			"crm": workers.HandlerFunc(func(_ context.Context, e mesh.Event) error { handled <- e.Interaction; return nil }),
		}},
	})
	d := &desk{process: p, t: t}
	defer http.DefaultClient.CloseIdleConnections()
	d.post()
	select {
	case interaction := <-handled:
		assert.Equal(t, "c-1", interaction)
	case <-time.After(testPatience):
		require.FailNow(t, "the handler gets nothing", p.log.String())
	}

	_, err := Parser{Name: file, LookupEnv: environment, InCode: func(name string) bool { return name == "audit" }}.Parse([]byte(streams))
	require.ErrorContains(t, err, file+":11:4: subscribers[0].target: missing")
}

func TestAReloadRefusesWhatValidateRefuses(t *testing.T) {
	d := newDesk(t, "X-Old-Id")
	defer http.DefaultClient.CloseIdleConnections()
	for wrong, says := range map[string]string{
		phones("X-New-Id", "event.kind == 'x'", d.target):                                     `subscribers[0].when: column 7: an event has no \"kind\"`,
		phones("X-New-Id", "", "nats:dead.crm"):                                               `subscribers[0].target.url: events can't be published to \"dead.crm\"`,
		strings.Replace(phones("X-New-Id", "", "log:"), `, "target": {"url": "log:"}`, "", 1): `subscribers[0].target: missing; add such as \"target\"`,
		phones("Accept", "", "ftp://crm"):                                                     `subscribers[0].target.url: no kind of target serves the scheme`,
	} {
		_, err := ParseStreams([]byte(wrong), environment)
		require.ErrorContains(t, err, strings.ReplaceAll(says, `\"`, `"`))
		d.write(wrong)
		d.reload <- struct{}{}
		require.Eventually(t, func() bool { return strings.Contains(d.log.String(), says) }, testPatience, time.Millisecond, says)
		assert.Contains(t, d.log.String(), "the new streams.json is refused; the old one stays in force")
		assert.Equal(t, "old", d.call().Get("X-Old-Id"))
	}
}

// What a deleted streams.json said stays in force until the process ends; whoever looks after it should know before.
func TestAStreamsFileThatIsGoneIsTold(t *testing.T) {
	d := newDesk(t, "X-Old-Id")
	defer http.DefaultClient.CloseIdleConnections()
	text, err := os.ReadFile(d.file)
	require.NoError(t, err)

	require.NoError(t, os.Remove(d.file))
	successful := func(is float64) func() bool {
		return func() bool { return d.metric(t, "genmesh_config_last_reload_successful") == is }
	}
	require.Eventually(t, successful(0), testPatience, 10*time.Millisecond)
	assert.Contains(t, d.log.String(), "the new streams.json is refused; the old one stays in force")
	assert.Contains(t, d.log.String(), "no such file or directory")
	assert.Equal(t, "old", d.call().Get("X-Old-Id"))

	d.write(string(text))
	require.Eventually(t, successful(1), testPatience, 10*time.Millisecond)
}

// A process ends with an event whose target is away, and somebody changes the layout of that subscriber before the next start. Those who
// send events don't wait for that target; the change is made once it answers.
func TestAStartDoesNotWaitForTheEventsOfALayoutThatChanges(t *testing.T) {
	defer http.DefaultClient.CloseIdleConnections()
	d := &desk{t: t, file: filepath.Join(t.TempDir(), "streams.json"), arrived: make(chan http.Header, 10)}
	var answers atomic.Bool
	refused := make(chan struct{}, 1000)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if answers.Load() {
			d.arrived <- r.Header
			return
		}
		w.WriteHeader(http.StatusServiceUnavailable)
		refused <- struct{}{}
	}))
	t.Cleanup(server.Close)
	const backoff = `"backoff": {"base": "50ms", "max": "50ms"}, "when"`
	streams := strings.ReplaceAll(phones("X-Old-Id", "", server.URL), `"when"`, backoff)
	d.write(streams)
	config := Config{
		Streams: StreamsFile{Path: d.file}, Embedded: &Embedded{DataDir: t.TempDir()}, Apply: true,
		Ingress: &Ingress{Addr: "127.0.0.1:0", Grace: time.Second}, Workers: &Workers{Grace: 100 * time.Millisecond},
	}
	d.process = startProcess(t, config)
	d.post()
	<-refused
	d.stop()

	d.write(strings.ReplaceAll(streams, backoff, `"partitions": 2, `+backoff))
	began := time.Now()
	d.process = startProcess(t, config)
	assert.Less(t, time.Since(began), 10*time.Second)
	assert.Contains(t, d.log.String(), "not everything of streams.json is applied yet")
	d.post()
	answers.Store(true)
	for range d.calls {
		select {
		case <-d.arrived:
		case <-time.After(testPatience):
			require.FailNow(t, "an event does not arrive", d.log.String())
		}
	}
	require.Eventually(t, func() bool { return strings.Contains(d.log.String(), "streams and consumers are as streams.json says") },
		testPatience, 10*time.Millisecond, "the change is made")
	d.call()
}
