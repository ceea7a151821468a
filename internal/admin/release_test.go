package admin_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// quarantine puts a delivery there and returns its number.
func (d *desk) quarantine(interaction, body, reason string) uint64 {
	d.t.Helper()
	receipt, err := d.committer.Quarantine(d.t.Context(), mesh.Event{
		Source: "genesys", Interaction: interaction, Received: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Body: []byte(body),
		Detail: "what was wrong",
	}, reason)
	require.NoError(d.t, err)
	return receipt.Sequence
}

func (d *desk) release(chosen admin.QuarantineSelection) admin.ActResult {
	d.t.Helper()
	result, err := d.ReleaseQuarantined(d.t.Context(), d.by, chosen, nil)
	require.NoError(d.t, err)
	return result
}

func (d *desk) releaseAll() admin.ActResult {
	d.t.Helper()
	return d.release(admin.QuarantineSelection{All: true})
}

// inQuarantine is what is there, as reason and interaction.
func (d *desk) inQuarantine() []string {
	d.t.Helper()
	page, err := d.Quarantined(d.t.Context(), admin.QuarantineQuery{})
	require.NoError(d.t, err)
	list := []string{}
	for _, q := range page.Quarantined {
		list = append(list, q.Reason+" "+q.Interaction)
	}
	return list
}

// events are those of the interactions' stream.
func (d *desk) events() []mesh.Event {
	d.t.Helper()
	var events []mesh.Event
	for _, msg := range d.stored("INTERACTIONS", "genesys.>") {
		e, err := mesh.GetEvent(d.t.Context(), d.js, "INTERACTIONS", msg.Sequence)
		require.NoError(d.t, err)
		events = append(events, e)
	}
	return events
}

// types are the types of these events, with the interaction.
func (d *desk) types() []string {
	d.t.Helper()
	types := []string{}
	for _, e := range d.events() {
		types = append(types, e.Type+" "+e.Interaction)
	}
	return types
}

func interactionBody(interaction, state string) string {
	return fmt.Sprintf(`{"timestamp":1767225600,"eventTypeId":"interaction","data":{"id":%q,"type":"call","state":%q}}`, interaction, state)
}

// failure is what is said of one; "" if nothing is.
func failure(result admin.ActResult, number uint64) string {
	for _, failed := range result.Failed {
		if failed.Number == number {
			return failed.Error
		}
	}
	return ""
}

// engage edits the source into one whose deliveries bring several events. Mended, it asks for no schema any more.
func engage(mended bool) []string {
	source := `"preset": "genesys-engage",`
	if mended {
		source += ` "event_types": {"*": {"schema": "none"}},`
	}
	return []string{`"preset": "genesys",`, source}
}

// entities is the body of a delivery with these events, each written as event, interaction and media
// type; no media type that is a number is good.
func entities(operation string, events ...string) string {
	var list []string
	for _, e := range events {
		part := strings.Fields(e)
		list = append(list, fmt.Sprintf(`{"event":%q,"entity":{"id":%q,"mediaType":%s}}`, part[0], part[1], part[2]))
	}
	return fmt.Sprintf(`{"operationId":%q,"data":{"entities":[%s]}}`, operation, strings.Join(list, ","))
}

