package ingress

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var _ Committer = (*mesh.Committer)(nil)

const testSecret = "whsec_test_0123456789abcdef"

// goodBody is the event of the guide that genmesh began with.
const goodBody = `{"id":"12345678-abcd-efgh-ijkl-123456789012","timestamp":1678886400,` +
	`"eventTypeId":"interaction","data":{"id":"987654321","contactId":"c-12345","type":"call"}}`

// testSource is the source of Genesys Cloud's own webhooks.
func testSource() mesh.Source { return sourceOf(`"preset": "genesys"`) }

// sourceOf is a source with the given fields, as ParseTopology completes it.
func sourceOf(fields string) mesh.Source {
	t, err := mesh.ParseTopology([]byte(`{
		"sources": [{"name": "genesys", "path": "/webhooks/genesys", "secret": "${TEST_SECRET}", "stream": "INTERACTIONS", `+fields+`}],
		"streams": [
			{"name": "INTERACTIONS", "subjects": ["genesys.>"], "max_age": "1h", "duplicate_window": "1m"},
			{"name": "DEAD_LETTERS", "subjects": ["dead.>"]}, {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
			{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}]
	}`), mesh.ParseOptions{Presets: genesys.SourceDefaults(), LookupEnv: lookup})
	if err != nil {
		panic(err)
	}
	return t.Sources[0]
}

func lookup(name string) (string, bool) {
	return map[string]string{"TEST_SECRET": testSecret, "OTHER_SECRET": "other"}[name], true
}

// verifierOf verifies with the secrets of the source itself.
func verifierOf(s mesh.Source) (Verifier, error) {
	keys, err := s.ResolveSecrets(lookup)
	if err != nil {
		return nil, err
	}
	return NewVerifier(s, keys)
}

// memory is a Committer for tests of HTTP alone: it keeps events in order, and takes an event
// of a known source, interaction and fingerprint for a duplicate.
type memory struct {
	mu          sync.Mutex
	events      []mesh.Event
	sequences   map[string]uint64
	quarantined map[string]int // by reason
	before      func(ctx context.Context, e mesh.Event) error
}

func (m *memory) CommitAll(ctx context.Context, events []mesh.Event) ([]mesh.Receipt, error) {
	receipts := make([]mesh.Receipt, len(events))
	for i, e := range events {
		var err error
		if receipts[i], err = m.keep(ctx, e, "INTERACTIONS", e.Interaction); err != nil {
			return nil, err
		}
	}
	return receipts, nil
}

func (m *memory) Quarantine(ctx context.Context, e mesh.Event, reason string) (mesh.Receipt, error) {
	receipt, err := m.keep(ctx, e, "QUARANTINE", strconv.Itoa(len(e.Body)))
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.quarantined == nil {
		m.quarantined = make(map[string]int)
	}
	m.quarantined[reason]++
	return receipt, err
}

