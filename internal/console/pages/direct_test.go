package pages

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

// town is a mesh on a real server, whose subscriber crm is served by a worker that refuses everything until it is mended.
type town struct {
	*dashboard
	t         testing.TB
	js        jetstream.JetStream
	topology  *mesh.Topology
	committer *mesh.Committer
	mended    atomic.Bool
	taken     atomic.Int64
}

// townStreams is a streams.json of the tests' own: the one that ships is there for its users to edit.
const townStreams = `{
  "sources": [
    {"name": "genesys", "path": "/webhooks/genesys", "preset": "genesys", "secret": "${GENESYS_WEBHOOK_SECRET}", "stream": "INTERACTIONS"}
  ],
  "streams": [
    {"name": "INTERACTIONS", "subjects": ["genesys.>"], "discard": "new", "max_bytes": 1073741824, "allow_atomic": true, "allow_direct": true},
    {"name": "DEAD_LETTERS", "subjects": ["dead.>"], "discard": "new", "max_bytes": 1073741824, "allow_direct": true},
    {"name": "QUARANTINE", "subjects": ["quarantine.>"], "discard": "new", "max_bytes": 1073741824, "allow_direct": true},
    {"name": "DELIVERIES", "subjects": ["deliveries.>"], "discard": "old", "max_bytes": 1073741824, "allow_direct": true},
    {"name": "AUDIT", "subjects": ["audit.>"], "discard": "new", "max_bytes": 268435456, "allow_direct": true},
    {
      "name": "ADVISORIES", "discard": "old", "max_bytes": 268435456,
      "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>", "$JS.EVENT.ADVISORY.CONSUMER.MSG_TERMINATED.>"]
    }
  ],
  "subscribers": [
    {"name": "crm", "stream": "INTERACTIONS", "target": {"url": "log:"}},
    {"name": "analytics", "stream": "INTERACTIONS", "target": {"url": "log:"}}
  ]
}`

func newTown(t *testing.T) *town {
	t.Helper()
	w := &town{t: t, js: meshtest.Start(t).JetStream(), dashboard: &dashboard{}}
	var err error
	w.topology, err = mesh.ParseTopology([]byte(townStreams), mesh.ParseOptions{
		Presets: genesys.SourceDefaults(), TargetSchemes: []string{"log", "file"},
		LookupEnv: func(string) (string, bool) { return "", false },
	})
	require.NoError(t, err)
	_, err = w.topology.Apply(t.Context(), w.js, false, mesh.Draining{})
	require.NoError(t, err)
	w.committer, err = mesh.NewCommitter(w.js, w.topology, meshtest.Quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	w.run(w.committer.Run)
	w.run(w.crm().Run)
	tasks := admin.NewTasks(meshtest.Quiet())
	w.run(tasks.Run)
	direct := admin.NewDirect(admin.DirectOptions{
		JetStream: w.js, Topology: func() *mesh.Topology { return w.topology }, Logger: meshtest.Quiet(),
		File: func() admin.Configuration { return admin.Configuration{File: "streams.json", Text: townStreams} },
	})
	w.Handler, err = New(Options{
		Operator: direct, Viewer: admin.ForViewer(direct, func(string) bool { return false }), Tasks: tasks,
		Topology: func() *mesh.Topology { return w.topology }, Logger: meshtest.Quiet(),
	})
	require.NoError(t, err)
	return w
}

// crm is the worker of crm.
func (w *town) crm() *workers.Runner {
	letters, err := mesh.NewDeadLetters(w.js, w.topology)
	require.NoError(w.t, err)
	return workers.NewRunner(workers.Options{
		JetStream: w.js, Subscriber: w.topology.Subscribers[0], DeadLetters: letters, ReplayStream: letters.Stream(),
		Logger: meshtest.Quiet(), Metrics: workers.NewMetrics(nil),
		Handler: workers.HandlerFunc(func(context.Context, mesh.Event) error {
			if !w.mended.Load() {
				return workers.Permanent(errors.New("no customer of that number <b>"))
			}
			w.taken.Add(1)
			return nil
		}),
	})
}

// run runs a part of it until the test ends.
func (w *town) run(part func(context.Context) error) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- part(ctx) }()
	w.t.(*testing.T).Cleanup(func() {
		cancel()
		assert.NoError(w.t, <-ended)
	})
}

