package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/internal/processes"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// station is a mesh on a real server, with the API before it. Everything that it answers is held against the document.
type station struct {
	t         *testing.T
	nats      *meshtest.Server
	js        jetstream.JetStream
	topology  *mesh.Topology
	letters   *mesh.DeadLetters
	committer *mesh.Committer
	direct    *admin.Direct
	tasks     *admin.Tasks
	log       *logLines
	witness   *witness
	url       string

	mu       sync.Mutex
	snapshot live.Snapshot
}

// newStation edits the tests' own streams.json, by texts to replace in pairs, and applies it. The one that ships is there for its users to
// edit.
func newStation(t *testing.T, edits ...string) *station {
	t.Helper()
	s := &station{t: t, nats: meshtest.Start(t), log: new(logLines)}
	s.js = s.nats.JetStream()
	s.topology = topologyOf(t, edits...)
	meshtest.Apply(t, s.js, s.topology)
	var err error
	s.letters, err = mesh.NewDeadLetters(s.js, s.topology)
	require.NoError(t, err)
	s.committer, err = mesh.NewCommitter(s.js, s.topology, meshtest.Quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	s.tasks = admin.NewTasks(s.log.logger())
	s.run(s.committer.Run)
	s.run(s.tasks.Run)
	s.direct = admin.NewDirect(admin.DirectOptions{
		JetStream: s.js, Topology: func() *mesh.Topology { return s.topology }, Logger: meshtest.Quiet(), Processes: s.member(),
		File: func() admin.Configuration {
			return admin.Configuration{File: "streams.json", Text: "{}", Loaded: moment2026(0)}
		},
	})
	sensitive := func(source string) bool { return source == "genesys" }
	s.serve(Options{
		Operator: s.direct, Viewer: admin.ForViewer(s.direct, sensitive), Tasks: s.tasks, Live: s.live, Version: "v1.2.3", Logger: s.log.logger(),
	})
	return s
}

func topologyOf(t *testing.T, edits ...string) *mesh.Topology {
	t.Helper()
	data, err := os.ReadFile("testdata/streams.json")
	require.NoError(t, err)
	text := string(data)
	for i := 0; i < len(edits); i += 2 {
		require.Contains(t, text, edits[i])
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	topology, err := mesh.ParseTopology([]byte(text), mesh.ParseOptions{
		Presets: genesys.SourceDefaults(), TargetSchemes: []string{"log", "file"},
		LookupEnv: func(string) (string, bool) { return "", false },
	})
	require.NoError(t, err)
	return topology
}

// run runs something until the test ends.
func (s *station) run(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	s.t.Cleanup(func() {
		cancel()
		assert.NoError(s.t, <-done)
	})
}

// member answers as a process of the mesh, and is returned as who asks it.
func (s *station) member() admin.ProcessAsker {
	nc := s.nats.Connect()
	m := processes.NewMember(processes.Options{
		Conn: nc, ID: "p1", Version: "test", Parts: []string{"ingress"}, Gatherer: prometheus.NewRegistry(), Logger: meshtest.Quiet(),
		Errors: func() map[string][]live.Error { return nil }, Ready: func() error { return nil },
	})
	s.run(m.Run)
	asker := processes.NewAsker(nc)
	require.Eventually(s.t, func() bool {
		all, err := asker.Ask(s.t.Context())
		return err == nil && len(all) == 1
	}, 10*time.Second, 10*time.Millisecond)
	return asker
}

func (s *station) live() live.Snapshot {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.snapshot
}

func (s *station) sample(snapshot live.Snapshot) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.snapshot = snapshot
}

// serve serves the API to whoever names a role as the token: alice has it.
func (s *station) serve(o Options) {
	handler := newWitness(s.t, o, New(o))
	s.witness = handler
	mux := http.NewServeMux() // as a console has one
	server := httptest.NewServer(mux)
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		if role, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok {
			r = r.WithContext(access.With(r.Context(), access.Identity{Name: "alice", Role: access.Role(role), Via: "token"}))
		}
		handler.ServeHTTP(w, r)
	})
	s.t.Cleanup(http.DefaultClient.CloseIdleConnections)
	s.t.Cleanup(server.Close)
	s.url = server.URL
}

