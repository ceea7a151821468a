package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func TestTimelineShowsWhatBecameOfAnInteraction(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	first := a.life("call-42")
	require.NoError(t, mesh.RecordDeliveries(t.Context(), a.js, "DELIVERIES", []mesh.Delivery{{
		Stream: first.Stream, Sequence: first.Sequence, Stored: first.Stored, Subscriber: "analytics", Outcome: mesh.OutcomeDelivered,
		Attempts: 3, Began: first.Stored, Ended: first.Stored.Add(1500 * time.Millisecond), Waited: mesh.Duration(time.Second),
		EachAttempt: []mesh.Attempt{
			{At: first.Stored, Took: mesh.Duration(20 * time.Millisecond), Outcome: "failed", Status: 500},
			{At: first.Stored.Add(1400 * time.Millisecond), Took: mesh.Duration(100 * time.Millisecond), Outcome: "delivered"},
		},
	}}, []string{mesh.Partition("call-42")}))

	o := a.run("timeline", "call-42")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Empty(t, o.err)
	var lines []string
	for line := range strings.Lines(o.out) {
		lines = append(lines, strings.Join(strings.Fields(line), " "))
	}
	const day = `^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3} `
	assert.Equal(t, "STORED SOURCE TYPE MEDIA STREAM SEQUENCE EVENT ID FINGERPRINT BYTES", lines[0])
	assert.Regexp(t, day+`genesys interaction call INTERACTIONS 1 e-connected connected 21$`, lines[1])
	assert.Regexp(t, `^crm dead .*, rejected, 1 attempt, dead letter 1$`, lines[2])
	assert.Regexp(t, `^analytics delivered .*, 3 attempts, took 1.5s, of which waited 1s$`, lines[3])
	assert.Regexp(t, `, attempt failed 500, took 20ms$`, lines[4])
	assert.Regexp(t, `, attempt delivered, took 100ms$`, lines[5])
	assert.Equal(t, "compliance waiting", lines[6])
	assert.Regexp(t, day+`genesys interaction call INTERACTIONS 2 e-ended ended 17$`, lines[7])
	assert.Contains(t, o.out, "\ndead letters\n")
	assert.Contains(t, o.out, "the target answered 422")
	assert.Contains(t, o.out, "\nin quarantine\n")
	assert.NotContains(t, o.out, `"state"`)
	assert.Contains(t, a.run("timeline", "call-42", "--bodies").out, `"state": "connected"`)

	line := parsed[mesh.Timeline](t, a.run("timeline", "call-42", "-o", "json", "--limit", "1"))
	assert.Len(t, line.Events, 1)
	assert.True(t, line.Truncated)
	assert.Contains(t, a.run("timeline", "call-42", "--limit", "1").err, "there is more than 1")
}

func TestWhatIsUnderWayIsToldWithoutAnEnd(t *testing.T) {
	began := time.Date(2026, 11, 24, 14, 2, 11, 0, time.Local)
	assert.Equal(t, "3 attempts, since 2026-11-24 14:02:11.000, next attempt 2026-11-24 14:02:19.000", deliveryDetail(mesh.TimelineDelivery{
		State: mesh.StateInHand, Attempts: 3, Began: began, NextAttempt: began.Add(8 * time.Second),
	}))
	assert.Equal(t, "", deliveryDetail(mesh.TimelineDelivery{State: mesh.StateWaiting}))
}

func TestTimelineOfAnInteractionThatIsNowhere(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	a.put("call-42", "connected")
	o := a.run("timeline", "call-43")
	assert.Equal(t, exitError, o.code)
	assert.Regexp(t, `^genmesh: nothing of interaction "call-43"; looked into `+
		`INTERACTIONS \(1 message, back to .*\), DEAD_LETTERS \(empty\), QUARANTINE \(empty\)\n$`, o.err)
	assert.Empty(t, o.out)
	o = a.run("timeline", "call-43", "-o", "json")
	assert.Equal(t, exitError, o.code)
	assert.Len(t, parsed[mesh.Timeline](t, o).Looked, 3)
}

func TestTimelineSaysThatNothingIsRecorded(t *testing.T) {
	a := newArchive(t, strings.Replace(editedStreams(t), `"deliveries.>"`, `"elsewhere.>"`, 1))
	a.put("call-42", "connected")
	assert.Contains(t, a.run("timeline", "call-42").err, "is not recorded")
}

func TestTimelineRefusesWhatCannotBe(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"timeline"}, "INTERACTION is missing"},
		{[]string{"timeline", "x", "--limit", "0"}, "--limit must be 1 to 100000"},
		{[]string{"timeline", "x", "--since", "yesterday"}, `--since "yesterday"`},
	} {
		o := run(t, tc.args...)
		assert.Equal(t, exitError, o.code)
		assert.Contains(t, o.err, tc.want)
	}
}
