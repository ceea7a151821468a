package mesh_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/embedded"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// spreadTopology has every kind of place where a copy of an event may lie. The events of bus have
// subjects that don't name the interaction. INTERACTIONS has no allow_direct: its mirror would answer for
// it, and be a moment behind.
const spreadTopology = `{
  "sources": [
    {"name": "genesys", "path": "/genesys", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS"},
    {"name": "bus", "path": "/bus", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS",
     "subject": "{source}.{partition}.{type...}", "dedupe_key": "{source}:{interaction}"},
    {"name": "chat", "path": "/chat", "preset": "genesys", "secret": "${SECRET:-}", "stream": "CHATS"}],
  "streams": [
    {"name": "INTERACTIONS", "subjects": ["genesys.>", "bus.>"], "retention": "limits", "storage": "file",
     "discard": "new", "max_age": "1h", "duplicate_window": "10m", "allow_atomic": true},
    {"name": "CHATS", "subjects": ["chat.>"], "duplicate_window": "10m", "allow_atomic": true},
    {"name": "DEAD_LETTERS", "subjects": ["dead.>"]},
    {"name": "COPY", "mirror": {"name": "INTERACTIONS"}},
    {"name": "ALL", "sources": [{"name": "CHATS"}, {"name": "DEAD_LETTERS"}]},
    {"name": "ORDERS", "subjects": ["orders.>"]},
    {"name": "QUARANTINE", "subjects": ["quarantine.>"], "allow_atomic": true},
    {"name": "DELIVERIES", "subjects": ["deliveries.>"]},
    {"name": "AUDIT", "subjects": ["audit.>"], "deny_delete": true},
    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
  "subscribers": [
    {"name": "crm", "stream": "INTERACTIONS"},
    {"name": "analytics", "stream": "INTERACTIONS", "filter_subjects": ["genesys.*.interaction.call.>"]},
    {"name": "chatlog", "stream": "CHATS"}]
}`

// withoutCopies is the topology for who does not look at streams that copy others.
func withoutCopies() string {
	return strings.Replace(spreadTopology, `{"name": "COPY", "mirror": {"name": "INTERACTIONS"}},
    {"name": "ALL", "sources": [{"name": "CHATS"}, {"name": "DEAD_LETTERS"}]},`, "", 1)
}

// spread is a server on which interactions have left copies everywhere.
type spread struct {
	*commits
	topology *mesh.Topology
	letters  *mesh.DeadLetters
}

func newSpread(t *testing.T, js jetstream.JetStream, streams string) *spread {
	t.Helper()
	topology := meshtest.Topology(t, streams)
	meshtest.Apply(t, js, topology)
	letters, err := mesh.NewDeadLetters(js, topology)
	require.NoError(t, err)
	awaitContact(t, js)
	return &spread{startCommits(t, js, topology), topology, letters}
}

// awaitContact waits until each stream that copies others hears from them: a server that is stopped
// while it looks for them goes on looking for a while.
func awaitContact(t *testing.T, js jetstream.JetStream) {
	t.Helper()
	inContact := func() bool {
		list := js.ListStreams(t.Context())
		all := true
		for info := range list.Info() {
			for _, origin := range append(info.Sources, info.Mirror) {
				all = all && (origin == nil || origin.Active >= 0)
			}
		}
		return all && list.Err() == nil
	}
	require.Eventually(t, inContact, 40*time.Second, 20*time.Millisecond)
}

func (s *spread) eventOf(source, interaction, content string) mesh.Event {
	e := event(interaction, content)
	e.Source = source
	return e
}

func (s *spread) put(source, interaction, content string) mesh.Event {
	s.t.Helper()
	receipt := s.commit(s.eventOf(source, interaction, content))
	e, err := mesh.GetEvent(s.t.Context(), s.js, receipt.Stream, receipt.Sequence)
	require.NoError(s.t, err)
	return e
}

// bury makes a dead letter of an event and returns its number.
func (s *spread) bury(e mesh.Event, subscriber string) mesh.DeadLetter {
	s.t.Helper()
	require.NoError(s.t, s.letters.Bury(s.t.Context(), mesh.DeadLetter{
		Event: e, Subscriber: subscriber, Reason: mesh.DeadRejected, Attempts: 1, Status: 422, Error: "the target answered 422",
	}))
	var last mesh.DeadLetter
	for letter, err := range s.letters.Find(s.t.Context(), mesh.DeadFilter{Subscriber: subscriber}) {
		require.NoError(s.t, err)
		last = letter
	}
	return last
}

