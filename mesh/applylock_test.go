package mesh_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// Two operators, or two deployments, apply different layouts of one subscriber at the same time, again and again.
// Either of them may be told to plan again; no event may be lost or come twice by it.
func TestAppliesOfDifferentLayoutsTakeTurns(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	const crm = `"name": "crm",`
	layouts := []*mesh.Topology{edited(t), edited(t, crm, crm+`"partitions": 3,`), edited(t, crm, crm+`"order": "none",`)}
	apply(t, layouts[0], js)
	subjects := []string{"genesys.00.interaction.call.a", "genesys.01.interaction.call.b", "genesys.02.interaction.call.c"}
	for round := range 6 {
		for _, subject := range subjects {
			publish(t, js, subject, 2)
		}
		var group sync.WaitGroup
		for i := range 6 {
			plan := planned(t, layouts[(round+1+i%2)%3], js)
			group.Go(func() {
				if err := plan.Apply(t.Context(), js, false); err != nil {
					assert.ErrorIs(t, err, mesh.ErrPlanAgain)
				}
			})
		}
		group.Wait()
		assert.Len(t, layoutsOf(t, js, "crm"), 1, "each has carried out its own as a whole, or nothing of it")
		next := layouts[(round+1)%3]
		apply(t, next, js)
		// The server counts what waits a moment after it has answered that it is stored.
		assert.Eventually(t, func() bool { return pendingOf(t, js, next.Subscribers[0]) == uint64(6*(round+1)) },
			10*time.Second, 5*time.Millisecond, "round %d", round)
	}
}

// A plan is made while somebody else is in the middle of a switch. It neither takes what is noted for lost, nor what is deleted for new.
func TestAPlanInTheMiddleOfASwitchSeesWhatIsNoted(t *testing.T) {
	const crm = `"name": "crm",`
	one, three := edited(t), edited(t, crm, crm+`"partitions": 3,`)
	for name, c := range map[string]struct {
		deleted int  // so many of three consumers are gone when they are listed, and weren't when the streams were
		ends    bool // the other one is through when the consumers were listed
		steps   int
	}{
		"it has just begun":            {deleted: 1, steps: 1},
		"nothing is left but the note": {deleted: 3, steps: 1},
		"it ends meanwhile":            {deleted: 1, ends: true, steps: 0},
	} {
		t.Run(name, func(t *testing.T) {
			js := meshtest.Start(t).JetStream()
			apply(t, three, js)
			publish(t, js, "genesys.00.interaction.call.a", 2)
			deliverAndAck(t, js, "INTERACTIONS", "crm=1of3", 2)
			between := &meanwhile{JetStream: js, atListing: func() {
				require.ErrorIs(t, planned(t, one, js).Apply(t.Context(), &dying{JetStream: js, deletes: c.deleted}, false), errDied)
			}}
			if c.ends {
				between.atInfo = func() { apply(t, one, js) }
			}
			plan, err := one.Plan(t.Context(), between)
			require.NoError(t, err)
			assert.Empty(t, plan.Destructive())
			require.Len(t, plan.Steps, c.steps)
			require.NoError(t, plan.Apply(t.Context(), js, false))
			crm, err := js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
			require.NoError(t, err)
			served, _ := mesh.ServedBy(crm.CachedInfo().Config)
			assert.Equal(t, mesh.Skip{{0}, {2, 0, 0}}, served.Skip, "the first of three had come to the second event, the others to none")
		})
	}
}

// deliverAndAck has so many events delivered by a consumer, and acknowledges them.
func deliverAndAck(t *testing.T, js jetstream.JetStream, stream, consumer string, events int) {
	t.Helper()
	handle, err := js.PushConsumer(t.Context(), stream, consumer)
	require.NoError(t, err)
	taken := make(chan error, events)
	consuming, err := handle.Consume(func(msg jetstream.Msg) { taken <- msg.DoubleAck(t.Context()) })
	require.NoError(t, err)
	for range events {
		require.NoError(t, <-taken)
	}
	consuming.Stop()
	<-consuming.Closed()
}

var errDied = errors.New("died")

// dying makes so many deletions of consumers, and not what comes after them.
type dying struct {
	jetstream.JetStream
	deletes int
}

