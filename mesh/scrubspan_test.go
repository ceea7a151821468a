package mesh

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"pgregory.net/rapid"
)

// Spans are sets of sequences, written short.
func TestSpansAreSets(t *testing.T) {
	sets := rapid.SliceOfNDistinct(rapid.Uint64Range(1, 60), 0, 40, rapid.ID[uint64])
	rapid.Check(t, func(t *rapid.T) {
		a, b := sets.Draw(t, "a"), sets.Draw(t, "b")
		slices.Sort(a)
		slices.Sort(b)
		first := rapid.Uint64Range(1, 60).Draw(t, "first")
		last := rapid.Uint64Range(first, 60).Draw(t, "last")
		sa, sb := spansOf(a), spansOf(b)
		keep := func(is func(uint64) bool) (kept []uint64) {
			for n := range uint64(61) {
				if is(n) {
					kept = append(kept, n)
				}
			}
			return kept
		}
		in := func(set []uint64, n uint64) bool { return slices.Contains(set, n) }
		assert.Equal(t, spansOf(keep(func(n uint64) bool { return in(a, n) && !in(b, n) })), sa.without(sb))
		assert.Equal(t, spansOf(keep(func(n uint64) bool { return in(a, n) || in(b, n) })), sa.with(sb))
		assert.Equal(t, spansOf(keep(func(n uint64) bool { return in(a, n) && n >= first && n <= last })), sa.within(first, last))
		assert.EqualValues(t, len(a), sa.count())
	})
}

// What a stream's limits may have taken is no loss, and what they can't have taken is one.
func TestLimitsTakeTheOldestWhenTheirTimeHasCome(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	hour := time.Hour
	byAge := jetstream.StreamConfig{Name: "S", MaxAge: 24 * hour}
	bySize := jetstream.StreamConfig{Name: "S", MaxBytes: 1000, Discard: jetstream.DiscardOld}
	// By the mark, 1 to 100 are there; up to 10 may expire within a minute, up to 50 within an hour.
	expiries := []expiry{{at.Add(time.Minute), 11}, {at.Add(hour), 51}}
	for name, c := range map[string]struct {
		config jetstream.StreamConfig
		later  time.Duration
		first  uint64
		bytes  uint64
		was    func(*scrubMark)
		lost   []ScrubFinding
	}{
		"nothing is gone":                                {config: byAge, later: 10 * time.Second, first: 1},
		"what was due has expired":                       {config: byAge, later: 10 * time.Second, first: 8},
		"more is gone than was due":                      {config: byAge, later: 10 * time.Second, first: 31, lost: []ScrubFinding{missingOf(11, 30)}},
		"nobody looked for a while, and more was due":    {config: byAge, later: 30 * time.Minute, first: 31},
		"more is gone than was due in that while":        {config: byAge, later: 30 * time.Minute, first: 61, lost: []ScrubFinding{missingOf(51, 60)}},
		"nobody looked for longer than is known":         {config: byAge, later: 5 * hour, first: 61},
		"what came since is not that old":                {config: byAge, later: 5 * hour, first: 111, lost: []ScrubFinding{missingOf(101, 110)}},
		"all is too old by now":                          {config: byAge, later: 48 * hour, first: 121},
		"a full stream rolls":                            {config: bySize, later: 10 * time.Second, first: 31, bytes: 995},
		"it was full before":                             {config: bySize, later: 10 * time.Second, first: 31, bytes: 500, was: func(m *scrubMark) { m.Bytes = 990 }},
		"a stream that is not full has no reason to":     {config: bySize, later: 10 * time.Second, first: 31, bytes: 500, lost: []ScrubFinding{missingOf(1, 30)}},
		"somebody has lowered the limits":                {config: byAge, later: 10 * time.Second, first: 61, was: func(m *scrubMark) { m.Limits.MaxAge = 48 * hour }},
		"a stream without limits keeps what it has":      {config: jetstream.StreamConfig{Name: "S"}, later: 48 * hour, first: 2, lost: []ScrubFinding{missingOf(1, 1)}},
		"what interest or the consumers take is no loss": {config: jetstream.StreamConfig{Name: "S", Retention: jetstream.WorkQueuePolicy}, later: time.Second, first: 91},
	} {
		t.Run(name, func(t *testing.T) {
			m := scrubMark{At: at, Created: at, First: 1, Last: 100, Messages: 100, Bytes: 500, Limits: limitsOf(c.config), Expiries: expiries}
			if c.was != nil {
				c.was(&m)
			}
			l := streamLook{at: at.Add(c.later), created: at, first: c.first, last: 130, messages: 131 - c.first, bytes: c.bytes, config: c.config}
			assert.Equal(t, c.lost, m.judge(l, 0, 0, false, func(lost spans) spans { return lost }))
		})
	}
}

func missingOf(first, last uint64) ScrubFinding {
	return ScrubFinding{Kind: ScrubMissing, Stream: "S", First: first, Last: last, Count: last - first + 1}
}

// Where holes are in too many pieces to be listed, their number still tells that something is missing.
func TestTooManyHolesAreCounted(t *testing.T) {
	at := time.Date(2026, 11, 30, 12, 0, 0, 0, time.UTC)
	config := jetstream.StreamConfig{Name: "S"}
	m := scrubMark{At: at, Created: at, First: 1, Last: 1000, Messages: 400, Uncounted: true, Grants: []grant{{Of: 3, Left: 3}}}
	l := streamLook{at: at.Add(time.Second), created: at, first: 1, last: 1010, messages: 407, uncounted: true, config: config}
	assert.Empty(t, m.judge(l, 0, 0, false, m.explain), "three were going to be deleted")
	l.messages = 400
	assert.Equal(t, []ScrubFinding{{Kind: ScrubMissing, Stream: "S", First: 1, Last: 1010, Count: 10, Since: at}}, m.judge(l, 0, 0, false, m.explain))
}
