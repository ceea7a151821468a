package admin_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

func (d *desk) buryFor(subscriber string, n, status int, text string) {
	d.t.Helper()
	require.NoError(d.t, d.letters.Bury(d.t.Context(), deadLetter(subscriber, n, status, text)))
}

func deadLetter(subscriber string, n, status int, text string) mesh.DeadLetter {
	return mesh.DeadLetter{
		Event: mesh.Event{
			Source: "genesys", Interaction: fmt.Sprint("call-", n), Type: "interaction", Fingerprint: fmt.Sprint(n),
			Subject: "genesys.07.interaction.call.x", Body: []byte("{}"), Stream: "INTERACTIONS", Sequence: uint64(n), Stored: time.Now(),
		},
		Subscriber: subscriber, Reason: mesh.DeadRejected, Attempts: 1, Status: status, Error: text,
	}
}

func TestDeadLettersAreGroupedByCause(t *testing.T) {
	d := newDesk(t)
	for i := range 5 {
		d.buryFor("crm", i, 422, fmt.Sprintf("contact %d unknown", 4711+i))
	}
	d.buryFor("crm", 5, 422, `contact "x" is locked`)
	for i := range 3 {
		d.buryFor("analytics", 10+i, 422, "contact 1 unknown")
	}

	grouped, err := d.DeadGroups(t.Context(), admin.DeadQuery{})
	require.NoError(t, err)
	assert.Equal(t, [2]uint64{9, 9}, [2]uint64{grouped.Total, grouped.Looked})
	require.Len(t, grouped.Groups, 3)
	largest := grouped.Groups[0]
	assert.Equal(t, []any{"crm", "rejected", 422, uint64(5), "contact 4715 unknown", uint64(5)},
		[]any{largest.Subscriber, largest.Reason, largest.Status, largest.Count, largest.Error, largest.Sample})
	assert.True(t, largest.First.Before(largest.Last))
	assert.WithinDuration(t, largest.Last, largest.First, time.Minute)
	assert.Equal(t, "analytics", grouped.Groups[1].Subscriber)

	one, err := d.DeadGroups(t.Context(), admin.DeadQuery{Cause: largest.Cause})
	require.NoError(t, err)
	assert.Equal(t, []admin.DeadGroup{largest}, one.Groups)
	page, err := d.DeadLetters(t.Context(), admin.DeadQuery{Cause: largest.Cause})
	require.NoError(t, err)
	assert.Len(t, page.DeadLetters, 5, "a group's dead letters are found by its cause")
	result, err := d.DiscardDeadLetters(t.Context(), d.by, admin.DeadSelection{Cause: largest.Cause}, nil)
	require.NoError(t, err)
	assert.Equal(t, 5, result.Done)

	some, err := d.DeadGroups(t.Context(), admin.DeadQuery{Subscriber: "crm", Since: largest.Last})
	require.NoError(t, err)
	require.Len(t, some.Groups, 1)
	assert.EqualValues(t, 1, some.Total)
	assert.Equal(t, `contact "x" is locked`, some.Groups[0].Error)

	_, err = d.DeadGroups(t.Context(), admin.DeadQuery{Reason: "tired"})
	require.ErrorIs(t, err, admin.ErrInvalid)
}

// TestAGroupTellsTheNewestAnswerOfItsTarget, whatever it was: it is no part of the cause.
func TestAGroupTellsTheNewestAnswerOfItsTarget(t *testing.T) {
	d := newDesk(t)
	for i, words := range []string{"", `{"error":"no such contact"}`, "a" + strings.Repeat("ä", 400)} {
		letter := deadLetter("crm", i, 422, "crm:443 answered 422 Unprocessable Entity")
		letter.Answer = words
		require.NoError(t, d.letters.Bury(t.Context(), letter))
		grouped, err := d.DeadGroups(t.Context(), admin.DeadQuery{})
		require.NoError(t, err)
		require.Len(t, grouped.Groups, 1)
		if len(words) > 300 {
			words = "a" + strings.Repeat("ä", 149)
		}
		assert.Equal(t, words, grouped.Groups[0].Answer)
	}
}

func TestQuarantineIsGroupedBySourceAndReason(t *testing.T) {
	d := newDesk(t)
	none, err := d.QuarantineGroups(t.Context(), admin.QuarantineQuery{})
	require.NoError(t, err)
	assert.Equal(t, admin.QuarantineGroups{Groups: []admin.QuarantineGroup{}}, none)
	d.quarantine("call-1", `{"n":1}`, "schema")
	last := d.quarantine("call-2", `{"n":2}`, "schema")
	d.quarantine("call-3", `{`, "invalid_json")

	grouped, err := d.QuarantineGroups(t.Context(), admin.QuarantineQuery{})
	require.NoError(t, err)
	require.Len(t, grouped.Groups, 2)
	assert.Equal(t, []any{"genesys", "schema", last}, []any{grouped.Groups[0].Source, grouped.Groups[0].Reason, grouped.Groups[0].Sample})
	assert.Equal(t, grouped.Total, grouped.Groups[0].Count+grouped.Groups[1].Count)
	some, err := d.QuarantineGroups(t.Context(), admin.QuarantineQuery{Reason: "invalid_json"})
	require.NoError(t, err)
	assert.EqualValues(t, 1, some.Total)
}