func (w *town) put(interaction string) {
	w.t.Helper()
	_, err := w.committer.Commit(w.t.Context(), mesh.Event{
		Source: "genesys", Interaction: interaction, Type: "connected", Media: "call", Fingerprint: interaction,
		Received: time.Now(), Body: []byte(`{"id":"` + interaction + `"}`),
	})
	require.NoError(w.t, err)
}

// until looks at a page until it says something.
func (w *town) until(address, says string) string {
	w.t.Helper()
	page := ""
	require.Eventually(w.t, func() bool {
		answer := w.get(manager, address)
		page = answer.Body.String()
		return answer.Code == http.StatusOK && strings.Contains(page, says)
	}, 20*time.Second, 50*time.Millisecond, "%s never says %q", address, says)
	checkHTML(w.t, address, []byte(page))
	return page
}

func TestAFailingSubscriberIsFoundLookedIntoAndMended(t *testing.T) {
	w := newTown(t)
	for i := range 3 {
		w.put(fmt.Sprintf("call-%d", i))
		w.until(fmt.Sprintf("/dead-letters/%d", i+1), fmt.Sprintf("call-%d", i)) // they are buried in that order
	}
	w.until("/", "3</span><span class=\"tile-detail\">3 dead letters")
	w.until("/dead-letters", "crm</bdi> · <bdi>rejected</bdi> · 3 events")
	w.until("/dead-letters/list?subscriber=crm", "no customer of that number &lt;b&gt;")
	w.until("/dead-letters/1", `<span class="k">&#34;id&#34;</span>: <span class="s">&#34;call-0&#34;</span>`)
	w.until("/interactions?id=call-1", "dead letter 2")
	w.until("/events?type=connected", "/events/INTERACTIONS/3")

	w.mended.Store(true)
	question := w.get(operator, "/dead-letters/confirm?action=replay&subscriber=crm")
	answer := w.post(operator, "/dead-letters/act", form(t, question, "/dead-letters/act", "reason", "crm knows them now")...)
	require.Equal(t, http.StatusSeeOther, answer.Code)
	w.until(answer.Header().Get("Location"), "3 of 3 done.")
	w.until("/dead-letters", "There are no dead letters")
	require.Eventually(t, func() bool { return w.taken.Load() == 3 }, 20*time.Second, 20*time.Millisecond)
	w.until("/audit?action=dead-replay", "crm knows them now")
}

func TestEveryPageIsSoundOverARealMesh(t *testing.T) {
	w := newTown(t)
	w.put("call-1")
	w.until("/dead-letters", "1 event")
	quarantined := mesh.Event{Source: "genesys", Interaction: "call-2", Type: "<i>", Fingerprint: "x", Received: time.Now(), Detail: "no \u202eid", Body: []byte("{")}
	_, err := w.committer.Quarantine(t.Context(), quarantined, "invalid_json")
	require.NoError(t, err)
	w.until("/quarantine", "genesys</bdi> · <bdi>invalid_json</bdi> · 1 event")

	answer := w.post(operator, "/subscribers/crm/pause", "for", "15m", "reason", "CRM release")
	require.Equal(t, http.StatusSeeOther, answer.Code, answer.Body)
	w.until(answer.Header().Get("Location"), "crm is paused for 15 min.")
	w.until("/subscribers?health=paused", "CRM release")
	plan := w.get(operator, "/subscribers/crm/replay?plan=on&all=on")
	assertSays(t, plan, "Replay 1 event to crm")
	answer = w.post(operator, "/subscribers/crm/replay", form(t, plan, "", "reason", "again")...)
	require.Equal(t, http.StatusSeeOther, answer.Code)
	w.until("/subscribers/crm", "Cancel the replay")
	w.until("/configuration", "Nothing to do")

	for _, address := range addresses() {
		if strings.HasPrefix(address, "/tasks/") || strings.Contains(address, "cursor=") || strings.Contains(address, "/chatlog") || strings.Contains(address, "cause=") {
			continue // of the scene alone
		}
		answer := w.get(manager, address)
		switch address {
		case "/events/INTERACTIONS/5", "/dead-letters/12", "/quarantine/3", "/dead-letters/confirm?action=replay&number=1&number=2", "/quarantine/confirm?action=discard&number=3":
			assert.Equal(t, http.StatusNotFound, answer.Code, address)
		default:
			assert.Equal(t, http.StatusOK, answer.Code, "%s: %s", address, answer.Body)
		}
		checkHTML(t, address, answer.Body.Bytes())
		checkVisible(t, address, answer.Body.String())
	}
}