func TestReleaseSendsEventsOnTheirWayOnceAndInOrder(t *testing.T) {
	d := newDesk(t)
	states := []string{"connected", "queued", "answered"}
	for _, state := range states {
		d.quarantine("call-42", interactionBody("call-42", state), "schema")
	}
	assert.Equal(t, 3, d.release(admin.QuarantineSelection{All: true, DryRun: true}).Done)
	require.Empty(t, d.events())
	assert.Empty(t, d.audits(), "a dry run is nothing that was done")

	var told []int
	result, err := d.ReleaseQuarantined(t.Context(), d.by, admin.QuarantineSelection{All: true}, func(done, of int) { told = append(told, done, of) })
	require.NoError(t, err)
	assert.Equal(t, admin.ActResult{Action: "release", Chosen: 3, Done: 3, Failed: []admin.ActFailed{}, Trail: admin.Trail{Audited: true}}, result)
	assert.Equal(t, []int{1, 3, 2, 3, 3, 3}, told)
	events := d.events()
	require.Len(t, events, 3)
	for i, state := range states {
		assert.Contains(t, string(events[i].Body), state)
		assert.Equal(t, "call-42", events[i].Interaction)
		assert.Regexp(t, `^genesys\.\d\d\.interaction\.call\.call-42$`, events[i].Subject)
		assert.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), events[i].Received, "when it came in")
		assert.Empty(t, events[i].Reason+events[i].Detail)
	}
	assert.Empty(t, d.inQuarantine())

	// Its sender repeats it, and a release that was cut off is done again: nothing is stored twice.
	again := events[0]
	again.Stream, again.Sequence = "", 0
	receipt, err := d.committer.Commit(t.Context(), again)
	require.NoError(t, err)
	assert.True(t, receipt.Duplicate)
	d.quarantine("call-42", interactionBody("call-42", "queued")+" ", "schema")
	assert.Equal(t, 1, d.releaseAll().Done)
	assert.Len(t, d.events(), 3)
	assert.Empty(t, d.inQuarantine())
}

func TestWhatIsStillNotGoodStaysAndHoldsTheLaterOnesBack(t *testing.T) {
	d := newDesk(t)
	bad := d.quarantine("call-42", strings.Replace(interactionBody("call-42", "connected"), `"call"`, `{}`, 1), "schema")
	later := d.quarantine("call-42", interactionBody("call-42", "queued"), "schema")
	d.quarantine("call-43", interactionBody("call-43", "connected"), "schema")

	result := d.releaseAll()
	assert.Equal(t, 1, result.Done)
	assert.Contains(t, failure(result, bad), "still not good: schema /data/type")
	assert.Contains(t, failure(result, later), "held back")
	assert.Equal(t, []string{"interaction call-43"}, d.types())

	records := d.audits()
	require.Len(t, records, 2)
	assert.Equal(t, mesh.AuditIncomplete, records[1].Result)
	assert.Equal(t, "2 could not be, 0 were left", records[1].Problem, "and nothing of the interaction")
	assert.Equal(t, "1-3", records[1].Numbers)

	d.edit(`"preset": "genesys",`, `"preset": "genesys", "event_types": {"*": {"schema": "none"}},`) // it is mended
	assert.Equal(t, 2, d.release(admin.QuarantineSelection{Source: "genesys"}).Done)
	assert.Empty(t, d.inQuarantine())
}

func TestWhatIsNotChosenHoldsTheLaterOnesBack(t *testing.T) {
	d := newDesk(t)
	d.quarantine("call-42", interactionBody("call-42", "connected"), "event_age")
	later := d.quarantine("call-42", interactionBody("call-42", "disconnected"), "schema")
	d.quarantine("call-43", interactionBody("call-43", "connected"), "schema")

	assert.Equal(t, 1, d.release(admin.QuarantineSelection{Reason: "schema", DryRun: true}).Done)
	result := d.release(admin.QuarantineSelection{Reason: "schema"})
	assert.Equal(t, "held back: an earlier event of its interaction call-42 stays in quarantine", failure(result, later))
	assert.Equal(t, []string{"interaction call-43"}, d.types())
	assert.Contains(t, failure(d.release(admin.QuarantineSelection{Numbers: []uint64{later}}), later), "held back")

	assert.Equal(t, 2, d.releaseAll().Done)
	events := d.events()
	require.Len(t, events, 3)
	assert.Contains(t, string(events[1].Body), "connected")
	assert.Contains(t, string(events[2].Body), "disconnected")
}