// client is a Client with a role.
func (s *station) client(role access.Role) *Client {
	s.t.Helper()
	c, err := NewClient(ClientOptions{URL: s.url, Token: string(role), UserAgent: "test"})
	require.NoError(s.t, err)
	s.t.Cleanup(c.http.CloseIdleConnections)
	return c
}

// answer is what a request was answered with.
type answer struct {
	status int
	header http.Header
	body   string
}

// ask makes a request as somebody with a role; "" is nobody.
func (s *station) ask(role access.Role, method, path, body string) answer {
	s.t.Helper()
	contentType := ""
	if body != "" {
		contentType = "application/json"
	}
	return s.askWith(role, method, path, contentType, body)
}

func (s *station) askWith(role access.Role, method, path, contentType, body string) answer {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), method, s.url+root+path, strings.NewReader(body))
	require.NoError(s.t, err)
	if role != "" {
		r.Header.Set("Authorization", "Bearer "+string(role))
	}
	if contentType != "" {
		r.Header.Set("Content-Type", contentType)
	}
	response, err := http.DefaultClient.Do(r)
	require.NoError(s.t, err)
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	require.NoError(s.t, err)
	return answer{response.StatusCode, response.Header, string(data)}
}

// moment2026 is a moment of the past.
func moment2026(n int) time.Time { return time.Date(2026, 1, 2, 3, 4, 5, n, time.UTC) }

// put stores an event.
func (s *station) put(interaction, state string) mesh.Receipt {
	s.t.Helper()
	receipt, err := s.committer.Commit(s.t.Context(), mesh.Event{
		Source: "genesys", Interaction: interaction, ID: "e-" + state, Type: "interaction", Media: "call", Fingerprint: state,
		Occurred: moment2026(1), Received: moment2026(2), Organization: "o-1",
		Body: []byte(interactionBody(interaction, state)),
	})
	require.NoError(s.t, err)
	return receipt
}

func interactionBody(interaction, state string) string {
	return fmt.Sprintf(`{"timestamp": 1767225600, "big": 12345678901234567890, "eventTypeId": "interaction",`+
		` "data": {"id": %q, "type": "call", "state": %q}}`, interaction, state)
}

// bury makes a dead letter of an event that was put.
func (s *station) bury(interaction string, sequence uint64, subscriber string) {
	s.t.Helper()
	require.NoError(s.t, s.letters.Bury(s.t.Context(), mesh.DeadLetter{
		Event: mesh.Event{
			Source: "genesys", Interaction: interaction, Type: "interaction", Media: "call", Fingerprint: fmt.Sprint(sequence),
			Subject: "genesys.07.interaction.call." + mesh.Token(interaction), Body: []byte(interactionBody(interaction, "connected")),
			Stream: "INTERACTIONS", Sequence: sequence, Stored: moment2026(int(sequence)),
		},
		Subscriber: subscriber, Reason: mesh.DeadRejected, Attempts: 2, Status: 422, Error: "the target answered 422: <b>no</b>",
		Answer: "no such contact", FirstAttempt: moment2026(3), LastAttempt: moment2026(4),
	}))
}

// quarantine puts a delivery into quarantine.
func (s *station) quarantine(interaction, body string) {
	s.t.Helper()
	_, err := s.committer.Quarantine(s.t.Context(), mesh.Event{
		Source: "genesys", Interaction: interaction, Received: moment2026(5), Body: []byte(body), Detail: "what was wrong",
	}, "schema")
	require.NoError(s.t, err)
}

// logLines is a log that is kept.
type logLines struct {
	mu  sync.Mutex
	out bytes.Buffer
}

func (l *logLines) Write(data []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.Write(data)
}

func (l *logLines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.out.String()
}

func (l *logLines) logger() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(l)
	return log
}
