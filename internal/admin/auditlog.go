package admin

import (
	"context"
	"slices"
	"strconv"

	"github.com/genmesh/genmesh/mesh"
)

// Audit pages through the audit, the newest first. User is any of the names of who did it. A page that was looked for among very many
// records may have fewer than its limit and a next one all the same.
func (d *Direct) Audit(ctx context.Context, q AuditQuery) (AuditPage, error) {
	page := AuditPage{Records: []AuditRecord{}}
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return page, err
	}
	if err := checkSpan(q.Since, q.Until); err != nil {
		return page, err
	}
	filter := mesh.AuditFilter{Action: q.Action, Since: q.Since, Until: q.Until}
	if q.Cursor != "" {
		if filter.Before, err = strconv.ParseUint(q.Cursor, 10, 64); err != nil || filter.Before == 0 {
			return page, Invalid("the cursor is none that a page had")
		}
	}
	looked, last := 0, filter.Before
	for entry, err := range d.o.Topology().AuditTrail(ctx, d.o.JetStream, filter) {
		if err != nil {
			return page, err
		}
		if len(page.Records) == limit || looked == maxLooked {
			page.Next = strconv.FormatUint(last, 10)
			break
		}
		looked, last = looked+1, entry.Number
		if q.has(entry.Audit) {
			page.Records = append(page.Records, AuditRecord{entry.Number, entry.Audit})
		}
	}
	return page, nil
}

// has reports whether a record of the action and the time that are asked for is asked for.
func (q AuditQuery) has(record mesh.Audit) bool {
	who := record.Who
	names := []string{who.User, who.OSUser, who.NATSUser, who.String()}
	return (q.Subscriber == "" || record.Subscriber == q.Subscriber) && (q.User == "" || slices.Contains(names, q.User))
}