// When it came in nobody knew what it is about; its body tells now.
func TestWhatWasUnreadHoldsTheLaterOnesBackOnceItCanBeRead(t *testing.T) {
	d := newDesk(t)
	d.quarantine("", interactionBody("call-42", "connected"), "no_interaction_id")
	d.quarantine("", "{", "invalid_json")
	d.quarantine("call-42", interactionBody("call-42", "disconnected"), "schema")
	d.quarantine("call-43", interactionBody("call-43", "connected"), "schema")

	assert.Contains(t, failure(d.release(admin.QuarantineSelection{Reason: "schema"}), 3), "held back")
	assert.Len(t, d.events(), 1)
	assert.Equal(t, 2, d.release(admin.QuarantineSelection{Numbers: []uint64{3, 1}}).Done)
	assert.Equal(t, []string{"invalid_json "}, d.inQuarantine(), "it has no order to keep")
}

func TestReleaseNamesWhatIsNotThere(t *testing.T) {
	d := newDesk(t)
	d.quarantine("call-42", interactionBody("call-42", "connected"), "schema")
	result := d.release(admin.QuarantineSelection{Numbers: []uint64{1, 7}})
	assert.Equal(t, 1, result.Done)
	assert.Equal(t, "7 is not in quarantine", failure(result, 7))
	assert.Equal(t, 0, d.releaseAll().Chosen, "nothing is left, which is no error")
}

// The events of one delivery are released one by one; those that stay keep their place before what came
// after the delivery.
func TestGoodEventsOfADeliveryGoWithoutTheBadOnes(t *testing.T) {
	d := newDesk(t, engage(false)...)
	d.quarantine("", entities("1", `STARTED call-a "chat"`, `STARTED call-b 7`, `FINISHED call-a "chat"`, `FINISHED call-b "chat"`), "no_interaction_id")
	d.quarantine("call-b", entities("2", `REOPENED call-b "chat"`), "schema")

	dry := d.release(admin.QuarantineSelection{All: true, DryRun: true})
	assert.Contains(t, failure(dry, 1), "2 of its 4 events are good")
	require.Empty(t, d.events())
	result := d.releaseAll()
	assert.Contains(t, failure(result, 1), "released 2 of its 4 events")
	assert.Contains(t, failure(result, 1), "still not good: schema")
	assert.Contains(t, failure(result, 2), "held back: an earlier event of its interaction call-b")
	assert.Equal(t, []string{"STARTED call-a", "FINISHED call-a"}, d.types())
	assert.Equal(t, []string{"schema call-b", "schema call-b", "held_back call-b"}, d.inQuarantine())
	cut, err := d.QuarantinedEvent(t.Context(), 3)
	require.NoError(t, err)
	assert.JSONEq(t, entities("1", `STARTED call-b 7`), string(cut.Body.Raw), "a body of its own")

	d.edit(engage(true)...)
	assert.Contains(t, failure(d.release(admin.QuarantineSelection{Numbers: []uint64{2}}), 2), "held back", "what was cut out came before it")
	assert.Equal(t, 3, d.releaseAll().Done)
	assert.Equal(t, []string{"STARTED call-a", "FINISHED call-a", "STARTED call-b", "FINISHED call-b", "REOPENED call-b"}, d.types())
	assert.Empty(t, d.inQuarantine())
	for _, e := range d.events() {
		assert.Zero(t, e.CutFrom)
	}
}

// The stream takes no more when the bad one is in quarantine again already.
func TestReleaseThatWasCutOffIsDoneAgain(t *testing.T) {
	d := newDesk(t, engage(false)...)
	d.quarantine("", entities("1", `STARTED call-b 7`, `STARTED call-a "chat"`, `FINISHED call-a "chat"`), "no_interaction_id")
	s, err := d.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	bound := func(messages int64) {
		config := s.CachedInfo().Config
		config.MaxMsgs = messages
		_, err = d.js.UpdateStream(t.Context(), config)
		require.NoError(t, err)
	}
	_, err = d.js.Publish(t.Context(), "genesys.00.other", nil, jetstream.WithExpectStream("INTERACTIONS"))
	require.NoError(t, err)
	bound(1)
	assert.Contains(t, failure(d.release(admin.QuarantineSelection{Numbers: []uint64{1}}), 1), "can't store the event now")
	assert.Equal(t, []string{"no_interaction_id ", "schema call-b"}, d.inQuarantine())

	bound(-1)
	require.NoError(t, s.DeleteMsg(t.Context(), 1))
	assert.Contains(t, failure(d.releaseAll(), 1), "released 2 of its 3 events")
	assert.Equal(t, []string{"schema call-b"}, d.inQuarantine(), "once")
	assert.Equal(t, []string{"STARTED call-a", "FINISHED call-a"}, d.types())
}

