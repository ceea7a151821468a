package workers

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/mesh"
)

func TestStrandedEventsAreAnAlarmUntilTheyOrTheirSubscriberAreGone(t *testing.T) {
	m := NewMetrics(nil)
	r := reconciler{metrics: m, log: quiet(), before: map[string]int{}, reported: map[string]bool{}}
	readers := func(subscribers ...string) (all []mesh.Reader) {
		for _, name := range subscribers {
			all = append(all, mesh.Reader{Subscriber: mesh.Subscriber{Name: name}})
		}
		return all
	}
	stranded := func(subscriber string) float64 { return testutil.ToFloat64(m.stranded.WithLabelValues(subscriber)) }

	r.judge(map[string]int{"crm": 2, "wfm": 1})
	assert.Zero(t, stranded("crm"), "they may be on their way to the dead letters")
	r.judge(map[string]int{"crm": 3, "wfm": 1})
	assert.Equal(t, 2.0, stranded("crm"), "those of the first look")
	r.forget(readers("crm", "wfm"))
	assert.Equal(t, 1.0, stranded("wfm"))

	r.judge(map[string]int{"crm": 0})
	r.forget(readers("crm"))
	assert.Zero(t, stranded("crm"))
	assert.Equal(t, 1, testutil.CollectAndCount(m.stranded), "wfm was taken out of streams.json")
}
