package mesh

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestIdempotencyKeyIsFixedForEver(t *testing.T) {
	e := Event{Source: "genesys", Interaction: "987654321", Fingerprint: "abc"}
	// Receivers store keys: a change of this value makes them act on old events again.
	assert.Equal(t, "3069daaff4a5420ec9b5be1f095c20f2", e.IdempotencyKey())
}

func TestIdempotencyKeySurvivesAttemptsAndReplays(t *testing.T) {
	e := Event{Source: "genesys", Interaction: "call 1", Fingerprint: "abc", ID: "a", Attempt: 1}
	again := e
	again.ID, again.Attempt, again.Stream, again.Sequence = "b", 5, "DEAD", 42
	again.Received, again.DeliveryID = time.Now(), "other"
	assert.Equal(t, e.IdempotencyKey(), again.IdempotencyKey())

	e.Subject = "genesys.07.interaction.call.1"
	msg := e.Msg("")
	parsed, err := ParseEvent(msg.Subject, msg.Header, msg.Data)
	require.NoError(t, err)
	assert.Equal(t, e.IdempotencyKey(), parsed.IdempotencyKey(), "read back from NATS")
}

func TestIdempotencyKeyTellsEventsApart(t *testing.T) {
	events := []Event{
		{Source: "ab", Interaction: "c", Fingerprint: "d"},
		{Source: "a", Interaction: "bc", Fingerprint: "d"},
		{Source: "ab", Interaction: "cd"},
		{Source: "ab", Interaction: "", Fingerprint: "cd"},
		{Source: "ab", Interaction: "c", Fingerprint: "e"},
		{Source: "ab", Interaction: "c\x00", Fingerprint: "d"},
	}
	seen := map[string]Event{}
	for _, e := range events {
		key := e.IdempotencyKey()
		assert.Len(t, key, 32)
		assert.NotContains(t, seen, key)
		seen[key] = e
	}
}
