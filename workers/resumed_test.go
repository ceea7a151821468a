package workers_test

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// An operator pauses a consumer and resumes it, both with the nats CLI. The server does not look by itself for what came
// meanwhile, and no further event comes for it to notice.
func TestConsumerThatWasResumedByHandIsServedBeforeTheNextEvent(t *testing.T) {
	for name, layout := range map[string]string{"in order": `"partitions": 1`, "shared": `"order": "none"`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // it waits most of its time
			m := newMill(t, quick+","+layout)
			d := newDiary()
			for range 2 {
				m.hire(func(_ context.Context, e mesh.Event) error { d.write(e); return nil })
			}
			m.publish("987", 0)
			require.Eventually(t, func() bool { return d.count() == 1 }, resumption, 5*time.Millisecond)
			durable := m.topology.Subscribers[0].Readers()[0].Durable
			_, err := m.js.PauseConsumer(t.Context(), "INTERACTIONS", durable, time.Now().Add(time.Hour))
			require.NoError(t, err)
			m.publish("987", 1)
			_, err = m.js.ResumeConsumer(t.Context(), "INTERACTIONS", durable)
			require.NoError(t, err)
			require.Eventually(t, func() bool { return d.count() == 2 }, resumption, 5*time.Millisecond)
		})
	}
}
