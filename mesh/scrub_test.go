package mesh_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/embedded"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// store is a mesh on a nats-server whose files a test may damage while it stands still.
type store struct {
	t        *testing.T
	folder   string
	running  *embedded.Server
	nc       *nats.Conn
	js       jetstream.JetStream
	topology *mesh.Topology
	acked    uint64 // what ingress was told is stored, in a test that has one
}

// The bound of a stream makes nats-server cut it into files of 32 KB.
const scrubbedStreams = `{
	"sources": [{"name": "genesys", "path": "/g", "preset": "genesys", "secret": "${SECRET:-}", "stream": "EVENTS"}],
	"streams": [
		{"name": "EVENTS", "subjects": ["genesys.>"], "storage": "file", "max_bytes": 127000, "discard": "new", "max_age": "168h",
			"duplicate_window": "100ms", "allow_direct": true},
		{"name": "DEAD", "subjects": ["dead.>"], "storage": "file", "discard": "new", "allow_direct": true},
		{"name": "QUARANTINE", "subjects": ["quarantine.>"], "storage": "file", "allow_direct": true},
		{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"], "storage": "file"},
		{"name": "AUDIT", "subjects": ["audit.>"], "storage": "file"}
	],
	"subscribers": [{"name": "crm", "stream": "EVENTS", "target": {"url": "log:"}}]
}`

func newStore(t *testing.T) *store {
	t.Helper()
	s := &store{t: t, folder: t.TempDir(), topology: meshtest.Topology(t, scrubbedStreams)}
	s.start()
	t.Cleanup(s.stop)
	meshtest.Apply(t, s.js, s.topology)
	return s
}

func (s *store) start() {
	s.t.Helper()
	running, err := embedded.Start(s.t.Context(), embedded.Options{DataDir: s.folder, Logger: meshtest.Quiet()})
	require.NoError(s.t, err)
	s.running = running
	s.nc, err = mesh.Connect(s.t.Name(), "", meshtest.Quiet(), running.InProcess())
	require.NoError(s.t, err)
	s.js, err = mesh.JetStream(s.nc)
	require.NoError(s.t, err)
}

func (s *store) stop() {
	if s.running == nil {
		return
	}
	s.nc.Close()
	require.NoError(s.t, s.running.Shutdown())
	s.running = nil
}

// damagedBy stops the server, damages its files and starts it again.
func (s *store) damagedBy(damage func()) {
	s.t.Helper()
	s.stop()
	damage()
	s.start()
}

// file is the only file of a stream that a pattern matches, or with several the one in the middle.
func (s *store) file(stream, pattern string) string {
	s.t.Helper()
	found, err := filepath.Glob(filepath.Join(s.folder, "jetstream", "$G", "streams", stream, pattern))
	require.NoError(s.t, err)
	require.NotEmpty(s.t, found, pattern)
	number := func(path string) int {
		n, _ := strconv.Atoi(filepath.Base(path[:len(path)-len(filepath.Ext(path))]))
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return number(a) - number(b) })
	return found[len(found)/2]
}

func (s *store) edit(path string, edit func([]byte) []byte) {
	s.t.Helper()
	data, err := os.ReadFile(path)
	require.NoError(s.t, err)
	require.NoError(s.t, os.WriteFile(path, edit(data), 0o600))
}

func flipped(data []byte) []byte {
	data[len(data)/2] ^= 0x04
	return data
}

func halved(data []byte) []byte { return data[:len(data)/2] }

// fill stores events of some 500 bytes and returns once they are there.
func (s *store) fill(n int) {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), "EVENTS")
	require.NoError(s.t, err)
	before := stream.CachedInfo().State.LastSeq
	for i := range n {
		s.publish(storedEvent(int(before)+i+1), "EVENTS")
	}
}

func storedEvent(n int) mesh.Event {
	interaction := "call-" + strconv.Itoa(n)
	return mesh.Event{
		Source: "genesys", Interaction: interaction, Type: "interaction", Fingerprint: "f", Received: time.Now().UTC(),
		Subject: "genesys.00.interaction.call." + interaction, Body: bytes.Repeat([]byte{'a' + byte(n%26)}, 100),
	}
}

