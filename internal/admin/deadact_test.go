package admin_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// TestReplaysKeepTheOrderOfAnInteraction though many go at once.
func TestReplaysKeepTheOrderOfAnInteraction(t *testing.T) {
	d := newDesk(t)
	var interactions []string
	for i := range 600 {
		interactions = append(interactions, fmt.Sprintf("call-%d", i%12))
	}
	d.bury(interactions...)
	var told []int
	result, err := d.ReplayDeadLetters(t.Context(), d.by, admin.DeadSelection{Subscriber: "crm"}, func(done, of int) {
		assert.Equal(t, 600, of)
		told = append(told, done)
	})
	require.NoError(t, err)
	assert.Equal(t, admin.ActResult{
		Action: "replay", Chosen: 600, Done: 600, Failed: []admin.ActFailed{}, Trail: admin.Trail{Audited: true},
	}, result)
	assert.Len(t, told, 600)
	assert.IsIncreasing(t, told)

	latest, replayed := map[string]int{}, 0
	for _, msg := range d.stored("DEAD_LETTERS", "replay.crm.>") {
		var n int
		_, err := fmt.Sscanf(string(msg.Data), `{"n":%d}`, &n)
		require.NoError(t, err)
		interaction := msg.Header.Get(mesh.HeaderInteraction)
		before, any := latest[interaction]
		assert.True(t, !any || n > before, "%s: %d came after %d", interaction, n, before)
		latest[interaction] = n
		replayed++
	}
	assert.Equal(t, 600, replayed)
	assert.Len(t, latest, 12)
}

// TestReplaysByNumberKeepTheOrderOfAnInteraction however they are named.
func TestReplaysByNumberKeepTheOrderOfAnInteraction(t *testing.T) {
	d := newDesk(t)
	d.bury("call-1", "call-1", "call-2", "call-1")
	result, err := d.ReplayDeadLetters(t.Context(), d.by, admin.DeadSelection{Numbers: []uint64{4, 1, 2, 1}}, nil)
	require.NoError(t, err)
	assert.Equal(t, 3, result.Done)
	var bodies []string
	for _, msg := range d.stored("DEAD_LETTERS", "replay.>") {
		bodies = append(bodies, string(msg.Data))
	}
	assert.Equal(t, []string{`{"n":0}`, `{"n":1}`, `{"n":3}`}, bodies)
}

func TestWhatWasNotChosenStaysADeadLetter(t *testing.T) {
	for name, tc := range map[string]struct {
		chosen admin.DeadSelection
		stay   []uint64
	}{
		"by number":        {admin.DeadSelection{Numbers: []uint64{2}}, []uint64{1, 3}},
		"the first two":    {admin.DeadSelection{All: true, Limit: 2}, []uint64{3}},
		"another's":        {admin.DeadSelection{Subscriber: "analytics"}, []uint64{1, 2, 3}},
		"of another time":  {admin.DeadSelection{Until: time.Now().Add(-time.Hour)}, []uint64{1, 2, 3}},
		"of the reason":    {admin.DeadSelection{Reason: mesh.DeadRejected}, []uint64{}},
		"of another cause": {admin.DeadSelection{Cause: "0000"}, []uint64{1, 2, 3}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t)
			d.bury("call-1", "call-2", "call-3")
			_, err := d.DiscardDeadLetters(t.Context(), d.by, tc.chosen, nil)
			require.NoError(t, err)
			page, err := d.DeadLetters(t.Context(), admin.DeadQuery{})
			require.NoError(t, err)
			stay := []uint64{}
			for _, letter := range page.DeadLetters {
				stay = append(stay, letter.Number)
			}
			assert.Equal(t, tc.stay, stay)
		})
	}
}

