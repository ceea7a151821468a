package mesh_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// archive is a stream with events of two sources, among which some were deleted, and messages that are no events.
type archive struct {
	t        *testing.T
	js       jetstream.JetStream
	topology *mesh.Topology
	events   []mesh.Event // as they are stored, the oldest first; of what is no event only the place
}

// newArchive stores n messages, of which one in sixty has the type "rare".
func newArchive(t *testing.T, n int) *archive {
	t.Helper()
	a := &archive{t: t, js: meshtest.Start(t).JetStream(), topology: meshtest.Topology(t, withoutCopies())}
	meshtest.Apply(t, a.js, a.topology)
	var acks []jetstream.PubAckFuture
	for i := range n {
		msg := a.message(i)
		ack, err := a.js.PublishMsgAsync(msg)
		require.NoError(t, err)
		acks = append(acks, ack)
	}
	for i, ack := range acks {
		select {
		case stored := <-ack.Ok():
			require.EqualValues(t, i+1, stored.Sequence)
		case err := <-ack.Err():
			require.NoError(t, err)
		}
	}
	a.delete(n)
	return a
}

func (a *archive) message(i int) *nats.Msg {
	if i%50 == 49 {
		a.events = append(a.events, mesh.Event{Subject: "genesys.no.event", Sequence: uint64(i + 1)})
		return &nats.Msg{Subject: "genesys.no.event", Data: []byte("?")}
	}
	kinds := []string{"connected", "held", "held", "ended"}
	e := mesh.Event{
		Source: "genesys", Type: kinds[i%len(kinds)], Media: "call", Interaction: fmt.Sprint("call-", i*37%100),
		Fingerprint: fmt.Sprint(i), Body: []byte(strings.Repeat("x", i%7)), Sequence: uint64(i + 1),
	}
	if i%60 == 17 {
		e.Type = "rare"
	}
	e.Subject = "genesys." + mesh.Partition(e.Interaction) + "." + e.Type + ".call." + e.Interaction
	if i%3 == 0 { // its subjects name no interaction
		e.Source, e.Subject = "bus", "bus."+mesh.Partition(e.Interaction)+"."+e.Type
	}
	a.events = append(a.events, e)
	return e.Msg("")
}

// delete takes a tenth out, and a long stretch in the middle.
func (a *archive) delete(n int) {
	stream := a.stream()
	gone := func(e mesh.Event) bool {
		i := int(e.Sequence)
		return i%10 == 3 || i > n/2 && i < n/2+n/10
	}
	for _, e := range a.events {
		if gone(e) {
			require.NoError(a.t, stream.DeleteMsg(a.t.Context(), e.Sequence))
		}
	}
	a.events = slices.DeleteFunc(a.events, gone)
}

func (a *archive) stream() jetstream.Stream {
	a.t.Helper()
	stream, err := a.js.Stream(a.t.Context(), "INTERACTIONS")
	require.NoError(a.t, err)
	return stream
}

// expected are the sequences of the events that a search should find, the newest first.
func (a *archive) expected(is func(mesh.Event) bool) []uint64 {
	found := []uint64{}
	for _, e := range slices.Backward(a.events) {
		if is(e) {
			found = append(found, e.Sequence)
		}
	}
	return found
}

// found are those that it finds, page by page.
func (a *archive) found(search mesh.EventSearch) []uint64 {
	a.t.Helper()
	sequences := []uint64{}
	for pages := 0; ; pages++ {
		require.LessOrEqual(a.t, pages, len(a.events), "a page that makes no progress")
		page, err := a.topology.SearchEvents(a.t.Context(), a.js, a.stream(), search)
		require.NoError(a.t, err)
		require.LessOrEqual(a.t, len(page.Events), search.Limit)
		for _, e := range page.Events {
			sequences = append(sequences, e.Sequence)
		}
		if page.Next == 0 {
			return sequences
		}
		if page.SearchedTo.IsZero() {
			require.Len(a.t, page.Events, search.Limit)
		}
		search.Before = page.Next
	}
}