// everywhere leaves 9 copies: 2 events of genesys, 1 of bus and of chat, 2 dead letters, a replay, one in
// quarantine and one that was published on; and 8 more in the streams that copy others.
func (s *spread) everywhere(interaction string) {
	s.t.Helper()
	ctx, copied, all := s.t.Context(), s.last("COPY"), s.last("ALL")
	first := s.put("genesys", interaction, "connected")
	s.put("genesys", interaction, "ended")
	s.put("bus", interaction, "connected")
	chat := s.put("chat", interaction, "connected")
	s.bury(first, "crm")
	s.bury(chat, "chatlog")
	letter := s.bury(first, "analytics")
	s.awaitCopies(copied+3, all+4) // this letter, too, which the replay deletes
	require.NoError(s.t, s.letters.Replay(ctx, letter))
	s.awaitCopies(copied+3, all+5)
	_, err := s.Quarantine(ctx, s.eventOf("genesys", interaction, "odd"), "schema")
	require.NoError(s.t, err)
	republished := first.Msg("")
	republished.Subject = "orders.calls"
	_, err = s.js.PublishMsg(ctx, republished)
	require.NoError(s.t, err)
}

// last is the last sequence of a stream.
func (s *spread) last(stream string) uint64 {
	s.t.Helper()
	handle, err := s.js.Stream(s.t.Context(), stream)
	require.NoError(s.t, err)
	return handle.CachedInfo().State.LastSeq
}

// awaitCopies waits until the streams that copy others have come so far.
func (s *spread) awaitCopies(copied, all uint64) {
	s.t.Helper()
	require.Eventually(s.t, func() bool { return s.last("COPY") >= copied && s.last("ALL") >= all }, 40*time.Second, 10*time.Millisecond)
}

func (s *spread) plan(interaction, source string) *mesh.Erasure {
	s.t.Helper()
	e, err := mesh.PlanErasure(s.t.Context(), s.js, s.topology, interaction, source)
	require.NoError(s.t, err)
	return e
}

// counts are found, erased and left by stream, where anything was found.
func counts(e *mesh.Erasure) map[string][3]int {
	all := map[string][3]int{}
	for _, s := range e.Streams {
		if s.Found > 0 {
			all[s.Stream] = [3]int{s.Found, s.Erased, s.Left}
		}
	}
	return all
}

func TestEraseFindsEveryCopyAndNoOther(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), spreadTopology)
	s.everywhere("call-1")
	s.everywhere("call-12") // of which the other is the beginning

	e := s.plan("call-1", "")
	assert.Equal(t, map[string][3]int{
		"INTERACTIONS": {3, 0, 3}, "CHATS": {1, 0, 1}, "DEAD_LETTERS": {3, 0, 3}, "QUARANTINE": {1, 0, 1}, "ORDERS": {1, 0, 1},
		"COPY": {3, 0, 3}, "ALL": {5, 0, 5},
	}, counts(e))
	assert.False(t, e.Complete())

	steps := 0
	require.NoError(t, e.Run(t.Context(), func() { steps++ }))
	assert.True(t, e.Complete())
	assert.Equal(t, e.Found(), steps)
	assert.Zero(t, s.plan("call-1", "").Found(), "nothing is found any more")
	assert.Equal(t, 17, s.plan("call-12", "").Found(), "another interaction is untouched")
	assert.Empty(t, e.Elsewhere)
}

func TestErasedIDsMayBeAnything(t *testing.T) {
	long := strings.Repeat("京", 60)    // its token is a hash
	longer := strings.Repeat("x", 300) // it is one itself
	s := newSpread(t, meshtest.Start(t).JetStream(), spreadTopology)
	for name, pair := range map[string][2]string{
		"dots and wildcards": {"a.b.*", "a.b.>"},
		"percent":            {"50%2F", "50/"},
		"unicode":            {"gespräch", "gesprach"},
		"hashed subjects":    {long + "1", long + "2"},
		"hashed ids":         {longer + "1", longer + "2"},
		"dash":               {"-", "=2D"},
		"like a media type":  {"call", "interaction"},
	} {
		t.Run(name, func(t *testing.T) {
			s.everywhere(pair[0])
			s.everywhere(pair[1])
			for i, interaction := range pair {
				e := s.plan(interaction, "")
				assert.Equal(t, 17, e.Found())
				require.NoError(t, e.Run(t.Context(), nil))
				require.NoError(t, e.Notify(t.Context(), "asked for", false))
				assert.True(t, e.Complete())
				assert.Zero(t, s.plan(interaction, "").Found())
				assert.Equal(t, 17*(1-i), s.plan(pair[1], "").Found(), "the other is untouched")
			}
		})
	}
}