func TestSelectionThatChoosesNothingIsRefused(t *testing.T) {
	d := newDesk(t)
	d.bury("call-1")
	long := admin.By{Reason: strings.Repeat("x", mesh.MaxReasonBytes+1)}
	for name, tc := range map[string]struct {
		by     admin.By
		chosen admin.DeadSelection
	}{
		"nothing":              {d.by, admin.DeadSelection{}},
		"only a limit":         {d.by, admin.DeadSelection{Limit: 3}},
		"by number and all":    {d.by, admin.DeadSelection{Numbers: []uint64{1}, All: true}},
		"number 0":             {d.by, admin.DeadSelection{Numbers: []uint64{0, 1}}},
		"too many numbers":     {d.by, admin.DeadSelection{Numbers: make([]uint64, admin.MaxNumbers+1)}},
		"limit below zero":     {d.by, admin.DeadSelection{All: true, Limit: -1}},
		"no such reason":       {d.by, admin.DeadSelection{Reason: "bored"}},
		"time that ends first": {d.by, admin.DeadSelection{Since: time.Now(), Until: time.Now().Add(-time.Hour)}},
		"too long a reason":    {long, admin.DeadSelection{All: true}},
	} {
		_, err := d.DiscardDeadLetters(t.Context(), tc.by, tc.chosen, nil)
		require.ErrorIs(t, err, admin.ErrInvalid, name)
	}
	assert.Len(t, d.stored("DEAD_LETTERS", "dead.>"), 1)
	assert.Empty(t, d.audits(), "what is refused is nothing that was done")
}

func TestStoppedReplaySaysWhatIsLeft(t *testing.T) {
	d := newDesk(t)
	d.bury("call-1", "call-1", "call-1", "call-1")
	ctx, cancel := context.WithCancel(t.Context())
	result, err := d.ReplayDeadLetters(ctx, d.by, admin.DeadSelection{All: true}, func(int, int) { cancel() })
	require.NoError(t, err)
	assert.Positive(t, result.Done)
	assert.Positive(t, result.Left)
	assert.Equal(t, 4, result.Done+result.Left)
	assert.Empty(t, result.Failed, "what has begun comes to its end")
	assert.Len(t, d.stored("DEAD_LETTERS", "dead.>"), result.Left)

	records := d.audits()
	require.Len(t, records, 2)
	assert.Equal(t, mesh.AuditIncomplete, records[1].Result)
	assert.Equal(t, fmt.Sprintf("0 could not be, %d were left", result.Left), records[1].Problem)
}

// TestManyFailuresAreCountedAndNotAllKept: whoever names what is not there gets no answer without bounds.
func TestManyFailuresAreCountedAndNotAllKept(t *testing.T) {
	d := newDesk(t)
	d.bury("call-1")
	var numbers []uint64
	for n := range uint64(admin.MaxFailures + 500) {
		numbers = append(numbers, n+1)
	}
	result, err := d.DiscardDeadLetters(t.Context(), d.by, admin.DeadSelection{Numbers: numbers}, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, result.Done)
	assert.Len(t, result.Failed, admin.MaxFailures)
	assert.Equal(t, admin.MaxFailures+499, result.Failures())
	assert.Contains(t, result.Failed[0].Error, "no such dead letter: ")
}

func TestBulkActionIsRecordedBeforeAndAfter(t *testing.T) {
	d := newDesk(t)
	d.bury("call-1", "call-2", "call-3", "call-4")
	_, err := d.DiscardDeadLetters(t.Context(), d.by, admin.DeadSelection{Numbers: []uint64{1, 2, 4, 9}}, nil)
	require.NoError(t, err)
	_, err = d.ReplayDeadLetters(t.Context(), d.by, admin.DeadSelection{Subscriber: "crm", Reason: mesh.DeadRejected, Limit: 5}, nil)
	require.NoError(t, err)
	_, err = d.ReplayDeadLetters(t.Context(), d.by, admin.DeadSelection{All: true}, nil)
	require.NoError(t, err)

	records := d.audits()
	require.Len(t, records, 4, "where nothing is chosen nothing is done")
	for i, want := range []mesh.Audit{
		{Action: "dead-discard", About: "by number", Numbers: "1-2, 4, 9", Count: 4, Result: mesh.AuditIntended},
		{Action: "dead-discard", About: "by number", Numbers: "1-2, 4, 9", Count: 4, Done: 3, Failed: 1, Result: mesh.AuditIncomplete,
			Problem: "1 could not be, 0 were left"},
		{Action: "dead-replay", Subscriber: "crm", About: "subscriber crm, reason rejected, the first 5", Numbers: "3", Count: 1, Result: mesh.AuditIntended},
		{Action: "dead-replay", Subscriber: "crm", About: "subscriber crm, reason rejected, the first 5", Numbers: "3", Count: 1, Done: 1, Result: mesh.AuditDone},
	} {
		want.Who, want.Reason, want.At = d.by.Who, "ticket 7", records[i].At
		assert.Equal(t, want, records[i])
	}
}

