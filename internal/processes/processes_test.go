package processes

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// join runs a member with a connection of its own; what it returns ends it.
func join(t *testing.T, server *meshtest.Server, o Options) (leave func()) {
	t.Helper()
	o.Conn = server.Connect()
	if o.Logger == nil {
		o.Logger = meshtest.Quiet()
	}
	member := NewMember(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- member.Run(ctx) }()
	leave = sync.OnceFunc(func() { cancel(); require.NoError(t, <-done) })
	t.Cleanup(leave)
	asker := NewAsker(o.Conn)
	require.Eventually(t, func() bool { return len(ids(asker, o.ID)) > 0 }, 20*time.Second, 10*time.Millisecond)
	return leave
}

// eventually waits for what a busy machine may need several questions for: an answer may come late.
func eventually(t *testing.T, is func() bool) {
	t.Helper()
	require.Eventually(t, is, 20*time.Second, time.Millisecond)
}

func ids(asker *Asker, only string) []string {
	found, _ := asker.Ask(context.Background())
	var all []string
	for _, p := range found {
		if only == "" || p.ID == only {
			all = append(all, p.ID)
		}
	}
	return all
}

func registry(t *testing.T, counted float64) *prometheus.Registry {
	t.Helper()
	r := prometheus.NewRegistry()
	ours := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "genmesh_worker_attempts_total"}, []string{"subscriber", "outcome"})
	others := prometheus.NewCounter(prometheus.CounterOpts{Name: "go_gc_total"})
	r.MustRegister(ours, others)
	ours.WithLabelValues("crm", "delivered").Add(counted)
	return r
}

func TestEveryProcessTellsWhoItIsAndWhatItCounts(t *testing.T) {
	server := meshtest.Start(t)
	said := live.Error{Class: "rejected", Status: 422, Text: "no such customer", Count: 3, Stream: "INTERACTIONS", Sequence: 7}
	join(t, server, Options{
		ID: "a", Version: "1.2.3", Parts: []string{"ingress", "workers"}, Gatherer: registry(t, 5),
		Errors: func() map[string][]live.Error { return map[string][]live.Error{"crm": {said}} },
		Ready:  func() error { return errors.New("the disk is full") },
	})
	join(t, server, Options{ID: "b", Parts: []string{"workers"}, Gatherer: registry(t, 7)})

	asker := NewAsker(server.Connect())
	var found []admin.Process
	eventually(t, func() bool {
		var err error
		found, err = asker.Ask(t.Context())
		return err == nil && len(found) == 2
	})
	a := found[0]
	assert.Equal(t, "a", a.ID)
	assert.Equal(t, "1.2.3", a.Version)
	assert.Equal(t, []string{"ingress", "workers"}, a.Parts)
	assert.Equal(t, "the disk is full", a.Ready)
	assert.Equal(t, "info", a.LogLevel)
	assert.NotEmpty(t, a.Host)
	assert.Positive(t, a.PID)
	assert.WithinDuration(t, time.Now(), a.Started, 10*time.Second)
	assert.Empty(t, found[1].Ready)

	var reports []live.Report
	eventually(t, func() bool {
		var err error
		reports, err = asker.Reports(t.Context())
		return err == nil && len(reports) == 2
	})
	sum := 0.0
	for _, report := range reports {
		require.Len(t, report.Families, 1, "only genmesh's own")
		sum += report.Families[0].GetMetric()[0].GetCounter().GetValue()
		assert.Positive(t, report.Up)
	}
	assert.EqualValues(t, 12, sum)
	assert.Equal(t, []live.Error{said}, reports[0].Errors["crm"])
}

func TestWhoHasAllAnswersDoesNotWaitForMore(t *testing.T) {
	server := meshtest.Start(t)
	join(t, server, Options{ID: "a"})
	leave := join(t, server, Options{ID: "b"})
	asker := NewAsker(server.Connect())
	soon := func(want ...string) func() bool {
		return func() bool {
			began := time.Now()
			got := ids(asker, "")
			return slices.Equal(want, got) && time.Since(began) < Patience
		}
	}
	eventually(t, soon("a", "b"))
	leave()
	assert.Equal(t, []string{"a"}, ids(asker, ""), "who is gone does not answer")
	eventually(t, soon("a")) // and is not waited for any more, after a while
}