func TestEraseOfOneSourceLeavesTheSameIDOfAnother(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), spreadTopology)
	s.everywhere("42")

	e := s.plan("42", "chat")
	require.NoError(t, e.Run(t.Context(), nil))
	require.NoError(t, e.Notify(t.Context(), "asked for", false))
	assert.Equal(t, map[string][3]int{"CHATS": {1, 1, 0}, "DEAD_LETTERS": {1, 1, 0}, "ALL": {2, 2, 0}}, counts(e))
	assert.Equal(t, []mesh.ErasureNotice{{Source: "chat", Stream: "CHATS", Sequence: 2}}, e.Notices)
	assert.Equal(t, 13, s.plan("42", "").Found())

	_, err := mesh.PlanErasure(t.Context(), s.js, s.topology, "42", "chta")
	require.ErrorContains(t, err, `did you mean "chat"?`)
	_, err = mesh.PlanErasure(t.Context(), s.js, s.topology, "", "")
	require.ErrorContains(t, err, "an empty id names none")
}

func TestSubscribersHearOfAnErasureOnce(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), spreadTopology)
	s.everywhere("42")
	e := s.plan("42", "")
	require.NoError(t, e.Run(t.Context(), nil))
	require.NoError(t, e.Notify(t.Context(), "ticket 7", false))

	require.Equal(t, []mesh.ErasureNotice{
		{Source: "bus", Stream: "INTERACTIONS", Sequence: 4, Unheard: []string{"analytics"}},
		{Source: "chat", Stream: "CHATS", Sequence: 2},
		{Source: "genesys", Stream: "INTERACTIONS", Sequence: 5, Unheard: []string{"analytics"}},
	}, e.Notices, "analytics takes calls only")
	heard, err := mesh.GetEvent(t.Context(), s.js, "INTERACTIONS", 5)
	require.NoError(t, err)
	assert.Equal(t, "genesys."+mesh.Partition("42")+".genmesh=2Eerasure.-.42", heard.Subject)
	assert.Equal(t, [3]string{"genesys", "42", mesh.ErasureType}, [3]string{heard.Source, heard.Interaction, heard.Type})
	var body map[string]any
	require.NoError(t, json.Unmarshal(heard.Body, &body))
	delete(body, "erased_at")
	assert.Equal(t, map[string]any{"type": mesh.ErasureType, "source": "genesys", "interaction": "42", "events": 2.0, "reason": "ticket 7"}, body)
	onBus, err := mesh.GetEvent(t.Context(), s.js, "INTERACTIONS", 4)
	require.NoError(t, err)
	assert.Equal(t, "bus."+mesh.Partition("42")+".genmesh.erasure", onBus.Subject, "as the source's template says")

	again := s.plan("42", "")
	require.NoError(t, again.Notify(t.Context(), "ticket 7", false))
	assert.Zero(t, again.Found(), "what tells of the erasure is not erased")
	assert.Empty(t, again.Notices)
	require.NoError(t, again.Notify(t.Context(), "ticket 7", true))
	assert.Len(t, again.Notices, 3, "the sources are known from the earlier events")

	unknown := s.plan("43", "chat")
	require.NoError(t, unknown.Notify(t.Context(), "ticket 8", true))
	assert.Len(t, unknown.Notices, 1)
}

func TestRedeliveryOfAnErasedEventIsADuplicate(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	s.put("genesys", "42", "connected")
	s.put("genesys", "42", "ended")
	e := s.plan("42", "")
	require.NoError(t, e.Run(t.Context(), nil))
	require.NoError(t, e.Notify(t.Context(), "asked for", false))

	for _, content := range []string{"connected", "ended"} {
		assert.True(t, s.commit(s.eventOf("genesys", "42", content)).Duplicate, content)
	}
	assert.Zero(t, s.plan("42", "").Found())
}