func (d *dying) DeleteConsumer(ctx context.Context, stream, consumer string) error {
	d.deletes--
	if err := d.JetStream.DeleteConsumer(ctx, stream, consumer); err != nil || d.deletes > 0 {
		return err
	}
	return errDied
}

// meanwhile lets something happen between two questions to the server, once.
type meanwhile struct {
	jetstream.JetStream
	atListing, atInfo func()
}

func (m *meanwhile) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	once(&m.atListing)
	stream, err := m.JetStream.Stream(ctx, name)
	return &streamMeanwhile{stream, m}, err
}

func once(do *func()) {
	if *do != nil {
		(*do)()
		*do = nil
	}
}

type streamMeanwhile struct {
	jetstream.Stream
	m *meanwhile
}

func (s *streamMeanwhile) Info(ctx context.Context, options ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	once(&s.m.atInfo)
	return s.Stream.Info(ctx, options...)
}

// layoutsOf tells in which ways a subscriber's events are divided at the server.
func layoutsOf(t *testing.T, js jetstream.JetStream, subscriber string) map[string]bool {
	t.Helper()
	stream, err := js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	layouts := map[string]bool{}
	list := stream.ListConsumers(t.Context())
	for info := range list.Info() {
		if served, ok := mesh.ServedBy(info.Config); ok && served.Subscriber == subscriber {
			layouts[fmt.Sprint(served.Of, served.Shared)] = true
		}
	}
	require.NoError(t, list.Err())
	return layouts
}

// pendingOf counts what a subscriber will be delivered.
func pendingOf(t *testing.T, js jetstream.JetStream, s mesh.Subscriber) uint64 {
	t.Helper()
	sum := uint64(0)
	for _, r := range s.Readers() {
		consumer, err := js.PushConsumer(t.Context(), s.Stream, r.Durable)
		require.NoError(t, err)
		sum += consumer.CachedInfo().NumPending
	}
	return sum
}

// Two processes find an empty server and begin with different layouts.
func TestFirstAppliesOfDifferentLayoutsTakeTurns(t *testing.T) {
	for range 5 {
		js := meshtest.Start(t).JetStream()
		const crm = `"name": "crm",`
		var group sync.WaitGroup
		for _, topology := range []*mesh.Topology{edited(t), edited(t, crm, crm+`"partitions": 4,`)} {
			plan := planned(t, topology, js)
			group.Go(func() {
				if err := plan.Apply(t.Context(), js, false); err != nil {
					assert.ErrorIs(t, err, mesh.ErrPlanAgain)
				}
			})
		}
		group.Wait()
		assert.Len(t, layoutsOf(t, js, "crm"), 1)
	}
}

// Two processes start on an empty server, each with a streams.json of its own. The one that finds the other's stream plans again.
func TestFirstAppliesOfDifferentStreamsPlanAgain(t *testing.T) {
	for range 5 {
		js := meshtest.Start(t).JetStream()
		var group sync.WaitGroup
		for _, topology := range []*mesh.Topology{edited(t), edited(t, `"max_age": "168h"`, `"max_age": "169h"`)} {
			group.Go(func() {
				_, err := topology.Apply(t.Context(), js, false, mesh.Draining{})
				var refused *mesh.DestructiveError
				if !errors.As(err, &refused) { // to shorten what the other has made
					assert.NoError(t, err)
				}
			})
		}
		group.Wait()
	}
}

// A plan was made while another process was in the middle of a switch, and that has come to its end since.
func TestUpdateOfAConsumerThatIsAnotherByNowIsPlannedAgain(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	consumer, err := js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	throttled := consumer.CachedInfo().Config
	throttled.MaxAckPending = 1
	_, err = js.UpdatePushConsumer(t.Context(), "INTERACTIONS", throttled)
	require.NoError(t, err)
	older := planned(t, edited(t), js)
	apply(t, edited(t, `"name": "crm",`, `"name": "crm", "partitions": 2,`), js)
	require.ErrorIs(t, older.Apply(t.Context(), js, false), mesh.ErrPlanAgain, "it is gone")

	apply(t, edited(t), js)
	require.ErrorIs(t, older.Apply(t.Context(), js, false), mesh.ErrPlanAgain, "it was made anew")
}

