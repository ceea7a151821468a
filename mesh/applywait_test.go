package mesh_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// TestApplyTellsWhatItWaitsFor: whoever changes a layout while the target is slow hears why nothing seems to happen.
func TestApplyTellsWhatItWaitsFor(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	publish(t, js, "genesys.00.interaction.call.1", 3)
	held := make(chan jetstream.Msg, 3)
	consumer, err := js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	consuming, err := consumer.Consume(func(m jetstream.Msg) { held <- m })
	require.NoError(t, err)
	defer consuming.Stop()
	under := []jetstream.Msg{<-held, <-held, <-held}

	plan := planned(t, edited(t, `"name": "crm",`, `"name": "crm", "partitions": 2,`, `"name": "analytics",`, `"name": "analytics", "partitions": 2,`), js)
	require.Contains(t, steps(plan), "switch consumer INTERACTIONS/crm")
	began := time.Now()
	var told []string
	plan.Draining.Waits = func(subscriber string, events int) {
		told = append(told, fmt.Sprintf("%s waits for %d", subscriber, events))
		assert.GreaterOrEqual(t, time.Since(began), 2*time.Second, "nobody wonders before")
		for _, m := range under {
			assert.NoError(t, m.DoubleAck(t.Context()))
		}
	}
	require.NoError(t, plan.Apply(t.Context(), js, false))
	assert.Equal(t, []string{"crm waits for 3"}, told, "once, and nothing of analytics, which had nothing in hand")
}

// A drain of many idle consumers takes as long as its steps do, and waits for nothing.
func TestApplyDoesNotSayThatItWaitsForNothing(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t, `"name": "crm",`, `"name": "crm", "partitions": 64,`), js)
	plan := planned(t, edited(t), js)
	plan.Draining.Waits = func(subscriber string, events int) { t.Errorf("%s waits for %d events", subscriber, events) }
	require.NoError(t, plan.Apply(t.Context(), js, false))
}

// TestRefusedStepsAreNamedUpToThree: a log line that dev writes after each edit stays a line.
func TestRefusedStepsAreNamedUpToThree(t *testing.T) {
	refused := &mesh.DestructiveError{}
	for i := range 42 {
		refused.Steps = append(refused.Steps, mesh.Step{Action: mesh.Delete, Kind: mesh.KindConsumer, Name: fmt.Sprintf("EVENTS/s%d", i+1), Loses: "its position"})
	}
	require.EqualError(t, refused, "refused without --allow-destroy: delete consumer EVENTS/s1: its position; "+
		"delete consumer EVENTS/s2: its position; delete consumer EVENTS/s3: its position; and 39 more")
	refused.Steps = refused.Steps[:3]
	require.NotContains(t, refused.Error(), "more")
}

// However often a consumer is made anew, its subject is that of the subscriber and one mark.
func TestDeliverSubjectDoesNotGrowWithEachReplacement(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	for i := range 4 {
		plan := planned(t, edited(t, `"name": "crm",`, fmt.Sprintf(`"name": "crm", "mem_storage": %v,`, i%2 == 0)), js)
		require.Contains(t, steps(plan), "replace consumer INTERACTIONS/crm")
		require.NoError(t, plan.Apply(t.Context(), js, true))
		consumer, err := js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
		require.NoError(t, err)
		assert.Regexp(t, `^_mesh\.deliver\.INTERACTIONS\.crm\.[0-9a-z]+$`, consumer.CachedInfo().Config.DeliverSubject)
	}
}