func TestStreamThatDeniesDeletionIsSaidAndTheOthersAreErased(t *testing.T) {
	denied := strings.Replace(spreadTopology, `"mirror": {"name": "INTERACTIONS"}`, `"mirror": {"name": "INTERACTIONS"}, "deny_delete": true`, 1)
	s := newSpread(t, meshtest.Start(t).JetStream(), denied)
	s.everywhere("42")

	e := s.plan("42", "")
	require.NoError(t, e.Run(t.Context(), nil))
	assert.False(t, e.Complete())
	assert.Equal(t, [3]int{3, 0, 3}, counts(e)["COPY"])
	for _, stream := range e.Streams {
		if stream.Stream == "COPY" {
			assert.Contains(t, stream.Problem, "deny_delete")
		} else {
			assert.Zero(t, stream.Left, stream.Stream)
			assert.Empty(t, stream.Problem)
		}
	}
}

func TestMessageWithoutAnEnvelopeIsErasedByItsSubject(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), spreadTopology)
	ctx := t.Context()
	subject := func(interaction string) string {
		return "genesys." + mesh.Partition("42") + ".interaction.call." + interaction
	}
	for _, interaction := range []string{"42", "421"} {
		ack, err := s.js.Publish(ctx, subject(interaction), []byte("no event"))
		require.NoError(t, err)
		require.NoError(t, s.letters.Bury(ctx, mesh.DeadLetter{Subscriber: "crm", Reason: mesh.DeadUnreadable, Event: mesh.Event{
			Subject: subject(interaction), Stream: "INTERACTIONS", Sequence: ack.Sequence, Body: []byte("no event"),
		}}))
	}
	s.awaitCopies(2, 2)

	e := s.plan("42", "genesys")
	require.NoError(t, e.Run(ctx, nil))
	assert.Equal(t, map[string][3]int{"INTERACTIONS": {1, 1, 0}, "COPY": {1, 1, 0}, "DEAD_LETTERS": {1, 1, 0}, "ALL": {1, 1, 0}}, counts(e))
	assert.Equal(t, uint64(1), s.stored("DEAD_LETTERS"))
}

func TestEraseSaysWhoMayHoldAnEventAndWhatItDoesNotReach(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	ctx := t.Context()
	_, err := s.js.CreateStream(ctx, jetstream.StreamConfig{Name: "BACKUP", Mirror: &jetstream.StreamSource{Name: "INTERACTIONS"}})
	require.NoError(t, err)
	awaitContact(t, s.js)
	consumer, err := s.js.PushConsumer(ctx, "INTERACTIONS", "crm")
	require.NoError(t, err)
	taken := make(chan jetstream.Msg, 2)
	consuming, err := consumer.Consume(func(msg jetstream.Msg) { taken <- msg })
	require.NoError(t, err)
	defer consuming.Stop()
	s.put("genesys", "42", "connected")
	held := <-taken // a worker that tries and tries

	e := s.plan("42", "")
	assert.Equal(t, []string{"BACKUP"}, e.Elsewhere)
	require.NoError(t, e.Run(ctx, nil))
	assert.Equal(t, []mesh.ErasureInHand{{Subscriber: "crm", Stream: "INTERACTIONS", Events: 1}}, e.InHand)

	late, err := mesh.ParseStored(held)
	require.NoError(t, err)
	s.bury(late, "crm")
	again := s.plan("42", "")
	require.NoError(t, again.Run(ctx, nil))
	assert.Equal(t, [3]int{1, 1, 0}, counts(again)["DEAD_LETTERS"], "what it buried later is found")
	assert.Empty(t, again.InHand)
}

func TestErasedBytesAreGoneFromDisk(t *testing.T) {
	folder := t.TempDir()
	server, js := serverOn(t, folder)
	s := newSpread(t, js, spreadTopology)
	e := s.eventOf("genesys", "erase-me-42", "connected")
	e.Body = []byte(`{"data":{"id":"erase-me-42","transcript":"tell nobody"}}`)
	for i := range 50 { // so that it lies in the midst of others
		other := fmt.Sprintf("other-%d", i)
		s.put("genesys", other, "connected")
		if i == 25 {
			stored := s.commit(e)
			kept, err := mesh.GetEvent(t.Context(), js, stored.Stream, stored.Sequence)
			require.NoError(t, err)
			s.bury(kept, "crm")
			letter := s.bury(kept, "analytics")
			s.awaitCopies(27, 2)
			require.NoError(t, s.letters.Replay(t.Context(), letter))
			_, err = s.Quarantine(t.Context(), e, "schema")
			require.NoError(t, err)
		}
	}
	s.awaitCopies(51, 3)
	require.NotEmpty(t, filesWith(t, folder, "tell nobody"))

	erasure := s.plan("erase-me-42", "")
	require.NoError(t, erasure.Run(t.Context(), nil))
	require.True(t, erasure.Complete())

	assert.Empty(t, filesWith(t, folder, "tell nobody"), "while the server runs")
	require.NoError(t, server.Shutdown())
	assert.Empty(t, filesWith(t, folder, "tell nobody"), "after it wrote all that it keeps in memory")
	assert.Empty(t, filesWith(t, folder, "erase-me-42"), "the index of the subjects was written anew at the end")
	assert.NotEmpty(t, filesWith(t, folder, "other-25"))
}

