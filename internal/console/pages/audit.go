package pages

import (
	"errors"
	"strings"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// auditView is a page of what was done, the newest first.
type auditView struct {
	Query       admin.AuditQuery
	Since       string
	Until       string
	Subscribers []string
	Actions     []string
	Records     []auditRow
	First, Next string
	// Unkept is true where streams.json keeps no audit.
	Unkept  bool
	Command string
}

type auditRow struct {
	admin.AuditRecord
	By, From, On string
	Problem      string
	// Came is the result in words. Begins is true for the record that stands before what was done, and says that it is about to be.
	Came   string
	Begins bool
}

// recordsShown is how many a page has.
const recordsShown = 50

func (s *site) audit(v *visit) (*page, error) {
	q := admin.AuditQuery{
		Action: v.fields.choice("action", admin.Actions()...), Subscriber: v.fields.text("subscriber", 64), User: v.fields.text("user", maxFieldBytes),
		Limit: recordsShown, Cursor: v.fields.text("cursor", maxFieldBytes),
	}
	q.Since, q.Until = v.fields.span()
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	view := auditView{Query: q, Since: stamp(q.Since), Until: stamp(q.Until), Subscribers: s.subscriberNames(), Actions: admin.Actions(),
		Command: command("audit", "--action=", q.Action, "--subscriber=", q.Subscriber, "--by=", q.User, "--since=", stamp(q.Since), "--until=", stamp(q.Until)),
	}
	found, err := v.operator.Audit(v.Context(), q)
	if view.Unkept = errors.Is(err, mesh.ErrNoAudit); err != nil && !view.Unkept {
		return nil, err
	}
	for _, record := range found.Records {
		view.Records = append(view.Records, auditRowOf(v, record))
	}
	if q.Cursor != "" {
		view.First = view.address("")
	}
	if found.Next != "" {
		view.Next = view.address(found.Next)
	}
	return &page{Title: "Audit", Section: "/audit", template: "audit", View: view}, nil
}

func (v auditView) address(cursor string) string {
	return link("/audit", "action", v.Query.Action, "subscriber", v.Query.Subscriber, "user", v.Query.User,
		"since", v.Since, "until", v.Until, "cursor", cursor)
}

// auditRowOf says who did it and to what, as far as the record tells.
func auditRowOf(v *visit, r admin.AuditRecord) auditRow {
	row := auditRow{
		AuditRecord: r, Problem: v.words(r.Audit.Problem),
		By:   r.Who.String(),
		From: strings.Join(nonEmpty(r.Who.Role, r.Who.Via, r.Who.Address, r.Who.Connection), ", "),
		Came: string(r.Result), Begins: r.Result == mesh.AuditIntended,
	}
	if row.Begins {
		row.Came = "about to begin"
	}
	var on []string
	name := func(kind, name string) {
		if words := kind + " " + name; name != "" && !strings.HasPrefix(r.About+",", words+",") { // what was chosen by it begins with it
			on = append(on, words)
		}
	}
	name("subscriber", r.Subscriber)
	name("source", r.Source)
	if r.InteractionSHA256 != "" {
		on = append(on, "interaction with the hash "+cut(r.InteractionSHA256, 12))
	}
	if r.About != "" {
		on = append(on, r.About)
	}
	if r.Numbers != "" {
		on = append(on, "numbers "+cut(r.Numbers, 200))
	}
	erased := 0
	for _, s := range r.Streams {
		erased += s.Erased
	}
	if erased > 0 {
		on = append(on, plural(erased, "copy", "copies"))
	}
	switch {
	case r.Count == 0 || row.Begins:
	case r.Action == admin.ActionReplay: // the record says that it has begun; the subscriber's page how far it is
		on = append(on, plural(r.Count, "event", "events")+" to hand over")
	default:
		on = append(on, count(r.Done)+" of "+count(r.Count)+" done")
	}
	row.On = strings.Join(on, ", ")
	return row
}

func nonEmpty(texts ...string) []string {
	var kept []string
	for _, text := range texts {
		if text != "" {
			kept = append(kept, text)
		}
	}
	return kept
}
