package mesh_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// The streams of these tests name each event by itself, so that only its interaction and its delivery
// say what it must come after.
var (
	eachKey   = strings.Replace(committerTopology, `"dedupe_key": "{source}:{interaction}"}`, `"dedupe_key": "{id}:{interaction}:{type}"}`, 1)
	noBatches = strings.Replace(eachKey, `"allow_atomic": true, "allow_direct"`, `"allow_direct"`, 1)
)

func operation(id, interaction, typ string) mesh.Event {
	e := event(interaction, typ)
	e.ID, e.Type = id, typ
	return e
}

// startWarm starts a committer that has looked at the stream, as it is now, before it returns.
func startWarm(t *testing.T, js jetstream.JetStream, topology *mesh.Topology) *commits {
	t.Helper()
	c := startCommits(t, js, topology)
	c.commit(operation("warm", fmt.Sprint(rand.Uint64()), "UP"))
	return c
}

// Another process has the first event of each delivery, so the server refuses the batch for it.
func TestDeliveryKeepsItsOrderOverARefusedBatch(t *testing.T) {
	s := meshtest.Start(t)
	topology := meshtest.Topology(t, eachKey)
	meshtest.Apply(t, s.JetStream(), topology)
	two := startWarm(t, s.JetStream(), topology)
	one := startWarm(t, s.JetStream(), topology)
	for i := range 40 {
		id, x, y := fmt.Sprint("op", i), fmt.Sprint("x", i), fmt.Sprint("y", i)
		known := operation(id, x, "STARTED")
		one.commit(known)

		receipts := two.commitAll(known, operation(id, y, "STARTED"), operation(id, y, "FINISHED"))

		require.True(t, receipts[0].Duplicate)
		require.Less(t, receipts[1].Sequence, receipts[2].Sequence, "delivery %d", i)
	}
	assert.GreaterOrEqual(t, two.metric("genmesh_commit_batches_refused_total"), 40.0)
}

func TestDeliveryKeepsItsOrderInSinglePublishes(t *testing.T) {
	s := meshtest.Start(t)
	topology := meshtest.Topology(t, noBatches)
	meshtest.Apply(t, s.JetStream(), topology)
	c := startCommits(t, s.JetStream(), topology)
	for i := range 40 {
		id := fmt.Sprint("op", i)
		requireAscending(t, c.commitAll(operation(id, id, "STARTED"), operation(id, "other"+id, "STARTED"), operation(id, id, "FINISHED")))
	}
}

func requireAscending(t *testing.T, receipts []mesh.Receipt) {
	t.Helper()
	for i := 1; i < len(receipts); i++ {
		require.Less(t, receipts[i-1].Sequence, receipts[i].Sequence, "event %d of %d", i, len(receipts))
	}
}

// Deliveries that don't hold the duplicate are stored as they would have been without it: at once.
func TestOnlyTheDeliveryWithTheDuplicateIsTakenApart(t *testing.T) {
	s := meshtest.Start(t)
	topology := meshtest.Topology(t, eachKey)
	meshtest.Apply(t, s.JetStream(), topology)
	two := startWarm(t, s.JetStream(), topology)
	one := startWarm(t, s.JetStream(), topology)
	one.commit(operation("op7", "i7", "T3"))

	var answers []func() ([]mesh.Receipt, error)
	for i := range 12 {
		var events []mesh.Event
		for j := range 5 {
			events = append(events, operation(fmt.Sprint("op", i), fmt.Sprint("i", i), fmt.Sprint("T", j)))
		}
		answers = append(answers, two.enqueue(events...))
	}
	for i, answer := range answers {
		receipts, err := answer()
		require.NoError(t, err)
		for j, r := range receipts {
			assert.Equal(t, i == 7 && j == 3, r.Duplicate)
			if j > 0 && i != 7 {
				assert.Equal(t, receipts[j-1].Sequence+1, r.Sequence, "nothing lies between")
			}
		}
	}
	assert.EqualValues(t, 12*5+2, one.stored("INTERACTIONS"))
}

func (c *commits) enqueue(events ...mesh.Event) func() ([]mesh.Receipt, error) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 20*time.Second)
	c.t.Cleanup(cancel)
	answer, err := c.Enqueue(ctx, events)
	require.NoError(c.t, err)
	return answer
}

