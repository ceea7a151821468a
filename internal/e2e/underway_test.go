package e2e

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// deliveries asks the console what became of the only event of an interaction.
func (p *process) deliveries(interaction string) []mesh.TimelineDelivery {
	p.t.Helper()
	answer, err := http.Get("http://" + p.addr.Console + "/api/v1/interactions/" + interaction)
	require.NoError(p.t, err)
	defer answer.Body.Close()
	require.Equal(p.t, http.StatusOK, answer.StatusCode)
	var line mesh.Timeline
	require.NoError(p.t, json.NewDecoder(answer.Body).Decode(&line))
	require.Len(p.t, line.Events, 1)
	return line.Events[0].Deliveries
}

// An event that is tried again and again is the one that people ask about: its attempts are told before it has come to its end.
func TestAnEventThatIsTriedAgainTellsItsAttemptsSoFar(t *testing.T) {
	crm, analytics := newSink(t), newSink(t)
	crm.answerWith(always(http.StatusServiceUnavailable))
	slow := strings.Replace(subscriber("crm", crm), `"base": "50ms", "max": "200ms"`, `"base": "10m", "max": "10m"`, 1)
	p := startDev(t, watchedStreams(slow, subscriber("analytics", analytics)))
	require.Equal(t, http.StatusAccepted, p.send(event("42", 1)).status)
	analytics.await(t, 1)
	var of []mesh.TimelineDelivery
	require.Eventually(t, func() bool {
		of = p.deliveries("42")
		return len(of) == 2 && len(of[0].EachAttempt) == 1 && of[1].State == mesh.DeliveryState(mesh.OutcomeDelivered)
	}, 20*time.Second, 50*time.Millisecond)
	assert.Equal(t, mesh.StateInHand, of[0].State)
	assert.Equal(t, 1, of[0].Attempts)
	assert.Equal(t, http.StatusServiceUnavailable, of[0].EachAttempt[0].Status)
	assert.True(t, of[0].NextAttempt.After(time.Now()), "it says when it is tried again")
	assert.Empty(t, of[1].EachAttempt)
}