func TestAProcessThatComesLaterIsHeard(t *testing.T) {
	server := meshtest.Start(t)
	join(t, server, Options{ID: "a"})
	asker := NewAsker(server.Connect())
	eventually(t, func() bool { return slices.Equal([]string{"a"}, ids(asker, "")) })
	join(t, server, Options{ID: "b"})
	asker.called = time.Now().Add(-rollCall)
	eventually(t, func() bool { return slices.Equal([]string{"a", "b"}, ids(asker, "")) })
}

func TestMetricsAreGatheredOnceHoweverOftenTheyAreAskedFor(t *testing.T) {
	server := meshtest.Start(t)
	var gathered atomic.Int32
	metrics := prometheus.GathererFunc(func() ([]*dto.MetricFamily, error) {
		gathered.Add(1)
		return registry(t, 1).Gather()
	})
	join(t, server, Options{ID: "a", Gatherer: metrics})
	assert.Zero(t, gathered.Load(), "who only asks who is there costs nothing")
	asker := NewAsker(server.Connect())
	asker.called, asker.missed = time.Now(), map[string]int{"a": 0}
	began := time.Now()
	for range 20 {
		_, err := asker.Reports(t.Context())
		require.NoError(t, err)
	}
	assert.Positive(t, gathered.Load())
	assert.LessOrEqual(t, int(gathered.Load()), 1+int(time.Since(began)/gatherEvery))
}

func TestAProcessThatHangsInItsCheckAnswersAllTheSame(t *testing.T) {
	server := meshtest.Start(t)
	hangs := make(chan struct{})
	first := true
	join(t, server, Options{ID: "a", Ready: func() error {
		if first { // one check runs at a time
			first = false
			return errors.New("NATS is slow")
		}
		<-hangs
		return nil
	}})
	defer close(hangs)
	asker := NewAsker(server.Connect())
	deadline := time.Now().Add(readyEvery + Patience)
	for time.Now().Before(deadline) {
		found, err := asker.Ask(t.Context())
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, "NATS is slow", found[0].Ready, "what was known last")
	}
}

func TestAnAnswerThatIsTooLargeSaysLess(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2)) // what can't be compressed
	noise := func(bytes int) string {
		var b strings.Builder
		for b.Len() < bytes {
			fmt.Fprintf(&b, "%016x", random.Uint64())
		}
		return b.String()
	}
	r := prometheus.NewRegistry()
	series := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "genmesh_noise_total"}, []string{"source"})
	r.MustRegister(series)
	for range 20 {
		series.WithLabelValues(noise(10_000)).Inc()
	}
	errs := map[string][]live.Error{}
	for range 20 {
		errs["crm"] = append(errs["crm"], live.Error{Text: noise(10_000)})
	}
	c := counts{gatherer: r, faults: func() map[string][]live.Error { return errs }, log: meshtest.Quiet()}
	for bound, want := range map[int]struct{ families, errors int }{
		1 << 20:    {1, 20},
		160 << 10:  {1, 5},
		110 << 10:  {1, 1},
		90 << 10:   {0, 5},
		10 << 10:   {0, 1},
		1 << 10:    {0, 0},
		-(1 << 10): {0, 0},
	} {
		c.at = time.Time{}
		c.renew(bound)
		assert.LessOrEqual(t, len(c.families)+len(c.errors), max(bound, 0))
		report, err := answer{Families: c.families, Errors: c.errors}.report()
		require.NoError(t, err)
		assert.Equal(t, want.families, len(report.Families), bound)
		assert.Equal(t, want.errors, len(report.Errors["crm"]), bound)
	}
}

func TestAskingWhileNATSIsAwayFailsAtOnce(t *testing.T) {
	server := meshtest.Start(t)
	nc := server.Connect()
	asker := NewAsker(nc)
	found, err := asker.Ask(t.Context())
	require.NoError(t, err)
	assert.Empty(t, found, "nobody is there")
	server.Stop()
	require.Eventually(t, func() bool { return !nc.IsConnected() }, 10*time.Second, 10*time.Millisecond)
	began := time.Now()
	_, err = asker.Ask(t.Context())
	require.Error(t, err)
	assert.Less(t, time.Since(began), Patience)
}

func TestAMemberAnswersAgainAfterNATSWasAway(t *testing.T) {
	server := meshtest.Start(t)
	join(t, server, Options{ID: "a"})
	asker := NewAsker(server.Connect())
	server.Restart()
	assert.Eventually(t, func() bool { return len(ids(asker, "a")) == 1 }, 10*time.Second, 20*time.Millisecond)
}

