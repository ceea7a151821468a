package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

const secret = "a secret of the tests"

// streams is a streams.json with the given subscribers, as JSON objects.
func streams(subscribers ...string) []byte {
	return fmt.Appendf(nil, `{
	  "sources": [{"name": "genesys", "path": "/webhooks/genesys", "preset": "genesys", "secret": "${SECRET}", "stream": "INTERACTIONS"}],
	  "streams": [
	    {"name": "INTERACTIONS", "subjects": ["genesys.>"], "retention": "limits", "discard": "new", "max_age": "1h",
	     "duplicate_window": "30m", "allow_atomic": true, "allow_direct": true},
	    {"name": "DEAD_LETTERS", "subjects": ["dead.>"], "duplicate_window": "30m", "allow_direct": true},
	    {"name": "QUARANTINE", "subjects": ["quarantine.>"], "allow_atomic": true},
	    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
	  "subscribers": [%s]}`, bytes.Join(asBytes(subscribers), []byte(",")))
}

func asBytes(texts []string) [][]byte {
	all := make([][]byte, len(texts))
	for i, s := range texts {
		all[i] = []byte(s)
	}
	return all
}

// subscriber is one with short waits, so that tests see its retries.
func subscriber(name string, s *sink) string {
	return fmt.Sprintf(`{"name": %q, "stream": "INTERACTIONS", "ack_wait": "2s", "max_attempts": 4, "max_deliver": 9,
	  "backoff": {"base": "50ms", "max": "200ms"}, "target": {"url": %q, "timeout": "5s", "allow_networks": ["127.0.0.0/8"]}}`, name, s.URL)
}

// process is a whole genmesh in this process.
type process struct {
	t       testing.TB
	file    string
	addr    app.Addresses
	stop    func()
	reload  chan struct{}
	log     *logRecorder
	js      jetstream.JetStream
	letters *mesh.DeadLetters
}

// startDev runs what "genmesh dev" runs, with the given configuration, until the test ends.
func startDev(t testing.TB, config []byte) *process {
	t.Helper()
	return startDevWith(t, config, nil)
}

// startDevWith has a built-in configuration for the case that there is no file, and changes of how the process is started.
func startDevWith(t testing.TB, config, builtIn []byte, changes ...func(*app.Config)) *process {
	t.Helper()
	dir := t.TempDir()
	p := &process{t: t, file: filepath.Join(dir, "streams.json"), reload: make(chan struct{}), log: newLog()}
	p.edit(config)
	ctx, cancel := context.WithCancel(t.Context())
	started, ended := make(chan app.Addresses, 1), make(chan error, 1)
	c := app.Config{
		Streams:  app.StreamsFile{Path: p.file, Fallback: builtIn},
		Embedded: &app.Embedded{DataDir: filepath.Join(dir, "nats"), Listen: "127.0.0.1:0"},
		Ingress:  &app.Ingress{Addr: "127.0.0.1:0"}, Workers: &app.Workers{},
		Console: &app.Console{Addr: "127.0.0.1:0"}, Apply: true, LookupEnv: lookup, Reload: p.reload,
		Logger: p.log.Logger, Version: "test", Started: func(a app.Addresses) { started <- a },
	}
	for _, change := range changes {
		change(&c)
	}
	go func() { ended <- app.Run(ctx, c) }()
	select {
	case p.addr = <-started:
	case err := <-ended:
		require.NoError(t, err)
	}
	p.stop = func() {
		cancel()
		require.NoError(t, <-ended)
		p.stop = func() {}
	}
	t.Cleanup(func() { p.stop() })
	p.connect(p.addr.NATS, config)
	return p
}

func lookup(name string) (string, bool) {
	switch name {
	case "SECRET":
		return secret, true
	case "SIMULATOR":
		return "simulator", true
	}
	if strings.HasPrefix(name, "OTEL_") {
		return os.LookupEnv(name)
	}
	return "", false
}

func (p *process) connect(url string, config []byte) {
	p.t.Helper()
	nc, err := mesh.Connect(p.t.Name(), url, meshtest.Quiet())
	require.NoError(p.t, err)
	p.t.Cleanup(nc.Close)
	p.js, err = mesh.JetStream(nc)
	require.NoError(p.t, err)
	topology, err := app.ParseStreams(config, lookup)
	require.NoError(p.t, err)
	p.letters, err = mesh.NewDeadLetters(p.js, topology)
	require.NoError(p.t, err)
}

// edit writes streams.json as an editor does: a new file renamed over the old one.
func (p *process) edit(config []byte) {
	p.t.Helper()
	next := p.file + "~"
	require.NoError(p.t, os.WriteFile(next, config, 0o600))
	require.NoError(p.t, os.Rename(next, p.file))
}

// answer is what ingress said.
type answer struct {
	status      int
	Status      string `json:"status"`
	Interaction string `json:"interaction_id"`
	Stream      string `json:"stream"`
	Sequence    uint64 `json:"sequence"`
	MsgID       string `json:"msg_id"`
	Error       string `json:"error"`
	Reason      string `json:"reason"`
}

func (p *process) send(body string) answer {
	p.t.Helper()
	a, err := post(p.t.Context(), p.addr.Ingress, body)
	require.NoError(p.t, err)
	return a
}

// post signs and sends a body as Genesys does.
func post(ctx context.Context, addr, body string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+addr+"/webhooks/genesys", bytes.NewReader([]byte(body)))
	if err != nil {
		return answer{}, err
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("X-Genesys-Signature", genesys.Sign(secret, []byte(body)))
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		return answer{}, err
	}
	a := answer{status: resp.StatusCode}
	return a, json.Unmarshal(raw, &a)
}

// event is the body of the n-th event of an interaction.
func event(interaction string, n int) string {
	return fmt.Sprintf(`{"id":"e-%s-%d","timestamp":%d,"eventTypeId":"interaction","data":{"id":%q,"type":"call","n":%d}}`,
		interaction, n, 1678886400+n, interaction, n)
}

func (p *process) stored(stream string) uint64 {
	p.t.Helper()
	s, err := p.js.Stream(p.t.Context(), stream)
	require.NoError(p.t, err)
	return s.CachedInfo().State.Msgs
}

func (p *process) dead() []mesh.DeadLetter {
	p.t.Helper()
	return deadLetters(p.t, p.letters)
}

func deadLetters(t testing.TB, letters *mesh.DeadLetters) []mesh.DeadLetter {
	t.Helper()
	var all []mesh.DeadLetter
	for letter, err := range letters.Find(t.Context(), mesh.DeadFilter{}) {
		require.NoError(t, err)
		all = append(all, letter)
	}
	return all
}
