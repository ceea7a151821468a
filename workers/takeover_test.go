package workers_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// Other tests shorten the lease. Whoever sets nothing gets the default, and that has to bring a dead worker's partitions to the
// others before people notice.
func TestPartitionsOfADeadWorkerAreServedSoonWithTheDefaultLease(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, quick+`, "partitions": 4`)
	m.lease = 0 // the default
	dies, survives := newDiary(), newDiary()
	handler := func(d *diary) workers.HandlerFunc {
		return func(_ context.Context, e mesh.Event) error { d.write(e); return nil }
	}
	const interactions = 64 // enough for each partition to have some
	publish := func(n int) {
		for i := range interactions {
			m.publish(fmt.Sprint(i), n)
		}
	}
	dying := m.hire(handler(dies))
	m.hire(handler(survives))
	began, n := time.Now(), 0
	for shared := false; !shared; n++ {
		require.Less(t, time.Since(began), time.Minute, "both come to serve partitions")
		before := [2]int{dies.count(), survives.count()}
		publish(n)
		m.settledAll()
		shared = dies.count() > before[0] && survives.count() > before[1]
	}

	dying.die()
	before := survives.distinct()
	publish(n)
	require.Eventually(t, func() bool { return survives.distinct() == before+interactions }, 20*time.Second, 20*time.Millisecond,
		"the survivor serves all partitions")
}