func (s *store) publish(e mesh.Event, stream string) {
	s.t.Helper()
	_, err := s.js.PublishMsg(s.t.Context(), e.Msg(""), jetstream.WithExpectStream(stream))
	require.NoError(s.t, err)
}

// scrubber is what a process that was just started has.
func (s *store) scrubber() *mesh.Scrubber {
	return mesh.NewScrubber(mesh.ScrubOptions{
		JetStream: s.js, Topology: func() *mesh.Topology { return s.topology }, Logger: meshtest.Quiet(),
		Acknowledged: func(context.Context) map[string]uint64 { return map[string]uint64{"EVENTS": s.acked} },
		Every:        time.Millisecond,
	})
}

// scrub is one round of a process that was just started, and what is known then.
func (s *store) scrub() []mesh.ScrubFinding {
	s.t.Helper()
	require.NoError(s.t, s.scrubber().Look(s.t.Context()))
	report, err := s.topology.ReadScrub(s.t.Context(), s.js)
	require.NoError(s.t, err)
	return report.Findings
}

// requireTrue sees to it that what is delivered is what was stored.
func (s *store) requireTrue() {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), "EVENTS")
	require.NoError(s.t, err)
	for n := stream.CachedInfo().State.FirstSeq; n <= stream.CachedInfo().State.LastSeq; n++ {
		e, err := mesh.GetEvent(s.t.Context(), s.js, "EVENTS", n)
		if err == nil {
			require.Equal(s.t, storedEvent(int(n)).Body, e.Body)
		}
	}
}

// Each kind of damage that a store of one replica passes over in silence is found in the first round after the restart, and told once.
func TestDamageOfTheStoreIsFoundAndNamed(t *testing.T) {
	const events = 200
	for name, c := range map[string]struct {
		damage func(*store)
		kind   mesh.ScrubKind
	}{
		"a bit of a message is flipped": {
			func(s *store) { s.edit(s.file("EVENTS", "msgs/*.blk"), flipped) }, mesh.ScrubUnreadable,
		},
		"a bit is flipped, and the index is lost": {func(s *store) {
			s.edit(s.file("EVENTS", "msgs/*.blk"), flipped)
			require.NoError(s.t, os.Remove(s.file("EVENTS", "msgs/index.db")))
		}, mesh.ScrubMissing},
		"a file of messages is cut": {
			func(s *store) { s.edit(s.file("EVENTS", "msgs/*.blk"), halved) }, mesh.ScrubMissing,
		},
		"a file of messages is deleted": {
			func(s *store) { require.NoError(s.t, os.Remove(s.file("EVENTS", "msgs/*.blk"))) }, mesh.ScrubMissing,
		},
		"the oldest file of messages is deleted": {
			func(s *store) { require.NoError(s.t, os.Remove(s.file("EVENTS", "msgs/1.blk"))) }, mesh.ScrubMissing,
		},
		"the newest file is cut, and the index is lost": {func(s *store) {
			require.NoError(s.t, os.Remove(s.file("EVENTS", "msgs/index.db")))
			blocks, err := filepath.Glob(filepath.Dir(s.file("EVENTS", "msgs/*.blk")) + "/*.blk")
			require.NoError(s.t, err)
			s.edit(filepath.Join(filepath.Dir(blocks[0]), fmt.Sprintf("%d.blk", len(blocks))), halved)
		}, mesh.ScrubTruncated},
		"the description of the stream is damaged": {
			func(s *store) { s.edit(s.file("EVENTS", "meta.inf"), flipped) }, mesh.ScrubGone,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			s.fill(events)
			require.Empty(t, s.scrub())
			s.damagedBy(func() { c.damage(s) })

			found := s.scrub()
			require.Len(t, found, 1)
			f := found[0]
			t.Log(f)
			assert.Equal(t, c.kind, f.Kind)
			assert.Equal(t, "EVENTS", f.Stream)
			assert.Positive(t, f.Count)
			assert.Equal(t, f.Count, f.Last-f.First+1)
			assert.LessOrEqual(t, f.Last, uint64(events))
			assert.NotEmpty(t, f.Causes)
			assert.NotEmpty(t, f.Do)
			assert.Equal(t, []string{"crm"}, f.Missed, "it had acknowledged nothing")
			if f.Kind != mesh.ScrubGone {
				s.requireTrue()
				assert.Equal(t, s.gone(events), f.Count, "what can't be had is what is told")
			}
			assert.Equal(t, found, s.scrub(), "it is told once, and stays")
		})
	}
}