// serverOn runs a server on a folder that the test can look into.
func serverOn(t testing.TB, folder string) (*embedded.Server, jetstream.JetStream) {
	t.Helper()
	server, err := embedded.Start(t.Context(), embedded.Options{DataDir: folder, Listen: "127.0.0.1:0", Logger: meshtest.Quiet()})
	require.NoError(t, err)
	t.Cleanup(func() { _ = server.Shutdown() }) // the test may have ended it
	nc, err := mesh.Connect(t.Name(), server.ClientURL(), meshtest.Quiet())
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := mesh.JetStream(nc)
	require.NoError(t, err)
	return server, js
}

// filesWith are the files below a folder that hold a text.
func filesWith(t *testing.T, folder, text string) []string {
	t.Helper()
	var files []string
	require.NoError(t, filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if bytes.Contains(data, []byte(text)) {
			files = append(files, strings.TrimPrefix(path, folder))
		}
		return err
	}))
	return files
}

func TestAuditRecordsAreKeptAndNameNoInteraction(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	ctx := t.Context()
	record := mesh.Audit{
		At: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Who: mesh.Actor{OSUser: "ops"}, Action: "erase", Result: mesh.AuditIntended,
		InteractionSHA256: mesh.HashInteraction("42"), Reason: "ticket 7", Streams: []mesh.StreamErasure{{Stream: "CHATS", Found: 1, Left: 1}},
	}
	require.NoError(t, mesh.RecordAudit(ctx, s.js, s.topology, record))
	stream, err := s.js.Stream(ctx, "AUDIT")
	require.NoError(t, err)
	msg, err := stream.GetLastMsgForSubject(ctx, "audit.erase")
	require.NoError(t, err)
	assert.JSONEq(t, `{"at":"2026-01-02T03:04:05Z","who":{"os_user":"ops"},"action":"erase","result":"intended","reason":"ticket 7",
		"interaction_sha256":"73475cb40a568e8da8a045ced110137e159f890ac4da883b6b17dc651b3a8049",
		"streams":[{"stream":"CHATS","found":1,"erased":0,"left":1}]}`, string(msg.Data))

	none := meshtest.Topology(t, committerTopology)
	require.ErrorIs(t, mesh.RecordAudit(ctx, s.js, none, record), mesh.ErrNoAudit)
}

// BenchmarkErase is one message of a stream with full blocks: the server rewrites the whole block.
func BenchmarkErase(b *testing.B) {
	_, js := serverOn(b, b.TempDir())
	topology := meshtest.Topology(b, spreadTopology)
	meshtest.Apply(b, js, topology)
	body := bytes.Repeat([]byte("x"), 1024)
	publish := func(interaction string, n int) {
		for i := range n {
			msg := mesh.Event{
				Source: "genesys", Interaction: interaction, Type: "interaction", Fingerprint: fmt.Sprint(i),
				Subject: "genesys." + mesh.Partition(interaction) + ".interaction.call." + interaction, Body: body,
			}.Msg("")
			_, err := js.PublishMsgAsync(msg)
			require.NoError(b, err)
		}
		select {
		case <-js.PublishAsyncComplete():
		case <-time.After(time.Minute):
			b.Fatal("publishing takes too long")
		}
	}
	for i := range 50 {
		publish(fmt.Sprintf("other-%d", i), 400)
	}
	publish("42", b.N)
	ctx, cancel := context.WithTimeout(b.Context(), 5*time.Minute)
	defer cancel()
	b.ResetTimer()
	e, err := mesh.PlanErasure(ctx, js, topology, "42", "")
	require.NoError(b, err)
	b.ReportMetric(float64(b.Elapsed().Milliseconds()), "ms/plan")
	require.NoError(b, e.Run(ctx, nil))
	require.True(b, e.Complete())
}
