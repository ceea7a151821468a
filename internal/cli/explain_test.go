package cli

import (
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func TestExplainFollowsAnEvent(t *testing.T) {
	a := newArchive(t, editedStreams(t, crmTarget, `"rate_limit": "50/s", "when": "body.state == \"connected\"", `+crmTarget))
	e := a.put("call-42", "connected")
	a.put("call-42", "ended")
	state, err := mesh.OpenState(t.Context(), a.js)
	require.NoError(t, err)
	before := a.liveConsumers("INTERACTIONS")

	o := a.run("explain", "1", "--subscriber", "crm")
	require.Equal(t, exitOK, o.code, o.err)
	for _, want := range []string{
		"as 1 of stream INTERACTIONS, under genesys.", "· interaction call-42, type interaction, from the source genesys",
		`· the first event of its Nats-Msg-Id call-42: redelivered, it is answered "duplicate" until`,
		"✓ crm has no filter_subjects: it takes every subject", "✓ the consumer crm reads it: everything up to 0 is settled",
		"✓ deliver_policy all", `✓ when is true: body.state == "connected"`, "· rate_limit lets 50/s through", "waiting: crm will get it\n",
	} {
		assert.Contains(t, o.out, want)
	}

	o = a.run("explain", "2", "--subscriber", "crm")
	assert.Contains(t, o.out, "· a later event of call-42 (fingerprint ended)")
	assert.Contains(t, o.out, "✗ when is false")
	assert.Contains(t, o.out, "waiting: crm will get it offered, but when will pass it by\n")
	assert.Equal(t, before, a.liveConsumers("INTERACTIONS"))

	since := time.Now()
	require.NoError(t, state.SetPause(t.Context(), "crm", mesh.Pause{Since: since, Reason: "migration", By: "ada"}))
	require.NoError(t, state.SetBreaker(t.Context(), "crm", mesh.BreakerState{Open: true, Since: since, Until: since.Add(time.Minute), Error: "crm answered \x1b[2J 503"}))
	_, err = a.js.PauseConsumer(t.Context(), "INTERACTIONS", "crm", since.Add(time.Hour))
	require.NoError(t, err)
	o = a.run("explain", "1", "--subscriber", "crm")
	assert.Contains(t, o.out, "✗ its consumer is paused until")
	assert.Regexp(t, `✗ crm is paused since .* by ada \(migration\), until it is resumed`, o.out)
	assert.Regexp(t, `✗ the breaker is open since .*: crm answered \\x1b\[2J 503; the next event tries `, o.out)
	assert.Contains(t, o.out, "waiting: crm will get it, once this allows it: pause, breaker\n")

	j := parsed[explainJSON](t, a.run("explain", "1", "--subscriber", "crm", "-o", "json"))
	assert.Equal(t, mesh.StateWaiting, j.State)
	assert.Equal(t, "crm", j.Consumer.Name)
	assert.NotNil(t, j.Consumer.PausedUntil)
	assert.Equal(t, "migration", j.Pause.Reason)
	assert.True(t, j.Breaker.Open)
	assert.Equal(t, explainStep{"stored", "yes", j.Steps[0].Text}, j.Steps[0])

	require.NoError(t, mesh.RecordDeliveries(t.Context(), a.js, "DELIVERIES", []mesh.Delivery{{
		Stream: e.Stream, Sequence: e.Sequence, Stored: e.Stored, Subscriber: "crm", Outcome: mesh.OutcomeDelivered,
		Attempts: 3, Began: e.Stored, Ended: e.Stored.Add(1500 * time.Millisecond), Waited: mesh.Duration(time.Second),
	}}, []string{mesh.Partition("call-42")}))
	o = a.run("explain", "1", "--subscriber", "crm")
	assert.Regexp(t, `✓ delivered .* after 3 attempts in 1.5s, of which it waited 1s`, o.out)
	assert.Contains(t, o.out, "delivered: crm has it\n")
	assert.NotContains(t, o.out, "paused", "what is settled waits for nothing")
}

// oneInHand is an archive of two events, of which crm may have one at a time in hand, and has it.
func oneInHand(t *testing.T) *archive {
	t.Helper()
	a := newArchive(t, editedStreams(t, `"max_ack_pending": 256`, `"max_ack_pending": 1`, `"max_in_flight": 32`, `"max_in_flight": 1`))
	a.put("call-1", "connected")
	a.put("call-2", "connected")
	consumer, err := a.js.PushConsumer(t.Context(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	taken := make(chan struct{}, 1)
	consuming, err := consumer.Consume(func(jetstream.Msg) { taken <- struct{}{} })
	require.NoError(t, err)
	t.Cleanup(consuming.Stop)
	<-taken
	return a
}

// TestExplainNamesTheTargetThatIsWaitedFor: a target that asked for air, or refuses its credentials, is what keeps an event,
// whether a worker has it or not.
func TestExplainNamesTheTargetThatIsWaitedFor(t *testing.T) {
	a := oneInHand(t)
	state, err := mesh.OpenState(t.Context(), a.js)
	require.NoError(t, err)
	since := time.Now().Add(-time.Minute)
	require.NoError(t, state.SetWait(t.Context(), "crm", mesh.Wait{Since: since, Until: since.Add(time.Hour), Reason: "crm answered 429 \x1b[2J Too Many Requests"}))

	o := a.run("explain", "1", "--subscriber", "crm")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Regexp(t, `✗ crm waits for its target since .*, and no attempt is spent meanwhile: crm answered 429 \\x1b\[2J Too Many Requests; the next event tries \d`, o.out)
	assert.Contains(t, o.out, "in hand: a worker of crm has it, once this allows it: wait\n")
	o = a.run("explain", "2", "--subscriber", "crm")
	assert.Contains(t, o.out, "waiting: crm will get it, once this allows it: wait, max_ack_pending\n")
	j := parsed[explainJSON](t, a.run("explain", "2", "--subscriber", "crm", "-o", "json"))
	assert.Contains(t, j.Wait.Reason, "429")

	over := time.Now().Add(-time.Hour)
	require.NoError(t, state.SetWait(t.Context(), "crm", mesh.Wait{Since: over, Until: over, Reason: "long ago"}))
	assert.NotContains(t, a.run("explain", "1", "--subscriber", "crm").out, "long ago", "what a worker that died has told")
}

func TestExplainTellsOfDeadLettersFiltersAndStarts(t *testing.T) {
	chats := editedStreams(t, crmTarget, `"filter_subjects": ["genesys.*.*.chat.>"], `+crmTarget)
	a := newArchive(t, strings.Replace(chats, `"deliveries.>"`, `"elsewhere.>"`, 1))
	a.life("call-42")
	o := a.run("explain", "1", "--subscriber", "crm")
	assert.Contains(t, o.out, "✗ its filter_subjects don't take that subject: genesys.*.*.chat.>")
	o = a.run("explain", "1", "--subscriber", "analytics")
	assert.Contains(t, o.out, `is not recorded: streams.json has no stream that takes "deliveries.>"`)

	a.file = file(t, "later.json", editedStreams(t, `"name": "compliance"`, `"deliver_policy": "new", "name": "billing"`))
	o = a.run("explain", "1", "--subscriber", "billing")
	assert.Contains(t, o.out, "✗ the server has no consumer of billing for it: run genmesh apply")
	require.Equal(t, exitOK, a.run("apply", "--allow-destroy").code)
	o = a.run("explain", "1", "--subscriber", "billing")
	assert.Regexp(t, `✗ billing begins behind it: deliver_policy new, made `, o.out)
	assert.Contains(t, o.out, "before its start: billing does not get it: it begins behind it\n")
	o = a.run("explain", "1", "--subscriber", "crm")
	assert.Regexp(t, `✗ dead letter 1 since .*: rejected, 1 attempt: the target answered 422; look at it with genmesh dead show 1`, o.out)
	assert.Contains(t, o.out, "dead: crm does not have it")
	assert.Len(t, parsed[explainJSON](t, a.run("explain", "1", "--subscriber", "crm", "-o", "json")).DeadLetters, 1)
}

func TestExplainTellsThatMaxAckPendingIsReached(t *testing.T) {
	a := oneInHand(t)
	o := a.run("explain", "1", "--subscriber", "crm")
	assert.Contains(t, o.out, "in hand: a worker of crm has it\n")
	assert.Contains(t, o.out, "its worker knows and logs")
	o = a.run("explain", "2", "--subscriber", "crm")
	assert.Contains(t, o.out, "✗ 1 event in hand, as many as max_ack_pending allows")
}

func TestExplainOfWhatIsNotThere(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	a.put("call-1", "connected")
	for _, tc := range []struct{ args, want string }{
		{"explain 1", "--subscriber is missing"},
		{"explain one --subscriber crm", `"one" is no number of a stored event`},
		{"explain 2 --subscriber crm", "its last is 1"},
		{"explain 1 --subscriber crm --stream QUARANTINE", "it never held anything"},
		{"explain 1 --subscriber nobody", `no subscriber "nobody"`},
	} {
		o := a.run(strings.Fields(tc.args)...)
		assert.Equal(t, exitError, o.code)
		assert.Contains(t, o.err, tc.want)
	}
	assert.Equal(t, "genmesh: event 2 of stream INTERACTIONS: it is not there; its last is 1\n", a.run("explain", "2", "--subscriber", "crm").err)
	assert.Equal(t, "genmesh: stream NONE: stream not found; is streams.json applied (genmesh plan)?\n",
		a.run("explain", "2", "--subscriber", "crm", "--stream", "NONE").err, "in plain words")
	stream, err := a.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	a.put("call-2", "connected")
	a.put("call-3", "connected")
	require.NoError(t, stream.DeleteMsg(t.Context(), 2))
	assert.Contains(t, a.run("explain", "2", "--subscriber", "crm").err, "it was deleted, but by no erase that is audited\n")
	require.NoError(t, stream.Purge(t.Context(), jetstream.WithPurgeSequence(3)))
	assert.Contains(t, a.run("explain", "1", "--subscriber", "crm").err, "it was deleted, but by no erase that is audited; the oldest that it has is 3\n")

	_, err = a.js.Publish(t.Context(), "genesys.odd", []byte("\x1b[2J"))
	require.NoError(t, err)
	o := a.run("explain", "4", "--subscriber", "crm")
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.out, "it is no event")
}

// TestExplainOfAnErasedEvent is what a clerk is told who asks for an event that a request for erasure has taken.
func TestExplainOfAnErasedEvent(t *testing.T) {
	a := newArchive(t, editedStreams(t, crmTarget, `"when": "data.never == 1", "transform": "{never: .data.never}", `+crmTarget))
	a.put("call-41", "connected")
	a.put("call-42", "connected")
	a.put("call-43", "connected")
	require.Equal(t, exitOK, a.run("erase", "call-42", "--because", "request 4711", "--yes").code)
	o := a.run("explain", "2", "--subscriber", "crm")
	assert.Equal(t, exitError, o.code)
	assert.Regexp(t, `it was erased, if nobody deleted it otherwise: erase of \d{4}-.*Z by \S+, reason "request 4711", done \(audit record 3\)\n$`, o.err)
	assert.NotContains(t, o.err, "call-42")

	require.Equal(t, exitOK, a.run("erase", "call-41", "--because", "request 4712", "--yes").code)
	o = a.run("explain", "1", "--subscriber", "crm")
	assert.NotContains(t, o.err, "limits", "the oldest event is gone as others are")
	assert.Regexp(t, `it was erased.*request 4711.*; erase of .*request 4712.*audit record 5\); the oldest that it has is 3\n$`, o.err)

	o = a.run("explain", "4", "--subscriber", "crm")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.out, "· genmesh's own word that interaction call-42 of the source genesys was erased")
	assert.Contains(t, o.out, "✓ when, redact and transform leave an erasure event alone")
	assert.Contains(t, o.out, "waiting: crm will get it\n")
	assert.NotContains(t, o.out, "when is")
	assert.NotContains(t, o.out, "Nats-Msg-Id")
}
