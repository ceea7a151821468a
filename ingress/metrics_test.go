package ingress

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestQuarantineIsCountedByReasonAndEventsOnce(t *testing.T) {
	s := start(t, new(memory))
	count := func(reason string) float64 {
		return s.counted("genmesh_ingress_quarantined_total", "reason="+reason, "source=genesys")
	}
	s.post(`{"data":{}}`)
	assert.Equal(t, 1.0, count(reasonNoInteraction))
	assert.Zero(t, count(reasonInvalidJSON))

	s.post(`{"data":{}}`)
	assert.Equal(t, 1.0, count(reasonNoInteraction), "a redelivery of what is in quarantine puts nothing there")
	s.post(goodBody)
	assert.Equal(t, 1.0, count(reasonNoInteraction))
}