// gone is how many of the events can't be read.
func (s *store) gone(of int) uint64 {
	n := uint64(0)
	for sequence := range of {
		if _, err := mesh.GetEvent(s.t.Context(), s.js, "EVENTS", uint64(sequence+1)); err != nil {
			n++
		}
	}
	return n
}

// A lost index costs nothing, and an orderly restart even less.
func TestARestartIsNoDamage(t *testing.T) {
	s := newStore(t)
	s.fill(200)
	require.Empty(t, s.scrub())
	s.damagedBy(func() {})
	require.Empty(t, s.scrub())
	s.damagedBy(func() { require.NoError(t, os.Remove(s.file("EVENTS", "msgs/index.db"))) })
	require.Empty(t, s.scrub())
}

// The end of a stream may be lost and refilled before anybody looks: then all sequences are there, and other events under some of them.
func TestALostEndIsFoundThoughTheStreamHasGrownAgain(t *testing.T) {
	s := newStore(t)
	s.fill(50)
	require.Empty(t, s.scrub())
	s.damagedBy(func() {
		require.NoError(t, os.Remove(s.file("EVENTS", "msgs/index.db")))
		s.edit(s.file("EVENTS", "msgs/*.blk"), halved)
	})
	stream, err := s.js.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	left := stream.CachedInfo().State.LastSeq
	require.Less(t, left, uint64(50))
	s.fill(60)

	found := s.scrub()
	require.Len(t, found, 1)
	assert.Equal(t, mesh.ScrubTruncated, found[0].Kind)
	assert.Equal(t, left+1, found[0].First)
	assert.Equal(t, uint64(50), found[0].Last)
}

// What this process answered 2xx for is more than what anybody has looked at.
func TestAStreamThatEndsBeforeWhatWasAcknowledgedHasLost(t *testing.T) {
	s := newStore(t)
	s.fill(20)
	require.Empty(t, s.scrub())
	s.acked = 25
	scrubber := s.scrubber()
	require.NoError(t, scrubber.Look(t.Context()))
	report, err := s.topology.ReadScrub(t.Context(), s.js)
	require.NoError(t, err)
	require.Len(t, report.Findings, 1)
	f := report.Findings[0]
	assert.Equal(t, mesh.ScrubTruncated, f.Kind)
	assert.Equal(t, []uint64{21, 25, 5}, []uint64{f.First, f.Last, f.Count})

	_, err = mesh.AcceptScrubFinding(t.Context(), s.js, f.ID)
	require.NoError(t, err)
	require.NoError(t, scrubber.Look(t.Context()))
	report, err = s.topology.ReadScrub(t.Context(), s.js)
	require.NoError(t, err)
	assert.Empty(t, report.Findings, "what was told and accepted is not told again")
}

// Up to where a committer was told that its stream has stored is for the scrubbers of all processes to compare.
func TestACommitterTellsUpToWhereItsStreamAcknowledged(t *testing.T) {
	s := newStore(t)
	registry := prometheus.NewRegistry()
	committer, err := mesh.NewCommitter(s.js, s.topology, meshtest.Quiet(), registry)
	require.NoError(t, err)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- committer.Run(ctx) }()
	defer func() { stop(); require.NoError(t, <-ended) }()
	for n := range 3 {
		_, err := committer.Commit(t.Context(), storedEvent(n))
		require.NoError(t, err)
	}
	tells := strings.NewReader("# HELP " + mesh.AcknowledgedMetric + " Highest sequence that the stream has told this process is stored.\n" +
		"# TYPE " + mesh.AcknowledgedMetric + " gauge\n" + mesh.AcknowledgedMetric + "{stream=\"EVENTS\"} 3\n")
	require.NoError(t, testutil.GatherAndCompare(registry, tells, mesh.AcknowledgedMetric))
}