// What was made before a plan had to be made again is told, too.
func TestApplyTellsTheStepsOfAllItsPlans(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	kv, err := js.KeyValue(t.Context(), mesh.StateBucket)
	require.NoError(t, err)
	_, err = kv.Create(t.Context(), "apply", []byte(`{"by": "another", "since": "2026-11-01T00:00:00Z"}`))
	require.NoError(t, err)
	// Who has a plan tries to take the key, again and again; the other one is dead.
	tries, err := js.Conn().SubscribeSync("$KV." + mesh.StateBucket + ".apply")
	require.NoError(t, err)
	require.NoError(t, js.Conn().Flush())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if _, err := tries.NextMsg(20 * time.Second); !assert.NoError(t, err) {
			return
		}
		consumer, err := js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
		if !assert.NoError(t, err) || !assert.NoError(t, js.DeleteConsumer(t.Context(), "INTERACTIONS", "crm")) {
			return
		}
		_, err = js.CreatePushConsumer(t.Context(), "INTERACTIONS", consumer.CachedInfo().Config)
		assert.NoError(t, err)
	}()
	plan, err := edited(t, `"max_age": "168h"`, `"max_age": "169h"`, `"name": "crm",`, `"name": "crm", "partitions": 2,`).Apply(t.Context(), js, false, mesh.Draining{})
	require.NoError(t, err)
	<-done
	var told []string
	for _, step := range plan.Steps {
		told = append(told, string(step.Action)+" "+step.Name)
	}
	assert.Contains(t, told, "update INTERACTIONS")
	assert.Contains(t, told, "switch INTERACTIONS/crm")
}

func TestApplyWaitsForAnotherAndOutlivesADeadOne(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	kv, err := js.KeyValue(t.Context(), mesh.StateBucket)
	require.NoError(t, err)
	_, err = kv.Create(t.Context(), "apply", []byte(`{"by": "another", "since": "2026-11-01T00:00:00Z"}`))
	require.NoError(t, err)
	longer := planned(t, edited(t, `"max_age": "168h"`, `"max_age": "169h"`), js)

	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	require.ErrorIs(t, longer.Apply(ctx, js, false), context.DeadlineExceeded, "the other one may live")

	require.NoError(t, longer.Apply(t.Context(), js, false), "it gave no sign of life")
	_, err = kv.Get(t.Context(), "apply")
	require.ErrorIs(t, err, jetstream.ErrKeyNotFound, "it is let go")
}

// A plan is older than what another apply has noted on the stream since: where the consumers go on that it deleted, and
// died. The note must outlive the plan.
func TestNoteOfWhereConsumersGoOnOutlivesAnOlderPlan(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	older := planned(t, edited(t, `"max_age": "168h"`, `"max_age": "169h"`), js)
	const note = "genmesh.resume.crm"
	stream, err := js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	config := stream.CachedInfo().Config
	config.Metadata[note] = "4711"
	_, err = js.UpdateStream(t.Context(), config)
	require.NoError(t, err)

	require.NoError(t, older.Apply(t.Context(), js, false))

	stream, err = js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	assert.Equal(t, 169*time.Hour, stream.CachedInfo().Config.MaxAge)
	assert.Equal(t, "4711", stream.CachedInfo().Config.Metadata[note])
}

func TestAppliesTakeTurnsOnACluster(t *testing.T) {
	cluster := meshtest.StartCluster(t)
	three := []string{`"num_replicas": "${NATS_REPLICAS:-1}"`, `"num_replicas": 3`}
	apply(t, edited(t, three...), cluster.JetStream(0))
	var clients []jetstream.JetStream
	for i := range 6 {
		clients = append(clients, cluster.JetStream(i%3))
	}
	for round := range 5 {
		next := edited(t, append(three, `"max_age": "168h"`, fmt.Sprintf(`"max_age": "%dh"`, 200+round))...)
		plan := planned(t, next, clients[0])
		var group sync.WaitGroup
		for _, js := range clients {
			group.Go(func() { assert.NoError(t, plan.Apply(t.Context(), js, false)) })
		}
		group.Wait()
	}
}