func TestAnswersOfOthersOnTheSubjectAreLeftOut(t *testing.T) {
	server := meshtest.Start(t)
	join(t, server, Options{ID: "a", Gatherer: registry(t, 1)})
	nc := server.Connect()
	broken, err := json.Marshal(answer{Process: admin.Process{ID: "broken"}, Families: []byte("no gzip")})
	require.NoError(t, err)
	_, err = nc.Subscribe(subjectAsk, func(msg *nats.Msg) {
		for _, data := range []string{"", "{", `{"id":""}`, `{"stream":"X","seq":1}`, `{"id":"` + strings.Repeat("x", 1000) + `"}`, string(broken), string(broken)} {
			_ = msg.Respond([]byte(data))
		}
	})
	require.NoError(t, err)
	require.NoError(t, nc.Flush())
	asker := NewAsker(server.Connect())
	eventually(t, func() bool {
		return slices.Equal([]string{"a", "broken"}, slices.Sorted(slices.Values(ids(asker, ""))))
	})
	eventually(t, func() bool {
		reports, err := asker.Reports(t.Context())
		return len(reports) == 1 && reports[0].Process == "a" && strings.Contains(fmt.Sprint(err), `"broken"`)
	})
}

func TestNoStreamMayTakeTheQuestions(t *testing.T) {
	_, err := mesh.ParseTopology([]byte(`{"streams": [{"name": "X", "subjects": ["_mesh.>"]}]}`), mesh.ParseOptions{})
	require.ErrorContains(t, err, "genmesh uses itself")
}

// BenchmarkReports is what it costs to hear what a process of a hundred subscribers counts, both sides together.
func BenchmarkReports(b *testing.B) {
	server := meshtest.Start(b)
	r := prometheus.NewRegistry()
	metrics := workers.NewMetrics(r)
	for i := range 100 {
		workers.NewRunner(workers.Options{ // its metrics are there from now on
			Subscriber: mesh.Subscriber{Name: fmt.Sprintf("s%d", i)}, Logger: meshtest.Quiet(), Metrics: metrics,
		})
	}
	member := NewMember(Options{Conn: server.Connect(), Gatherer: r, Logger: meshtest.Quiet()})
	b.ReportAllocs()
	for b.Loop() {
		member.counts.at = time.Time{}
		member.counts.renew(1 << 20)
		if _, err := unpack(member.counts.families); err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(member.counts.families)), "bytes")
	}
}

func FuzzAnswer(f *testing.F) {
	families, err := pack(nil)
	require.NoError(f, err)
	valid, err := json.Marshal(answer{Process: admin.Process{ID: "a"}, Families: families})
	require.NoError(f, err)
	f.Add(valid)
	errs, err := packErrors(map[string][]live.Error{"crm": {{Text: "down"}}}, 1)
	require.NoError(f, err)
	more, err := json.Marshal(answer{Process: admin.Process{ID: "a"}, Errors: errs})
	require.NoError(f, err)
	f.Add(more)
	f.Add([]byte(`{"id":"a","families":"H4sIAAAAAAAA/wEAAP//AAAAAAAAAAA="}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAnswer(data)
		if err != nil {
			return
		}
		assert.NotEmpty(t, a.ID)
		_, _ = a.report()
	})
}

// What is under way is known by the process that has it in hand, and by no other.
func TestProcessesTellWhatIsUnderWay(t *testing.T) {
	server := meshtest.Start(t)
	at := mesh.Place{Stream: "INTERACTIONS", Sequence: 7, Stored: time.Now().UTC()}
	underWay := func(subscriber string) func([]mesh.Place) []mesh.UnderWay {
		return func(places []mesh.Place) []mesh.UnderWay {
			return []mesh.UnderWay{{Place: places[0], Subscriber: subscriber, Attempts: len(places), EachAttempt: []mesh.Attempt{{At: at.Stored, Outcome: "failed", Status: 503}}}}
		}
	}
	join(t, server, Options{ID: "a", UnderWay: underWay("crm")})
	join(t, server, Options{ID: "b", UnderWay: underWay("analytics")})
	join(t, server, Options{ID: "ingress"})
	asker := NewAsker(server.Connect())
	var told []mesh.UnderWay
	eventually(t, func() bool {
		var err error
		told, err = asker.UnderWay(t.Context(), []mesh.Place{at, at})
		return err == nil && len(told) == 2
	})
	slices.SortFunc(told, func(a, b mesh.UnderWay) int { return strings.Compare(a.Subscriber, b.Subscriber) })
	assert.Equal(t, append(underWay("analytics")([]mesh.Place{at, at}), underWay("crm")([]mesh.Place{at, at})...), told)
}