// Anything in any order, also twice, also what another process stores at the same time: what one
// process admits of an interaction, or of a delivery, is stored in that order.
func TestWhateverIsAdmittedKeepsItsOrder(t *testing.T) {
	for name, streams := range map[string]string{
		"batches": eachKey, "single publishes": noBatches, "one key for each interaction": committerTopology,
		"single publishes, one key": strings.Replace(committerTopology, `"allow_atomic": true, "allow_direct"`, `"allow_direct"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			s := meshtest.Start(t)
			topology := meshtest.Topology(t, streams)
			meshtest.Apply(t, s.JetStream(), topology)
			c := startWarm(t, s.JetStream(), topology)
			other := startWarm(t, s.JetStream(), topology)
			seed := uint64(time.Now().UnixNano())
			t.Log("seed", seed)
			deliveries := randomDeliveries(rand.New(rand.NewPCG(seed, 0)))
			var racing sync.WaitGroup
			for _, events := range deliveries {
				if len(events)%2 == 0 {
					racing.Go(func() { other.commit(events[1]) })
				}
			}
			checkOrder(t, c, deliveries)
			racing.Wait()
		})
	}
}

func randomDeliveries(random *rand.Rand) [][]mesh.Event {
	var deliveries [][]mesh.Event
	for n := range 150 {
		var events []mesh.Event
		for i := range 1 + random.IntN(6) {
			e := operation(fmt.Sprint(n), fmt.Sprint("i", random.IntN(12)), fmt.Sprint("T", i))
			e.Fingerprint = fmt.Sprintf("%032x", e.ID+e.Type)
			events = append(events, e)
		}
		if len(deliveries) > 0 && random.IntN(5) == 0 {
			events = deliveries[random.IntN(len(deliveries))] // a redelivery
		}
		deliveries = append(deliveries, events)
	}
	return deliveries
}

// checkOrder commits deliveries in their order and looks at what this process stored of them.
func checkOrder(t *testing.T, c *commits, deliveries [][]mesh.Event) {
	t.Helper()
	var answers []func() ([]mesh.Receipt, error)
	for _, events := range deliveries {
		answers = append(answers, c.enqueue(events...))
	}
	last := make(map[string]uint64) // by interaction
	for n, answer := range answers {
		receipts, err := answer()
		require.NoError(t, err)
		before := uint64(0)
		for i, r := range receipts {
			if r.Duplicate {
				continue
			}
			interaction := deliveries[n][i].Interaction
			require.Greater(t, r.Sequence, before, "delivery %d, event %d", n, i)
			require.Greater(t, r.Sequence, last[interaction], "delivery %d, event %d of interaction %s", n, i, interaction)
			before, last[interaction] = r.Sequence, r.Sequence
		}
	}
}

// The second event finds its subject full. What comes after it must wait for the sender, who brings all
// of them again; what has nothing to do with it goes on.
func TestNothingIsStoredBehindAGap(t *testing.T) {
	s := meshtest.Start(t)
	topology := meshtest.Topology(t, noBatches)
	meshtest.Apply(t, s.JetStream(), topology)
	c := startWarm(t, s.JetStream(), topology)
	config := c.streamConfig("INTERACTIONS")
	config.MaxMsgsPerSubject, config.DiscardNewPerSubject = 1, true
	_, err := c.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)

	full := c.enqueue(operation("1", "x", "T"), operation("2", "x", "T"), operation("3", "y", "T"))
	next := c.enqueue(operation("4", "z", "T"))

	_, err = full()
	require.ErrorIs(t, err, mesh.ErrUnavailable)
	_, err = next()
	require.NoError(t, err)
	assert.EqualValues(t, 3, c.stored("INTERACTIONS"), "the warm one, the first and the one of another delivery")
}

// An event that no try can ever store is not waited for.
func TestEventThatIsTooLargeHoldsNothingBack(t *testing.T) {
	for name, streams := range map[string]string{"batches": eachKey, "single publishes": noBatches} {
		t.Run(name, func(t *testing.T) {
			s := meshtest.Start(t)
			topology := meshtest.Topology(t, streams)
			meshtest.Apply(t, s.JetStream(), topology)
			c := startWarm(t, s.JetStream(), topology)
			large := operation("1", "x", "STARTED")
			large.Body = make([]byte, 2<<20)

			_, err := c.enqueue(large, operation("1", "x", "FINISHED"))()
			require.ErrorIs(t, err, mesh.ErrTooLarge)
			assert.True(t, c.commit(operation("1", "x", "FINISHED")).Duplicate)
		})
	}
}

// Senders repeat what is not answered, the leader changes all the time, and answers are lost with it.
func TestDeliveriesKeepTheirOrderOverLeaderChanges(t *testing.T) {
	cluster := meshtest.StartCluster(t)
	topology := meshtest.Topology(t, strings.ReplaceAll(noBatches, `"subjects"`, `"num_replicas": 3, "subjects"`))
	js := cluster.JetStream(0)
	meshtest.Apply(t, js, topology)
	c := startWarm(t, cluster.JetStream(1), topology)
	ctx, cancel := context.WithCancel(t.Context())
	changes := make(chan struct{})
	go func() {
		defer close(changes)
		for ctx.Err() == nil {
			_ = cluster.StepDown(ctx, js, "INTERACTIONS") // refused while there is no leader
			select {
			case <-time.After(200 * time.Millisecond):
			case <-ctx.Done():
			}
		}
	}()
	var all sync.WaitGroup
	for i := range 60 {
		all.Go(func() {
			var events []mesh.Event
			for j := range 8 {
				events = append(events, operation(fmt.Sprint(i), fmt.Sprint("i", i), fmt.Sprint("T", j)))
			}
			requireAscending(t, c.commitAllUntilAnswered(events...))
		})
	}
	all.Wait()
	cancel()
	<-changes
	assert.EqualValues(t, 60*8+1, c.stored("INTERACTIONS"))
}

// The server stores and its answers are lost: at the next try some is there already.
func TestDeliveriesKeepTheirOrderOverLostAnswers(t *testing.T) {
	for name, streams := range map[string]string{"batches": eachKey, "single publishes": noBatches} {
		t.Run(name, func(t *testing.T) {
			s := meshtest.Start(t)
			topology := meshtest.Topology(t, streams)
			meshtest.Apply(t, s.JetStream(), topology)
			link := newLink(t, strings.TrimPrefix(s.URL(), "nats://"))
			nc, err := mesh.Connect(t.Name(), "nats://"+link.addr(), meshtest.Quiet())
			require.NoError(t, err)
			t.Cleanup(nc.Close)
			js, err := mesh.JetStream(nc)
			require.NoError(t, err)
			c := startWarm(t, js, topology)
			direct := commits{t: t, js: s.JetStream()}
			deliveries := make([][]mesh.Event, 10)
			for i := range deliveries {
				for j := range 5 {
					deliveries[i] = append(deliveries[i], operation(fmt.Sprint(i), fmt.Sprint("i", i), fmt.Sprint("T", j)))
				}
			}

			link.mute()
			var all sync.WaitGroup
			for _, events := range deliveries {
				all.Go(func() {
					ctx, cancel := context.WithTimeout(t.Context(), 500*time.Millisecond)
					defer cancel()
					_, err := c.CommitAll(ctx, events)
					assert.ErrorIs(t, err, mesh.ErrUnavailable)
				})
			}
			all.Wait()
			require.Eventually(t, func() bool { return direct.stored("INTERACTIONS") > 1 }, 20*time.Second, 10*time.Millisecond,
				"the server did store something")
			link.restore()

			for _, events := range deliveries {
				requireAscending(t, c.commitAllUntilAnswered(events...))
			}
			assert.EqualValues(t, 10*5+1, direct.stored("INTERACTIONS"))
		})
	}
}

// commitAllUntilAnswered does what a sender does: it sends again until it is answered.
func (c *commits) commitAllUntilAnswered(events ...mesh.Event) []mesh.Receipt {
	for range 40 {
		ctx, cancel := context.WithTimeout(c.t.Context(), 5*time.Second)
		receipts, err := c.CommitAll(ctx, events)
		cancel()
		if err == nil {
			return receipts
		}
		assert.ErrorIs(c.t, err, mesh.ErrUnavailable)
	}
	c.t.Errorf("the delivery of %s was never answered", events[0].Interaction)
	return nil
}

// The stream changes from batches to single publishes while events come in.
func TestOrderHoldsWhenTheStreamNoLongerTakesBatches(t *testing.T) {
	s := meshtest.Start(t)
	topology := meshtest.Topology(t, eachKey)
	meshtest.Apply(t, s.JetStream(), topology)
	c := startWarm(t, s.JetStream(), topology)
	config := c.streamConfig("INTERACTIONS")
	config.AllowAtomicPublish = false
	_, err := c.js.UpdateStream(t.Context(), config)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 6*time.Second) // the stream is looked at every 5 s
	defer cancel()
	for round := 0; ctx.Err() == nil; round++ {
		var deliveries [][]mesh.Event
		for i := range 20 {
			id := fmt.Sprint(round, ":", i)
			deliveries = append(deliveries, []mesh.Event{operation(id, fmt.Sprint("i", i%7), "STARTED"), operation(id, fmt.Sprint("i", i%5), "FINISHED")})
		}
		checkOrder(t, c, deliveries)
	}
}
