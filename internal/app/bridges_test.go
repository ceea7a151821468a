package app

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/simulator"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

const (
	deskKey      = "correct-horse-battery-staple"
	testPatience = 30 * time.Second
)

// environment is where a process of these tests has its secrets.
func environment(name string) (string, bool) {
	return map[string]string{"DESK_KEY": deskKey, "CLIENT_SECRET": "simulator"}[name], true
}

// deskStreams is a streams.json with one source, which listens to the given queues of a simulator.
func deskStreams(api string, queues ...string) string {
	var topics []string
	for _, q := range queues {
		topics = append(topics, fmt.Sprintf(`"v2.routing.queues.%s.conversations"`, q))
	}
	return fmt.Sprintf(`{
		"sources": [{
			"name": "desk", "path": "/webhooks/desk", "preset": "genesys-notification", "secret": "${DESK_KEY}", "stream": "DESK",
			"api": {"url": %q, "client_id": "simulator", "client_secret": "${CLIENT_SECRET}"},
			"notifications": {"topics": [%s]}
		}],
		"streams": [
			{"name": "DESK", "subjects": ["desk.>"], "max_age": "1h", "duplicate_window": "10m", "allow_direct": true},
			{"name": "DEAD_LETTERS", "subjects": ["dead.>"]}, {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
			{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}]
	}`, api, strings.Join(topics, ", "))
}

func allQueues() []string { return []string{"q-01", "q-02", "q-03", "q-04", "q-05", "q-06"} }

// journal is a log that can be read while it is written.
type journal struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (j *journal) Write(line []byte) (int, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.Write(line)
}

func (j *journal) String() string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.text.String()
}

// process is a genmesh that runs until the test ends.
type process struct {
	log       *journal
	addresses Addresses
	stop      func()
}

func startProcess(t *testing.T, c Config) *process {
	t.Helper()
	p := &process{log: new(journal)}
	log := logrus.New()
	log.SetOutput(p.log)
	started := make(chan Addresses, 1)
	c.Logger, c.LookupEnv, c.Version, c.Console = log, environment, "test", &Console{Addr: "127.0.0.1:0"}
	c.Started = func(a Addresses) { started <- a }
	p.stop = inBackground(t, func(ctx context.Context) error { return Run(ctx, c) })
	select {
	case p.addresses = <-started:
	case <-time.After(testPatience):
		require.FailNow(t, "the process does not start", p.log.String())
	}
	return p
}

// inBackground runs something until the returned function is called, or the test ends.
func inBackground(t *testing.T, something func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- something(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	t.Cleanup(stop)
	return stop
}

// get reads something of a process' console.
func (p *process) get(t *testing.T, path string) (int, string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+p.addresses.Console+path, nil)
	require.NoError(t, err)
	request.Close = true
	response, err := http.DefaultClient.Do(request)
	require.NoError(t, err)
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return response.StatusCode, string(text)
}

// metric is the sum of the lines that begin so.
func (p *process) metric(t *testing.T, begin string) float64 {
	t.Helper()
	_, text := p.get(t, "/metrics")
	total := 0.0
	for _, line := range regexp.MustCompile(`(?m)^`+regexp.QuoteMeta(begin)+`.* (\S+)$`).FindAllStringSubmatch(text, -1) {
		n, err := strconv.ParseFloat(line[1], 64)
		require.NoError(t, err)
		total += n
	}
	return total
}

func (p *process) eventually(t *testing.T, condition func() bool, message string) {
	t.Helper()
	require.Eventually(t, condition, testPatience, 10*time.Millisecond, "%s\n%s", message, p.log)
}

// startGenesys runs a simulated Genesys Cloud.
func startGenesys(t *testing.T) *simulator.Simulator {
	t.Helper()
	s, err := simulator.New(simulator.Options{Addr: "127.0.0.1:0", Seed: 3, Rate: 200, Heartbeat: 100 * time.Millisecond, Logger: quiet()})
	require.NoError(t, err)
	inBackground(t, s.Run)
	return s
}

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	require.NoError(t, os.WriteFile(path+".new", []byte(text), 0o600))
	require.NoError(t, os.Rename(path+".new", path))
}

// steps are those that the stream has of each conversation, in the order in which they were stored.
func steps(t *testing.T, js jetstream.JetStream) map[string][]int {
	t.Helper()
	stream, err := js.Stream(t.Context(), "DESK")
	require.NoError(t, err)
	found := map[string][]int{}
	for i := uint64(1); i <= stream.CachedInfo().State.LastSeq; i++ {
		m, err := stream.GetMsg(t.Context(), i)
		require.NoError(t, err)
		var e struct {
			EventBody struct {
				ID           string
				Participants []struct{ Attributes map[string]string }
			}
		}
		require.NoError(t, json.Unmarshal(m.Data, &e))
		n, err := strconv.Atoi(e.EventBody.Participants[0].Attributes["sequence"])
		require.NoError(t, err)
		found[e.EventBody.ID] = append(found[e.EventBody.ID], n)
	}
	return found
}

func stored(t *testing.T, js jetstream.JetStream) uint64 {
	t.Helper()
	stream, err := js.Stream(t.Context(), "DESK")
	require.NoError(t, err)
	return stream.CachedInfo().State.Msgs
}

