package admin_test

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// shift is a day of a mesh: whatever is done to it on purpose is no loss, and whatever is not is one.
type shift struct {
	*desk
	random *rand.Rand
	events int
}

// doings are what may be done to a mesh in any order.
func (s *shift) doings() map[string]func() {
	return map[string]func(){
		"events come in":          func() { s.put(fmt.Sprint("call-", s.next()), "connected") },
		"an event is buried":      func() { s.bury(fmt.Sprint("call-", s.next())) },
		"an event is quarantined": func() { s.quarantine() },
		"an interaction is erased": func() {
			interaction := fmt.Sprint("call-", 1+s.random.IntN(s.events+1))
			_, err := s.Erase(s.t.Context(), s.by, admin.EraseAsk{Interaction: interaction}, nil)
			s.allow(err)
		},
		"dead letters are discarded": func() {
			_, err := s.DiscardDeadLetters(s.t.Context(), s.by, admin.DeadSelection{Subscriber: "crm", Limit: 1 + s.random.IntN(3)}, nil)
			s.allow(err)
		},
		"dead letters are replayed": func() {
			_, err := s.ReplayDeadLetters(s.t.Context(), s.by, admin.DeadSelection{Subscriber: "crm", Limit: 1 + s.random.IntN(3)}, nil)
			s.allow(err)
		},
		"a replay ends": func() { s.endReplay() },
		"what is quarantined is discarded": func() {
			_, err := s.DiscardQuarantined(s.t.Context(), s.by, admin.QuarantineSelection{All: true}, nil)
			s.allow(err)
		},
		"what is quarantined is released": func() {
			_, err := s.ReleaseQuarantined(s.t.Context(), s.by, admin.QuarantineSelection{All: true}, nil)
			s.allow(err)
		},
		"somebody looks": func() { s.requireNothing("by the way") },
	}
}

func (s *shift) next() int {
	s.events++
	return s.events
}

// allow takes what an operator may be told: nothing to do is no failure of the mesh.
func (s *shift) allow(err error) {
	if err != nil && !errors.Is(err, admin.ErrInvalid) && !errors.Is(err, admin.ErrNotFound) {
		require.NoError(s.t, err)
	}
}

func (s *shift) quarantine() {
	_, err := s.committer.Quarantine(s.t.Context(), mesh.Event{Source: "genesys", Body: fmt.Appendf(nil, `{"n":%d}`, s.next())}, "schema")
	require.NoError(s.t, err)
}

// endReplay deletes the oldest replay, as its subscriber's worker does.
func (s *shift) endReplay() {
	if replays := s.stored("DEAD_LETTERS", "replay.>"); len(replays) > 0 {
		require.NoError(s.t, s.stream("DEAD_LETTERS").DeleteMsg(s.t.Context(), replays[0].Sequence))
	}
}

func (s *shift) stream(name string) jetstream.Stream {
	stream, err := s.js.Stream(s.t.Context(), name)
	require.NoError(s.t, err)
	return stream
}

func (s *shift) requireNothing(after string, args ...any) {
	s.t.Helper()
	report, err := s.RunScrub(s.t.Context(), s.random.IntN(2) == 0, nil)
	require.NoError(s.t, err)
	require.Empty(s.t, report.Findings, append([]any{after}, args...)...)
}

// Whatever operators do in whatever order is no finding; what somebody takes behind their backs is one, and names what.
func TestOnlyWhatNobodyDidIsAFinding(t *testing.T) {
	const rounds, atOnce = 8, 12
	seed := rand.Uint64()
	t.Log("seed", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	s := &shift{desk: newDesk(t), random: random} // one mesh for all: the longer it lives the more may go wrong
	doings := s.doings()
	names := slices.Sorted(maps.Keys(doings))
	for range rounds {
		var done []string
		for range 1 + random.IntN(atOnce) {
			name := names[random.IntN(len(names))]
			done = append(done, name)
			doings[name]()
		}
		s.requireNothing("%v", done)
		s.plant()
	}
}

// A stream that has lost something wants somebody, and works all the same.
func TestAStreamThatLostSomethingIsStuck(t *testing.T) {
	d := newDesk(t)
	for n := range 4 {
		d.put(fmt.Sprint("call-", n), "connected")
	}
	_, err := d.RunScrub(t.Context(), true, nil)
	require.NoError(t, err)
	stream, err := d.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 2))
	_, err = d.RunScrub(t.Context(), false, nil)
	require.NoError(t, err)

	overview, err := d.Overview(t.Context())
	require.NoError(t, err)
	assert.Equal(t, admin.HealthStuck, overview.Streams[0].Health)
	assert.Equal(t, "message 2 of INTERACTIONS is missing; genmesh scrub tells what to do", overview.Streams[0].Why)
	require.Len(t, overview.Streams[0].Findings, 1)
	assert.Equal(t, admin.HealthGood, overview.Sources[0].Health, "what comes in is stored")

	_, err = d.AcceptScrub(t.Context(), admin.By{Who: d.by.Who}, overview.Streams[0].Findings[0].ID)
	require.ErrorIs(t, err, admin.ErrInvalid, "a reason is needed")
	_, err = d.AcceptScrub(t.Context(), d.by, 99)
	require.ErrorIs(t, err, admin.ErrNotFound)
	accepted, err := d.AcceptScrub(t.Context(), d.by, overview.Streams[0].Findings[0].ID)
	require.NoError(t, err)
	assert.True(t, accepted.Audited)
	streams, err := d.Streams(t.Context())
	require.NoError(t, err)
	assert.Equal(t, admin.HealthGood, streams[0].Health)
}

// plant takes one message out of a stream, and accepts the finding.
func (s *shift) plant() {
	t := s.t
	name := []string{"INTERACTIONS", "QUARANTINE"}[s.random.IntN(2)]
	if name == "QUARANTINE" {
		s.quarantine()
	} else {
		s.put(fmt.Sprint("call-", s.next()), "connected")
	}
	stream := s.stream(name)
	info, err := stream.Info(s.t.Context())
	require.NoError(t, err)
	lost := info.State.LastSeq
	s.quarantine()
	s.put(fmt.Sprint("call-", s.next()), "connected")
	s.requireNothing("before the loss")
	require.NoError(t, stream.DeleteMsg(s.t.Context(), lost))

	report, err := s.RunScrub(s.t.Context(), false, nil)
	require.NoError(t, err)
	require.Len(t, report.Findings, 1, "%s %d", name, lost)
	f := report.Findings[0]
	assert.Equal(t, []any{mesh.ScrubMissing, name, lost, lost}, []any{f.Kind, f.Stream, f.First, f.Last})
	_, err = s.AcceptScrub(s.t.Context(), s.by, f.ID)
	require.NoError(t, err)
}
