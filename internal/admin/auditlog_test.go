package admin_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// record stores a record as an operator's action does.
func (d *desk) record(user, action, subscriber string) {
	d.t.Helper()
	require.NoError(d.t, mesh.RecordAudit(d.t.Context(), d.js, d.topology, mesh.Audit{
		At: time.Now(), Who: mesh.Actor{User: user}, Action: action, Subscriber: subscriber, Result: mesh.AuditDone,
	}))
}

// auditPages reads all pages of a query, as the numbers of the records of each.
func (d *desk) auditPages(q admin.AuditQuery) [][]uint64 {
	d.t.Helper()
	var pages [][]uint64
	for {
		page, err := d.Audit(d.t.Context(), q)
		require.NoError(d.t, err)
		numbers := []uint64{}
		for _, record := range page.Records {
			numbers = append(numbers, record.Number)
		}
		if pages = append(pages, numbers); page.Next == "" {
			return pages
		}
		q.Cursor = page.Next
	}
}

func TestAuditIsPagedTheNewestFirst(t *testing.T) {
	d := newDesk(t)
	d.record("alice", "pause", "crm")         // 1
	d.record("bob", "resume", "crm")          // 2
	d.record("alice", "dead-replay", "crm")   // 3
	d.record("alice", "pause", "analytics")   // 4
	d.record("bob", "quarantine-release", "") // 5
	between := time.Now()
	d.record("bob", "pause", "crm") // 6

	for name, tc := range map[string]struct {
		q    admin.AuditQuery
		want [][]uint64
	}{
		"all":                {admin.AuditQuery{}, [][]uint64{{6, 5, 4, 3, 2, 1}}},
		"by pages":           {admin.AuditQuery{Limit: 4}, [][]uint64{{6, 5, 4, 3}, {2, 1}}},
		"pages that fit":     {admin.AuditQuery{Limit: 3}, [][]uint64{{6, 5, 4}, {3, 2, 1}}},
		"an action":          {admin.AuditQuery{Action: "pause", Limit: 2}, [][]uint64{{6, 4}, {1}}},
		"a subscriber":       {admin.AuditQuery{Subscriber: "crm"}, [][]uint64{{6, 3, 2, 1}}},
		"a user's":           {admin.AuditQuery{User: "alice", Limit: 2}, [][]uint64{{4, 3}, {1}}},
		"since":              {admin.AuditQuery{Since: between}, [][]uint64{{6}}},
		"until":              {admin.AuditQuery{Until: between}, [][]uint64{{5, 4, 3, 2, 1}}},
		"nobody's":           {admin.AuditQuery{User: "carol"}, [][]uint64{{}}},
		"everything at once": {admin.AuditQuery{User: "bob", Action: "resume", Subscriber: "crm", Until: between}, [][]uint64{{2}}},
	} {
		assert.Equal(t, tc.want, d.auditPages(tc.q), name)
	}
}

// TestAuditThatGrewLongIsReadFromItsEnd in chunks that don't lose or double what lies where they meet.
func TestAuditThatGrewLongIsReadFromItsEnd(t *testing.T) {
	d := newDesk(t)
	const records = 2000
	for i := range records {
		_, err := d.js.PublishAsync("audit.pause", fmt.Appendf(nil, `{"action":"pause","subscriber":"%d"}`, i+1))
		require.NoError(t, err)
	}
	<-d.js.PublishAsyncComplete()
	var all []uint64
	for _, page := range d.auditPages(admin.AuditQuery{Limit: 300}) {
		all = append(all, page...)
	}
	require.Len(t, all, records)
	for i, number := range all {
		require.EqualValues(t, records-i, number)
	}
	assert.Equal(t, [][]uint64{{7}}, d.auditPages(admin.AuditQuery{Subscriber: "7"}))
}

func TestAuditThatIsNotKept(t *testing.T) {
	d := newDesk(t)
	d.deleteStream("AUDIT")
	_, err := d.Audit(t.Context(), admin.AuditQuery{})
	require.ErrorIs(t, err, mesh.ErrNoAudit)
	assert.ErrorContains(t, err, "genmesh apply makes it")
	d.edit(`"audit.>"`, `"elsewhere.>"`)
	_, err = d.Audit(t.Context(), admin.AuditQuery{})
	require.ErrorIs(t, err, mesh.ErrNoAudit)
}
