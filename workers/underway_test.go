package workers

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// However much is asked for, the answer fits into a message: with the 1 MiB that a NATS server takes by default.
func TestWhatIsToldOfManyDeliveriesFitsIntoAMessage(t *testing.T) {
	crew := NewCrew(CrewOptions{Logger: quiet()})
	r := NewRunner(Options{Subscriber: mesh.Subscriber{Name: strings.Repeat("s", 32)}, Logger: quiet(), Metrics: NewMetrics(nil)})
	crew.attach(r)
	b, now := new(binding), time.Now()
	var places []mesh.Place
	for n := range uint64(2 * maxUnderWay) {
		at := mesh.Place{Stream: strings.Repeat("S", 32), Sequence: 1<<40 + n, Stored: now}
		d := &delivery{b: b, event: mesh.Event{Stream: at.Stream, Sequence: at.Sequence, Stored: at.Stored}, began: now, next: now.Add(time.Hour), tried: 999}
		for range mesh.MaxEachAttempt {
			d.each = append(d.each, mesh.Attempt{At: now.UTC(), Took: mesh.Duration(1234567 * time.Microsecond), Outcome: outcomeDelivered, Status: 503})
		}
		r.held[d.place()] = d
		places = append(places, at)
	}
	told := crew.UnderWay(places)
	require.Len(t, told, maxUnderWay)
	attempts := 0
	for _, u := range told {
		assert.Equal(t, 999, u.Attempts)
		attempts += len(u.EachAttempt)
	}
	assert.Equal(t, maxUnderWayAttempts, attempts)
	answer, err := json.Marshal(told)
	require.NoError(t, err)
	assert.Less(t, len(answer), 1<<20-64<<10, "the rest of the answer has room, too")
}