func TestPagesOfASearchHaveEachEventOnceTheNewestFirst(t *testing.T) {
	a := newArchive(t, 1200)
	for name, tc := range map[string]struct {
		search mesh.EventSearch
		is     func(mesh.Event) bool
	}{
		"everything":       {mesh.EventSearch{}, func(mesh.Event) bool { return true }},
		"a source":         {mesh.EventSearch{Source: "bus"}, func(e mesh.Event) bool { return e.Source == "bus" }},
		"a common type":    {mesh.EventSearch{Type: "held"}, func(e mesh.Event) bool { return e.Type == "held" }},
		"a rare type":      {mesh.EventSearch{Type: "rare"}, func(e mesh.Event) bool { return e.Type == "rare" }},
		"no such type":     {mesh.EventSearch{Type: "hel"}, func(mesh.Event) bool { return false }},
		"an interaction":   {mesh.EventSearch{Interaction: "call-7"}, func(e mesh.Event) bool { return e.Interaction == "call-7" }},
		"part of its name": {mesh.EventSearch{Interaction: "call-"}, func(mesh.Event) bool { return false }},
		"of both": {mesh.EventSearch{Source: "bus", Interaction: "call-7", Type: "held"}, func(e mesh.Event) bool {
			return e.Source == "bus" && e.Interaction == "call-7" && e.Type == "held"
		}},
		"a subject":         {mesh.EventSearch{Subject: "bus.*.rare"}, func(e mesh.Event) bool { return e.Source == "bus" && e.Type == "rare" }},
		"any subject":       {mesh.EventSearch{Subject: ">"}, func(mesh.Event) bool { return true }},
		"no events":         {mesh.EventSearch{Subject: "genesys.no.*"}, func(e mesh.Event) bool { return e.Source == "" }},
		"of another stream": {mesh.EventSearch{Subject: "chat.>"}, func(mesh.Event) bool { return false }},
		"another source":    {mesh.EventSearch{Source: "chat"}, func(mesh.Event) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) {
			want := a.expected(tc.is)
			for _, limit := range []int{13, 10_000} {
				tc.search.Limit = limit
				assert.Equal(t, want, a.found(tc.search), "pages of %d", limit)
			}
		})
	}
}

func TestASearchThatTakesLongSaysHowFarItCameAndGoesOn(t *testing.T) {
	a := newArchive(t, 800)
	search := mesh.EventSearch{Type: "rare", Limit: 50, Patience: time.Nanosecond}
	page, err := a.topology.SearchEvents(t.Context(), a.js, a.stream(), search)
	require.NoError(t, err)
	assert.NotZero(t, page.Next)
	reached, err := a.stream().GetMsg(t.Context(), page.Next, jetstream.WithGetMsgSubject(">"))
	require.NoError(t, err)
	assert.Equal(t, reached.Time, page.SearchedTo)

	want := a.expected(func(e mesh.Event) bool { return e.Type == "rare" })
	assert.Equal(t, want, a.found(search))
}

func TestAPageTakesFewQuestionsHoweverFarBackItIs(t *testing.T) {
	a := newArchive(t, 1200)
	asked := 0
	traced, err := jetstream.New(a.js.Conn(), jetstream.WithClientTrace(&jetstream.ClientTrace{
		RequestSent: func(string, []byte) { asked++ },
	}))
	require.NoError(t, err)
	stream, err := traced.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	rare := mesh.EventSearch{Type: "rare", Limit: 5}
	unnamed := mesh.EventSearch{Source: "bus", Interaction: "call-7", Limit: 2} // the subjects don't tell
	for _, search := range []mesh.EventSearch{rare, unnamed} {
		for _, before := range []uint64{0, 900, 600} {
			asked, search.Before = 0, before
			page, err := a.topology.SearchEvents(t.Context(), traced, stream, search)
			require.NoError(t, err)
			require.NotEmpty(t, page.Events)
			assert.LessOrEqual(t, asked, 40)
		}
	}
}