func TestDeliveryWithMoreEventsThanACommitTakesIsReleased(t *testing.T) {
	d := newDesk(t, engage(false)...)
	const n = 2*mesh.MaxEventsAtOnce + 10
	var events, want []string
	for i := range n {
		events = append(events, fmt.Sprintf(`T%d call-a "chat"`, i))
		want = append(want, fmt.Sprintf("T%d call-a", i))
	}
	d.quarantine("", entities("1", events...), "too_many_events")
	assert.Equal(t, 1, d.releaseAll().Done)
	assert.Equal(t, want, d.types())
	assert.Empty(t, d.inQuarantine())
}

func TestStoppedReleaseSaysWhatIsLeft(t *testing.T) {
	d := newDesk(t)
	for _, state := range []string{"connected", "queued", "answered"} {
		d.quarantine("call-42", interactionBody("call-42", state), "schema")
	}
	ctx, cancel := context.WithCancel(t.Context())
	result, err := d.ReleaseQuarantined(ctx, d.by, admin.QuarantineSelection{All: true}, func(int, int) { cancel() })
	require.NoError(t, err)
	assert.Equal(t, 1, result.Done)
	assert.Equal(t, 2, result.Left)
	assert.Empty(t, result.Failed)
	assert.Len(t, d.inQuarantine(), 2)
	assert.Equal(t, mesh.AuditIncomplete, d.audits()[1].Result)
}

func TestDiscardedEventsAreGone(t *testing.T) {
	d := newDesk(t)
	d.quarantine("", "{", "invalid_json")
	_, err := d.js.Publish(t.Context(), "quarantine.genesys.schema", []byte("no event of ours"))
	require.NoError(t, err)
	assert.Equal(t, []string{"invalid_json ", "unreadable "}, d.inQuarantine())
	assert.Contains(t, failure(d.release(admin.QuarantineSelection{Numbers: []uint64{2}}), 2), "no event")

	result, err := d.DiscardQuarantined(t.Context(), d.by, admin.QuarantineSelection{Numbers: []uint64{1, 2, 9}}, nil)
	require.NoError(t, err)
	assert.Equal(t, 2, result.Done)
	assert.Equal(t, "9 is not in quarantine", failure(result, 9))
	assert.Empty(t, d.inQuarantine())
	_, err = d.QuarantinedEvent(t.Context(), 1)
	require.ErrorIs(t, err, admin.ErrNotFound)

	for _, s := range []admin.QuarantineSelection{{}, {Limit: 1}, {Numbers: []uint64{1}, Source: "genesys"}, {All: true, DryRun: true}} {
		_, err := d.DiscardQuarantined(t.Context(), d.by, s, nil)
		require.ErrorIs(t, err, admin.ErrInvalid, "%+v", s)
	}
}

// Whoever sends it again after it was discarded is told of what is kept.
func TestBodyThatWasDiscardedIsQuarantinedAgain(t *testing.T) {
	d := newDesk(t)
	first := d.quarantine("call-42", interactionBody("call-42", "connected"), "schema")
	require.Equal(t, first, d.quarantine("call-42", interactionBody("call-42", "connected"), "schema"))
	_, err := d.DiscardQuarantined(t.Context(), d.by, admin.QuarantineSelection{Numbers: []uint64{first}}, nil)
	require.NoError(t, err)

	again := d.quarantine("call-42", interactionBody("call-42", "connected"), "schema")
	assert.Greater(t, again, first)
	assert.Equal(t, []string{"schema call-42"}, d.inQuarantine())
}
