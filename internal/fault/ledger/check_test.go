package ledger_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
)

// run is a small run in which all went well: two interactions of three events, one of them a dead letter of analytics.
type run struct {
	ledger *ledger.Ledger
	bodies [][]byte
	after  ledger.Aftermath
	// at is what each subscriber takes when the run is judged.
	at map[string][][]byte
}

func newRun() *run {
	r := &run{ledger: ledger.New()}
	for _, interaction := range []string{"a", "b"} {
		for n := range 3 {
			name := ledger.Name{Interaction: interaction, Number: n}
			r.bodies = append(r.bodies, r.ledger.Body(name))
			r.ledger.Answered(name)
		}
	}
	r.after = ledger.Aftermath{
		Stored: r.bodies, Dead: map[string][][]byte{"analytics": {r.bodies[5]}},
		Waiting: map[string]uint64{"crm": 0, "analytics": 0},
	}
	r.at = map[string][][]byte{"crm": r.bodies, "analytics": r.bodies[:5]}
	return r
}

func (r *run) judge() ledger.Verdict {
	for subscriber, bodies := range r.at {
		for _, body := range bodies {
			r.ledger.Arrived(subscriber, body)
		}
	}
	return r.ledger.Check(r.after)
}

func without(bodies [][]byte, i int) [][]byte {
	return append(append([][]byte(nil), bodies[:i]...), bodies[i+1:]...)
}

func instead(bodies [][]byte, i int, body []byte) [][]byte {
	changed := append([][]byte(nil), bodies...)
	changed[i] = body
	return changed
}

func altered(body []byte) []byte {
	return bytes.Replace(body, []byte("wallboard"), []byte("wallBoard"), 1)
}

func TestARunInWhichAllWentWellIsCalledWell(t *testing.T) {
	v := newRun().judge()
	require.NoError(t, v.Err())
	assert.Empty(t, v.Doubled)
}

// TestEachPlantedFaultIsNamed: a judge that sees nothing would make every run a good one.
func TestEachPlantedFaultIsNamed(t *testing.T) {
	stranger := ledger.New().Body(ledger.Name{Interaction: "stranger", Number: 7})
	for fault, c := range map[string]struct {
		plant func(r *run)
		want  string
	}{
		"lost from the stream": {
			func(r *run) { r.after.Stored = without(r.bodies, 1) },
			"1 answered and not stored: a/1",
		},
		"stored twice": {
			func(r *run) { r.after.Stored = append(r.bodies[:6:6], r.bodies[2]) },
			"1 stored twice: a/2",
		},
		"altered in the stream": {
			func(r *run) { r.after.Stored = instead(r.bodies, 3, altered(r.bodies[3])) },
			"1 answered and not stored: b/0; 1 altered: b/0 in the stream",
		},
		"altered on its way": {
			func(r *run) { r.at["crm"] = instead(r.bodies, 3, altered(r.bodies[3])) },
			"1 altered: b/0 in what crm got; 1 stranded for crm: b/0",
		},
		"altered in a dead letter": {
			func(r *run) { r.after.Dead["analytics"] = [][]byte{altered(r.bodies[5])} },
			"1 altered: b/2 in the dead letters of analytics; 1 stranded for analytics: b/2",
		},
		"never sent": {
			func(r *run) { r.at["crm"] = append(r.bodies[:6:6], stranger) },
			"1 never sent: stranger/7 in what crm got",
		},
		"never sent and nameless": {
			func(r *run) { r.after.Stored = append(r.bodies[:6:6], []byte("{}")) },
			"1 never sent: a body without a name (sha256 44136fa3) in the stream",
		},
		"stranded": {
			func(r *run) { r.at["crm"] = without(r.bodies, 4) },
			"1 stranded for crm: b/1",
		},
		"stranded although nobody was answered": {
			func(r *run) {
				late := r.ledger.Body(ledger.Name{Interaction: "c"})
				r.after.Stored = append(r.bodies[:6:6], late)
				r.at["analytics"] = append(r.bodies[:5:5], late)
			},
			"1 stranded for crm: c/0",
		},
		"still on its way": {
			func(r *run) { r.at["crm"], r.after.Waiting["crm"] = without(r.bodies, 4), 1 },
			"1 missing at crm: b/1",
		},
		"a dead letter gone": {
			func(r *run) { r.after.Dead = nil },
			"1 stranded for analytics: b/2",
		},
		"another's dead letter": {
			func(r *run) {
				r.at["crm"], r.after.Dead["analytics"] = without(r.bodies, 4), [][]byte{r.bodies[5], r.bodies[4]}
			},
			"1 stranded for crm: b/1",
		},
		"out of order": {
			func(r *run) { r.at["crm"] = instead(instead(r.bodies, 1, r.bodies[2]), 2, r.bodies[1]) },
			"1 out of order at crm: a/1",
		},
	} {
		t.Run(fault, func(t *testing.T) {
			r := newRun()
			c.plant(r)
			assert.EqualError(t, r.judge().Err(), c.want)
		})
	}
}

func TestWhatArrivesAgainIsCountedAndNoFaultByItself(t *testing.T) {
	r := newRun()
	r.at["crm"] = append(r.bodies[:6:6], r.bodies[0], r.bodies[0], r.bodies[5])
	v := r.judge()
	require.NoError(t, v.Err(), "an event that comes again is not out of order")
	assert.Equal(t, map[string]int{"crm": 3}, v.Doubled)
}

func TestAnEventThatNobodyWasAnsweredMayBeAnywhereOrNowhere(t *testing.T) {
	r := newRun()
	r.ledger.Body(ledger.Name{Interaction: "unanswered"})
	require.NoError(t, r.judge().Err())
	assert.Equal(t, 7, r.ledger.Tally().Sent)
	assert.Equal(t, 6, r.ledger.Tally().Answered)
}

func TestWhatCameSinceATimeIsCounted(t *testing.T) {
	l := ledger.New()
	body := l.Body(ledger.Name{Interaction: "a"})
	l.Arrived("crm", body)
	since := time.Now()
	assert.Zero(t, l.ArrivedSince("crm", since))
	l.Arrived("crm", body)
	l.Arrived("analytics", body)
	assert.Equal(t, 1, l.ArrivedSince("crm", since))
	assert.Equal(t, 2, l.ArrivedSince("crm", time.Time{}))
}