func TestASearchIsBoundedByTime(t *testing.T) {
	a := newArchive(t, 1000)
	at := func(i int) time.Time {
		msg, err := a.stream().GetMsg(t.Context(), a.events[i].Sequence)
		require.NoError(t, err)
		return msg.Time
	}
	since, until := at(200), at(500)
	between := func(e mesh.Event) bool {
		return e.Sequence >= a.events[200].Sequence && e.Sequence <= a.events[500].Sequence
	}
	assert.Equal(t, a.expected(between), a.found(mesh.EventSearch{Since: since, Until: until, Limit: 70}))
	assert.Equal(t, a.expected(func(e mesh.Event) bool { return between(e) && e.Type == "held" }),
		a.found(mesh.EventSearch{Since: since, Until: until, Type: "held", Limit: 70}))
	assert.Empty(t, a.found(mesh.EventSearch{Since: time.Now().Add(time.Hour), Limit: 70}))
	assert.Empty(t, a.found(mesh.EventSearch{Until: since.Add(-time.Hour), Limit: 70}))
}

func TestAFoundEventHasItsEnvelopeAndSizeWithoutTheBody(t *testing.T) {
	s := newSpread(t, meshtest.Start(t).JetStream(), withoutCopies())
	stored := s.put("genesys", "42", "connected")
	stream, err := s.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	found, err := s.topology.SearchEvents(t.Context(), s.js, stream, mesh.EventSearch{Limit: 10})
	require.NoError(t, err)
	require.Len(t, found.Events, 1)
	assert.Equal(t, len(stored.Body), found.Events[0].Bytes)
	stored.Body = nil
	found.Events[0].Body = nil // empty or nil
	assert.Equal(t, stored, found.Events[0].Event)

	empty, err := s.js.Stream(t.Context(), "CHATS")
	require.NoError(t, err)
	found, err = s.topology.SearchEvents(t.Context(), s.js, empty, mesh.EventSearch{Limit: 10})
	require.NoError(t, err)
	assert.Equal(t, mesh.FoundEvents{}, found)
}

func TestSubjectsAreCheckedAsNATSDoes(t *testing.T) {
	for _, good := range []string{">", "*", "genesys.>", "genesys.*.held.>", "a.b", "a.*", "$JS.x", "käse.1"} {
		assert.NoError(t, mesh.CheckSubject(good), good)
	}
	for bad, why := range map[string]string{
		"": "empty", ".": "empty", "a.": "empty", ".a": "empty", "a..b": "empty", "a b": "white space", "a.\tb": "white space",
		"a.\x00": "white space", "a.\n>": "white space", ">.a": "last token", "a.>.b": "last token", "a.b*": "of their own", "a.>>": "of their own",
		"a.**": "of their own",
	} {
		assert.ErrorContains(t, mesh.CheckSubject(bad), why, bad)
	}
}

func FuzzCheckSubject(f *testing.F) {
	for _, subject := range []string{"a.>", "*.b", "a..", "\xff", "a.b*", " "} {
		f.Add(subject)
	}
	server := meshtest.Start(f)
	js := server.JetStream()
	stream, err := js.CreateStream(f.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{">"}, NoAck: true, Storage: jetstream.MemoryStorage})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, subject string) {
		if mesh.CheckSubject(subject) != nil || len(subject) > 200 {
			return
		}
		// What passes is taken by the server.
		consumer, err := stream.CreateConsumer(t.Context(), jetstream.ConsumerConfig{
			FilterSubject: subject, AckPolicy: jetstream.AckNonePolicy, InactiveThreshold: time.Second, MemoryStorage: true,
		})
		require.NoError(t, err, "%q", subject)
		require.NoError(t, stream.DeleteConsumer(t.Context(), consumer.CachedInfo().Name))
	})
}
