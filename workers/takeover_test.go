package workers_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
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

// A process begins while another gives a sign of life, and so hears of that one's claim before it hears that it lives. It takes
// nothing from it; but nobody waits for long for one of which nothing is ever heard.
func TestOwnerThatWasNotHeardOfYetKeepsItsConsumersForALease(t *testing.T) {
	t.Parallel() // it waits most of its time
	m := newMill(t, quick)
	m.lease = shortLease
	state, err := mesh.OpenState(t.Context(), m.js)
	require.NoError(t, err)
	_, err = state.KeyValue().PutString(t.Context(), "claim.INTERACTIONS.crm", `{"owner": "one that is not heard of"}`)
	require.NoError(t, err)
	m.publish("987", 0)
	d := newDiary()
	began := time.Now()
	m.hire(func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
	require.Eventually(t, func() bool { return d.count() == 1 }, 15*time.Second, 5*time.Millisecond)
	require.GreaterOrEqual(t, time.Since(began), shortLease)
}

// Each subscriber has a target that one process at a time can use, as a file is. A second process comes and takes some of the
// subscribers over, live events and replays at a time: the first one lets their targets go.
func TestProcessThatLetsASubscriberGoLetsItsTargetGo(t *testing.T) {
	const subscribed = 20
	m := newMill(t, subscribers(subscribed, inMemory+`"partitions": 1`))
	locks := make([]lock, subscribed)
	d := newDiary()
	publish := func(n int) {
		m.publish("987", n)
		require.Eventually(t, func() bool { return d.count() == (n+1)*subscribed }, resumption, 5*time.Millisecond, "all get it")
	}
	first, second := m.staff(), m.staff()
	for i := range locks {
		first.serveWith(i, &locked{&locks[i], first, d})
	}
	publish(0)
	for i := range locks {
		second.serveWith(i, &locked{&locks[i], second, d})
	}
	moved := func() (n int) {
		for i := range locks {
			if locks[i].is(second) {
				n++
			}
		}
		return n
	}
	for n, began := 1, time.Now(); moved() < subscribed/4; n++ {
		require.Less(t, time.Since(began), resumption, "the second one comes to serve some")
		publish(n)
	}
}

// lock is held by a process that uses a target.
type lock struct {
	mu     sync.Mutex
	holder *staff
}

func (l *lock) is(holder *staff) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.holder == holder
}

// locked is a target that its process locks until it is idle.
type locked struct {
	*lock
	by *staff
	d  *diary
}

func (h *locked) Handle(_ context.Context, e mesh.Event) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holder != nil && h.holder != h.by {
		return workers.RetryAfter(10*time.Millisecond, errors.New("another process has it"))
	}
	h.holder = h.by
	h.d.write(e)
	return nil
}

func (h *locked) Idle() {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.holder == h.by {
		h.holder = nil
	}
}