// A consumer whose state is lost hands everything out again: nothing is lost, and somebody has to know why it all comes twice.
func TestAConsumerThatForgotItsPositionIsFound(t *testing.T) {
	s := newStore(t)
	s.fill(30)
	consumer := s.settle(20)
	require.Empty(t, s.scrub())
	require.Empty(t, s.scrub())
	s.damagedBy(func() {
		s.edit(s.file("EVENTS", filepath.Join("obs", consumer, "o.dat")), func([]byte) []byte { return nil })
	})
	found := s.scrub()
	require.Len(t, found, 1)
	t.Log(found[0])
	assert.Equal(t, mesh.ScrubRewound, found[0].Kind)
	assert.Equal(t, "crm", found[0].Subscriber)
	assert.Equal(t, []uint64{1, 20, 20}, []uint64{found[0].First, found[0].Last, found[0].Count})
	assert.Zero(t, found[0].Lost())
	assert.Equal(t, found, s.scrub())
}

// settle acknowledges the first events as the subscriber, and returns its consumer's name.
func (s *store) settle(events int) string {
	s.t.Helper()
	stream, err := s.js.Stream(s.t.Context(), "EVENTS")
	require.NoError(s.t, err)
	all, err := mesh.ListConsumers(s.t.Context(), stream)
	require.NoError(s.t, err)
	require.Len(s.t, all, 1)
	sub, err := s.nc.SubscribeSync(all[0].Config.DeliverSubject)
	require.NoError(s.t, err)
	for range events {
		msg, err := sub.NextMsg(20 * time.Second)
		require.NoError(s.t, err)
		require.NoError(s.t, msg.AckSync())
	}
	require.NoError(s.t, sub.Unsubscribe())
	return all[0].Name
}

// A body that is not the one that was stored is found, though a store that checks its sums can hardly deliver one.
func TestABodyThatIsNotTheStoredOneIsFound(t *testing.T) {
	s := newStore(t)
	s.fill(3)
	msg := storedEvent(4).Msg("")
	msg.Data = []byte("another")
	_, err := s.js.PublishMsg(t.Context(), msg)
	require.NoError(t, err)
	old := storedEvent(5).Msg("")
	old.Header.Del(mesh.HeaderBodyHash) // as an earlier version stored it
	_, err = s.js.PublishMsg(t.Context(), old)
	require.NoError(t, err)

	found := s.scrub()
	require.Len(t, found, 1)
	assert.Equal(t, mesh.ScrubAltered, found[0].Kind)
	assert.Equal(t, []uint64{4, 4, 1}, []uint64{found[0].First, found[0].Last, found[0].Count})
}

// What scrubs know lies in the same store: that it is lost is a finding, and that it was not there yet is none.
func TestLostMarksAreFound(t *testing.T) {
	s := newStore(t)
	s.fill(3)
	require.Empty(t, s.scrub())
	bucket, err := s.js.KeyValue(t.Context(), mesh.StateBucket)
	require.NoError(t, err)
	require.NoError(t, bucket.Purge(t.Context(), "scrub.mark.EVENTS"))
	found := s.scrub()
	require.Len(t, found, 1)
	assert.Equal(t, mesh.ScrubGone, found[0].Kind)
	assert.Equal(t, "KV_genmesh", found[0].Stream)
	assert.Equal(t, found, s.scrub())
}

// A stream that is deleted and made again under its name has lost what it held, unless an apply that was told to did it.
func TestAStreamMadeAnewIsFound(t *testing.T) {
	s := newStore(t)
	s.fill(7)
	require.Empty(t, s.scrub())
	require.NoError(t, s.js.DeleteStream(t.Context(), "EVENTS"))
	meshtest.Apply(t, s.js, s.topology)
	found := s.scrub()
	require.Len(t, found, 1)
	assert.Equal(t, mesh.ScrubReplaced, found[0].Kind)
	assert.Equal(t, uint64(7), found[0].Count)

	s.fill(5)
	require.Len(t, s.scrub(), 1)
	require.NoError(t, mesh.RecordAudit(t.Context(), s.js, s.topology, mesh.Audit{
		At: time.Now(), Action: "apply", About: "replace stream EVENTS; with --allow-destroy", Result: mesh.AuditIntended,
	}))
	require.NoError(t, s.js.DeleteStream(t.Context(), "EVENTS"))
	meshtest.Apply(t, s.js, s.topology)
	assert.Len(t, s.scrub(), 1, "that one was wanted")
}