// holes counts the steps that are missing between two that are there, and requires that none is there
// twice.
func holes(t *testing.T, all map[string][]int) (missing int) {
	t.Helper()
	for conversation, steps := range all {
		slices.Sort(steps)
		for i := 1; i < len(steps); i++ {
			require.Greater(t, steps[i], steps[i-1], "conversation %s has a step twice: %v", conversation, steps)
			missing += steps[i] - steps[i-1] - 1
		}
	}
	return missing
}

// TestNotificationsReachTheMesh follows conversations from a simulated Genesys Cloud over its
// notification service, the bridge and the ingress into JetStream: over an announced end of the socket,
// a new choice of topics and, with a loss, over a dropped socket.
func TestNotificationsReachTheMesh(t *testing.T) {
	genesys, server := startGenesys(t), meshtest.Start(t)
	js := server.JetStream()
	file := filepath.Join(t.TempDir(), "streams.json")
	writeFile(t, file, deskStreams("http://"+genesys.Addr(), allQueues()...))
	p := startProcess(t, Config{
		Streams: StreamsFile{Path: file}, NATSURL: server.URL(), Apply: true,
		Ingress:       &Ingress{Addr: "127.0.0.1:0", Grace: 5 * time.Second},
		Notifications: &Notifications{Grace: 5 * time.Second},
	})
	arrive := func(n uint64) {
		t.Helper()
		before := stored(t, js)
		p.eventually(t, func() bool { return stored(t, js) >= before+n }, "events are stored")
	}
	arrive(100)

	genesys.AnnounceClosing(3 * time.Second)
	p.eventually(t, func() bool { return p.metric(t, `genmesh_notifications_reconnects_total{reason="closing"`) == 1 }, "the next socket")
	p.eventually(t, func() bool { return p.metric(t, `genmesh_notifications_sockets{`) == 1 }, "the old socket ends")
	assert.Positive(t, p.metric(t, `genmesh_ingress_requests_total{outcome="duplicate"`), "two sockets told the same")
	arrive(100)
	assert.Zero(t, holes(t, steps(t, js)), "nothing was lost")
	assert.Zero(t, p.metric(t, `genmesh_notifications_gap_seconds_total`))

	genesys.DropSockets()
	p.eventually(t, func() bool { return p.metric(t, `genmesh_notifications_reconnects_total{reason="lost"`) == 1 }, "another socket")
	arrive(100)
	holes(t, steps(t, js)) // may be some, but none twice
	assert.Contains(t, p.log.String(), "lost for good")

	writeFile(t, file, deskStreams("http://"+genesys.Addr(), "q-01"))
	p.eventually(t, func() bool { return strings.Count(p.log.String(), "listening to the notification service") == 4 }, "another bridge")
	p.eventually(t, func() bool { return p.metric(t, `genmesh_notifications_sockets{`) == 1 }, "the bridge before ends")
	arrive(20)
	writeFile(t, file, deskStreams("http://"+genesys.Addr(), "q-01")+"\n")
	p.eventually(t, func() bool { return strings.Count(p.log.String(), "streams.json is in force") == 2 }, "a reload")
	assert.Equal(t, 4, strings.Count(p.log.String(), "listening to the notification service"), "what did not change goes on")

	p.stop()
	assert.NotContains(t, p.log.String(), deskKey)
	assert.NotContains(t, p.log.String(), "streaming-", "the address of a channel")
}

// TestABridgeAloneNeedsNoNATS forwards from one process to the ingress of another.
func TestABridgeAloneNeedsNoNATS(t *testing.T) {
	genesys, server := startGenesys(t), meshtest.Start(t)
	file := filepath.Join(t.TempDir(), "streams.json")
	writeFile(t, file, deskStreams("http://"+genesys.Addr(), allQueues()...))
	receiver := startProcess(t, Config{
		Streams: StreamsFile{Path: file}, NATSURL: server.URL(), Apply: true, Ingress: &Ingress{Addr: "127.0.0.1:0", Grace: time.Second},
	})
	alone := startProcess(t, Config{
		Streams: StreamsFile{Path: file}, NATSURL: "nats://127.0.0.1:1",
		Notifications: &Notifications{ForwardTo: "http://" + receiver.addresses.Ingress, Grace: time.Second},
	})
	js := server.JetStream()
	alone.eventually(t, func() bool { return stored(t, js) > 50 }, "events are stored")
	status, _ := alone.get(t, "/readyz")
	assert.Equal(t, http.StatusOK, status)

	require.NoError(t, genesys.SetFaults(simulator.Faults{APIDown: true}))
	genesys.ExpireChannels()
	alone.eventually(t, func() bool { status, _ := alone.get(t, "/readyz"); return status == http.StatusServiceUnavailable }, "it is not ready without a socket")
}

func TestAProcessWithoutNotificationsSaysSo(t *testing.T) {
	file := filepath.Join(t.TempDir(), "streams.json")
	writeFile(t, file, regexp.MustCompile(`,\s*"notifications": \{.*?\}`).ReplaceAllString(deskStreams("http://127.0.0.1:1"), ""))
	err := Run(t.Context(), Config{
		Streams: StreamsFile{Path: file}, Logger: quiet(), LookupEnv: environment, Notifications: &Notifications{Grace: time.Second},
	})
	require.ErrorContains(t, err, "no source of streams.json has a notifications block")
}