// TestNothingIsDoneThatCannotBeRecorded where streams.json has an audit; where it has none, that is told.
func TestNothingIsDoneThatCannotBeRecorded(t *testing.T) {
	d := newDesk(t)
	d.bury("call-1")
	d.deleteStream("AUDIT")
	_, err := d.DiscardDeadLetters(t.Context(), d.by, admin.DeadSelection{All: true}, nil)
	require.ErrorContains(t, err, "nothing was done: store the audit record in stream AUDIT")
	assert.Len(t, d.stored("DEAD_LETTERS", "dead.>"), 1)

	d.edit(`"audit.>"`, `"elsewhere.>"`)
	result, err := d.DiscardDeadLetters(t.Context(), d.by, admin.DeadSelection{All: true}, nil)
	require.NoError(t, err)
	assert.Equal(t, 1, result.Done)
	assert.Equal(t, admin.Trail{}, result.Trail)
}

// TestServerOutOfReachEndsABulkAction in place of failing a hundred thousand times.
func TestServerOutOfReachEndsABulkAction(t *testing.T) {
	d := newDesk(t)
	d.bury(slices.Repeat([]string{"call-1"}, 40)...)
	result, err := d.DiscardDeadLetters(t.Context(), d.by, admin.DeadSelection{All: true}, func(done, _ int) {
		if done == 1 {
			d.js.Conn().Close()
		}
	})
	require.NoError(t, err)
	assert.Positive(t, result.Done)
	assert.Greater(t, result.Left, 30)
	assert.NotEmpty(t, result.Failed)
	assert.NotEmpty(t, result.AuditProblem)
}

func TestDeadLettersArePaged(t *testing.T) {
	d := newDesk(t)
	d.bury("call-1", "call-2", "call-3", "call-4", "call-5")
	var numbers []uint64
	q := admin.DeadQuery{Limit: 2, Since: time.Now().Add(-time.Hour)}
	for pages := 0; ; pages++ {
		page, err := d.DeadLetters(t.Context(), q)
		require.NoError(t, err)
		for _, letter := range page.DeadLetters {
			numbers = append(numbers, letter.Number)
		}
		if page.Next == "" {
			assert.Equal(t, 2, pages)
			break
		}
		q.Cursor = page.Next
		if pages == 0 { // what the last page ended with is gone, and more comes
			require.NoError(t, d.letters.Discard(t.Context(), 2))
		}
	}
	assert.Equal(t, []uint64{1, 2, 3, 4, 5}, numbers)
}

func TestPagesThatCannotBeAreRefused(t *testing.T) {
	d := newDesk(t)
	for _, q := range []admin.DeadQuery{
		{Limit: -1}, {Limit: admin.MaxPage + 1}, {Cursor: "x"}, {Cursor: "-5.1"}, {Cursor: "1"}, {Cursor: "1."}, {Reason: "bored"},
		{Since: time.Now(), Until: time.Now().Add(-time.Minute)},
	} {
		_, err := d.DeadLetters(t.Context(), q)
		require.ErrorIs(t, err, admin.ErrInvalid, "%+v", q)
	}
	_, err := d.Quarantined(t.Context(), admin.QuarantineQuery{Cursor: "x"})
	require.ErrorIs(t, err, admin.ErrInvalid)
	_, err = d.Audit(t.Context(), admin.AuditQuery{Cursor: "0"})
	require.ErrorIs(t, err, admin.ErrInvalid)
}

func TestOneDeadLetterIsShownWithItsBody(t *testing.T) {
	d := newDesk(t)
	d.bury("call-1")
	letter, err := d.DeadLetter(t.Context(), 1)
	require.NoError(t, err)
	assert.JSONEq(t, `{"n":0}`, string(letter.Body.JSON))
	assert.Equal(t, "call-1", letter.Headers[mesh.HeaderInteraction])
	assert.Equal(t, time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), letter.Stored.UTC(), "where it was first stored")
	assert.Equal(t, 7, letter.Bytes)

	_, err = d.DeadLetter(t.Context(), 9)
	assert.True(t, errors.Is(err, admin.ErrNotFound))
	assert.EqualError(t, err, "no such dead letter: 9")
}
