package pages

import (
	"strconv"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
)

// quarantineFilter chooses events in quarantine, as an address has it.
type quarantineFilter struct {
	Source, Reason string
	Since, Until   time.Time
}

// quarantineGroupsView is the quarantine by cause.
type quarantineGroupsView struct {
	Filter           quarantineFilter
	Sources          []string
	Groups           []quarantineGroupView
	Total, Looked    uint64
	Release, Discard string
}

type quarantineGroupView struct {
	admin.QuarantineGroup
	Words, Path, SamplePath string
	Release, Discard        string
}

// quarantinedView is a page of events in quarantine.
type quarantinedView struct {
	Filter           quarantineFilter
	Events           []quarantinedRow
	First, Next      string
	Release, Discard string
}

type quarantinedRow struct {
	admin.Quarantined
	Words, Path, InteractionPath string
}

// quarantinedEventView is one of them.
type quarantinedEventView struct {
	admin.Quarantined
	Words            string
	Body             bodyView
	Headers          []fact
	InteractionPath  string
	Release, Discard string
	Command          string
}

func readQuarantineFilter(f *fields) quarantineFilter {
	filter := quarantineFilter{Source: f.text("source", 64), Reason: f.text(reasonField, 64)}
	filter.Since, filter.Until = f.span()
	return filter
}

func (f quarantineFilter) query(limit int, cursor string) admin.QuarantineQuery {
	return admin.QuarantineQuery{Source: f.Source, Reason: f.Reason, Since: f.Since, Until: f.Until, Limit: limit, Cursor: cursor}
}

func (f quarantineFilter) pairs(more ...string) []string {
	return append([]string{"source", f.Source, reasonField, f.Reason, "since", stamp(f.Since), "until", stamp(f.Until)}, more...)
}

func (f quarantineFilter) act(action string) string {
	return link("/quarantine/confirm", f.pairs("action", action)...)
}

func (s *site) quarantineGroups(v *visit) (*page, error) {
	filter := readQuarantineFilter(v.fields)
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	groups, err := v.operator.QuarantineGroups(v.Context(), filter.query(0, ""))
	if err != nil {
		return nil, err
	}
	view := quarantineGroupsView{
		Filter: filter, Sources: s.sourceNames(), Total: groups.Total, Looked: groups.Looked,
		Release: filter.act("release"), Discard: filter.act("discard"),
	}
	for _, g := range groups.Groups {
		one := filter
		one.Source, one.Reason = g.Source, g.Reason
		view.Groups = append(view.Groups, quarantineGroupView{
			QuarantineGroup: g, Words: v.words(g.Detail), Path: link("/quarantine/list", one.pairs()...),
			SamplePath: quarantinePath(g.Sample), Release: one.act("release"), Discard: one.act("discard"),
		})
	}
	return &page{
		Title: "Quarantine", Section: "/quarantine", template: "quarantinegroups", View: view, every: 5 * time.Second,
		regions: []string{"quarantinegroups-list"},
	}, nil
}

func (s *site) quarantined(v *visit) (*page, error) {
	filter, cursor := readQuarantineFilter(v.fields), v.fields.text("cursor", maxFieldBytes)
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	found, err := v.operator.Quarantined(v.Context(), filter.query(lettersShown, cursor))
	if err != nil {
		return nil, err
	}
	view := quarantinedView{Filter: filter, Release: filter.act("release"), Discard: filter.act("discard")}
	for _, q := range found.Quarantined {
		view.Events = append(view.Events, quarantinedRow{q, v.words(q.Detail), quarantinePath(q.Number), interactionPath(q.Interaction, "")})
	}
	if cursor != "" {
		view.First = link("/quarantine/list", filter.pairs()...)
	}
	if found.Next != "" {
		view.Next = link("/quarantine/list", filter.pairs("cursor", found.Next)...)
	}
	return &page{Title: "Quarantine, one by one", Section: "/quarantine", template: "quarantined", View: view}, nil
}

func (s *site) quarantinedEvent(v *visit) (*page, error) {
	number, err := strconv.ParseUint(v.PathValue("number"), 10, 64)
	if err != nil {
		return nil, admin.NotFound("there is no such event in quarantine: its number is a whole one")
	}
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	q, err := v.operator.QuarantinedEvent(v.Context(), number)
	if err != nil {
		return nil, err
	}
	text := strconv.FormatUint(number, 10)
	view := quarantinedEventView{
		Quarantined: q, Words: v.words(q.Detail), Body: bodyOf(v, q.Body, q.Bytes), Headers: sortedFacts(q.Headers), InteractionPath: interactionPath(q.Interaction, ""),
		Command: command("quarantine", "show", text),
		Release: link("/quarantine/confirm", "action", "release", "number", text),
		Discard: link("/quarantine/confirm", "action", "discard", "number", text),
	}
	return &page{Title: "Event " + text + " in quarantine", Section: "/quarantine", template: "quarantinedevent", View: view}, nil
}