func (m *memory) keep(ctx context.Context, e mesh.Event, stream, id string) (mesh.Receipt, error) {
	if m.before != nil {
		if err := m.before(ctx, e); err != nil {
			return mesh.Receipt{}, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := fmt.Sprint(stream, e.Source, e.Interaction, e.Fingerprint)
	if sequence := m.sequences[key]; sequence > 0 {
		return mesh.Receipt{Stream: stream, Sequence: sequence, MsgID: id, Duplicate: true}, nil
	}
	m.events = append(m.events, e)
	if m.sequences == nil {
		m.sequences = make(map[string]uint64)
	}
	m.sequences[key] = uint64(len(m.events))
	return mesh.Receipt{Stream: stream, Sequence: uint64(len(m.events)), MsgID: id}, nil
}

func (m *memory) all() []mesh.Event {
	m.mu.Lock()
	defer m.mu.Unlock()
	return append([]mesh.Event(nil), m.events...)
}

func (m *memory) reasons() map[string]int {
	m.mu.Lock()
	defer m.mu.Unlock()
	reasons := make(map[string]int)
	for reason, n := range m.quarantined {
		reasons[reason] = n
	}
	return reasons
}

// running is a server that serves until the test ends.
type running struct {
	*Server
	t        testing.TB
	url      string
	client   *http.Client
	metrics  *prometheus.Registry
	log      *safeBuffer
	stop     context.CancelFunc
	finished chan error
}

// start makes a server with test defaults, which change changes, and runs it.
func start(t testing.TB, store Committer, changes ...func(*Options)) *running {
	r := prepare(t, store, changes...)
	r.run()
	return r
}

// prepare makes a server that does not run yet.
func prepare(t testing.TB, store Committer, changes ...func(*Options)) *running {
	log := logrus.New()
	r := &running{t: t, log: new(safeBuffer), metrics: prometheus.NewRegistry(), finished: make(chan error, 1)}
	log.SetOutput(r.log)
	log.SetLevel(logrus.DebugLevel)
	options := Options{
		Addr: "127.0.0.1:0", Sources: []mesh.Source{testSource()}, Verifier: verifierOf,
		Store: store, Logger: log, Registerer: r.metrics, GracePeriod: 5 * time.Second,
	}
	for _, change := range changes {
		change(&options)
	}
	server, err := New(options)
	require.NoError(t, err)
	r.Server, r.url = server, "http://"+server.Addr().String()
	transport := &http.Transport{}
	r.client = &http.Client{Transport: transport, Timeout: 20 * time.Second}
	t.Cleanup(transport.CloseIdleConnections)
	return r
}

func (r *running) run() {
	ctx, cancel := context.WithCancel(context.Background())
	r.stop = cancel
	go func() {
		r.finished <- r.Run(ctx)
		close(r.finished)
	}()
	r.t.Cleanup(func() {
		cancel()
		<-r.finished
	})
}

// request makes a signed request for a body.
func (r *running) request(body string) *http.Request {
	req, err := http.NewRequest(http.MethodPost, r.url+"/webhooks/genesys", bytes.NewReader([]byte(body)))
	require.NoError(r.t, err)
	req.Header.Set("X-Genesys-Signature", genesys.Sign(testSecret, []byte(body)))
	return req
}

// reply is what a sender got.
type reply struct {
	Status, Reason, Error, Stream string
	InteractionID                 string `json:"interaction_id"`
	MsgID                         string `json:"msg_id"`
	Sequence                      uint64
	code                          int
	header                        http.Header
	raw                           string
}

func (r *running) do(req *http.Request) reply {
	got, err := r.try(req)
	require.NoError(r.t, err)
	return got
}

func (r *running) try(req *http.Request) (reply, error) {
	response, err := r.client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	raw, err := io.ReadAll(response.Body)
	if err != nil {
		return reply{}, err
	}
	got := reply{code: response.StatusCode, header: response.Header, raw: string(raw)}
	if len(raw) > 0 {
		err = json.Unmarshal(raw, &got)
	}
	return got, err
}

func (r *running) post(body string) reply { return r.do(r.request(body)) }

// safeBuffer is a log that is read while it is written.
type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// forgetful is a Committer that keeps nothing.
type forgetful struct{}

func (forgetful) CommitAll(_ context.Context, events []mesh.Event) ([]mesh.Receipt, error) {
	return make([]mesh.Receipt, len(events)), nil
}

func (forgetful) Quarantine(context.Context, mesh.Event, string) (mesh.Receipt, error) {
	return mesh.Receipt{}, nil
}

func quiet() logrus.FieldLogger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// counted is the value of a counter or gauge by its labels, such as "source=genesys"; 0 if there
// is none.
func (r *running) counted(name string, labels ...string) float64 {
	families, err := r.metrics.Gather()
	require.NoError(r.t, err)
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			var has []string
			for _, l := range m.GetLabel() {
				has = append(has, l.GetName()+"="+l.GetValue())
			}
			if strings.Join(has, ",") == strings.Join(labels, ",") {
				return m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return 0
}