// What was found stays until somebody accepts it, also for processes that start later.
func TestAFindingStaysUntilItIsAccepted(t *testing.T) {
	s := newStore(t)
	s.fill(10)
	require.Empty(t, s.scrub())
	stream, err := s.js.Stream(t.Context(), "EVENTS")
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 4)) // by somebody with the nats command line

	found := s.scrub()
	require.Len(t, found, 1)
	assert.Equal(t, "message 4 of EVENTS is missing", found[0].String())
	assert.False(t, found[0].From.IsZero() || found[0].To.Before(found[0].From), "it was stored between its neighbours")
	_, err = mesh.AcceptScrubFinding(t.Context(), s.js, found[0].ID+1)
	require.ErrorIs(t, err, mesh.ErrNoScrubFinding)
	accepted, err := mesh.AcceptScrubFinding(t.Context(), s.js, found[0].ID)
	require.NoError(t, err)
	assert.Equal(t, found[0], accepted)
	assert.Empty(t, s.scrub())
}

// All processes that may scrub agree on one, and another goes on when that ends.
func TestOneProcessScrubsAtATime(t *testing.T) {
	s := newStore(t)
	s.fill(3)
	run := func() (*mesh.Scrubber, func()) {
		scrubber := s.scrubber()
		ctx, stop := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- scrubber.Run(ctx) }()
		return scrubber, func() { stop(); require.NoError(t, <-ended) }
	}
	first, stopFirst := run()
	second, stopSecond := run()
	defer stopSecond()
	isKnown := func(scrubber *mesh.Scrubber) func() bool {
		return func() bool {
			report, ok := scrubber.Report()
			return ok && len(report.Streams) == 5 && report.Streams[0].Read == 3
		}
	}
	require.Eventually(t, isKnown(first), 20*time.Second, 10*time.Millisecond)
	require.Eventually(t, isKnown(second), 20*time.Second, 10*time.Millisecond)
	stopFirst()
	s.fill(1)
	require.Eventually(t, func() bool {
		report, _ := second.Report()
		return report.Streams[0].Read == 4
	}, 20*time.Second, 10*time.Millisecond)
}

// While leaders change and replicas lag nothing is lost, and a scrub says so.
func TestChangesOfLeaderAreNoDamage(t *testing.T) {
	cluster := meshtest.StartCluster(t)
	s := &store{t: t, js: cluster.JetStream(0)}
	s.topology = meshtest.Topology(t, strings.ReplaceAll(scrubbedStreams, `"storage": "file"`, `"storage": "file", "num_replicas": 3`))
	require.Eventually(t, func() bool {
		_, err := s.topology.Apply(t.Context(), s.js, false, mesh.Draining{})
		return err == nil
	}, 30*time.Second, 100*time.Millisecond)
	scrubber := s.scrubber()
	for n := range 5 {
		require.Eventually(t, func() bool { // a publish may meet the moment without a leader
			_, err := s.js.PublishMsg(t.Context(), storedEvent(n).Msg(strconv.Itoa(n)))
			return err == nil
		}, 20*time.Second, 10*time.Millisecond)
		require.NoError(t, cluster.StepDown(t.Context(), s.js, "EVENTS"))
		require.Eventually(t, func() bool { return scrubber.Look(t.Context()) == nil }, 20*time.Second, 10*time.Millisecond)
	}
	report, err := s.topology.ReadScrub(t.Context(), s.js)
	require.NoError(t, err)
	assert.Empty(t, report.Findings)
	assert.Positive(t, report.Streams[0].Read)
}
