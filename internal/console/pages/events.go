package pages

import (
	"slices"
	"strconv"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// eventsView is a page of what a stream holds.
type eventsView struct {
	Query            admin.EventQuery
	Streams, Sources []string
	Since, Until     string
	Page             admin.EventPage
	Events           []eventRow
	First, Next      string // addresses
	Problem          string
}

type eventRow struct {
	admin.Event
	Path, InteractionPath string
}

// eventsShown is how many a page has.
const eventsShown = 50

func (s *site) events(v *visit) (*page, error) {
	q := admin.EventQuery{
		Stream: v.fields.choice("stream", s.streamNames()...), Source: v.fields.choice("source", s.sourceNames()...),
		Interaction: v.fields.text("interaction", 4*mesh.MaxValueBytes), Type: v.fields.text("type", maxFieldBytes),
		Subject: v.fields.text("subject", maxFieldBytes), Limit: eventsShown, Cursor: v.fields.text("cursor", maxFieldBytes),
	}
	q.Since, q.Until = v.fields.span()
	if q.Subject != "" && (q.Source != "" || q.Interaction != "" || q.Type != "") {
		v.fields.refuse("subject", "it stands instead of source, interaction and type: leave those or it empty")
	}
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	view := eventsView{Query: q, Streams: s.streamNames(), Sources: s.sourceNames(), Since: stamp(q.Since), Until: stamp(q.Until)}
	found, err := v.operator.Events(v.Context(), q)
	if view.Problem = asProblem(err); err != nil && view.Problem == "" {
		return nil, err
	}
	view.Page = found
	for _, e := range found.Events {
		view.Events = append(view.Events, eventRow{e, eventPath(e.Stream, e.Sequence), interactionPath(e.Interaction, "")})
	}
	if q.Cursor != "" {
		view.First = view.address("")
	}
	if found.Next != "" {
		view.Next = view.address(found.Next)
	}
	return &page{Title: "Events", Section: "/events", template: "events", View: view}, nil
}

// address is that of the same search at another cursor.
func (v eventsView) address(cursor string) string {
	q := v.Query
	return link("/events", "stream", q.Stream, "source", q.Source, "interaction", q.Interaction, "type", q.Type, "subject", q.Subject,
		"since", v.Since, "until", v.Until, "cursor", cursor)
}

func (s *site) streamNames() []string {
	streams := s.o.Topology().Streams
	names := make([]string, len(streams))
	for i := range streams {
		names[i] = streams[i].Name
	}
	return names
}

// eventView is one event with all that is known of it.
type eventView struct {
	admin.EventDetail
	InteractionPath string
	Body            bodyView
	Headers         []fact
	Deliveries      []deliveryView
	Age             time.Time
	Command         string
}

func (s *site) event(v *visit) (*page, error) {
	sequence, err := strconv.ParseUint(v.PathValue("sequence"), 10, 64)
	if err != nil {
		return nil, admin.NotFound("there is no such event: a sequence is a whole number")
	}
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	detail, err := v.operator.Event(v.Context(), v.PathValue("stream"), sequence)
	if err != nil {
		return nil, err
	}
	view := eventView{
		EventDetail: detail, InteractionPath: interactionPath(detail.Interaction, ""),
		Body:    bodyOf(v, &detail.Body, detail.Bytes),
		Headers: sortedFacts(detail.Headers), Deliveries: deliveriesOf(v, v.glances.look(v.Context()), detail.Deliveries),
		Command: command("explain", strconv.FormatUint(sequence, 10), "--stream", detail.Stream, "--subscriber", "…"),
	}
	return &page{
		Title: "Event " + strconv.FormatUint(sequence, 10) + " of " + cut(detail.Stream, 64), Section: "/events", template: "event", View: view,
	}, nil
}

// maxHeadersShown bounds the headers on a page.
const maxHeadersShown = 100

func sortedFacts(headers map[string]string) []fact {
	var facts []fact
	for name, value := range headers {
		facts = append(facts, fact{name, cut(value, maxWords)})
	}
	slices.SortFunc(facts, func(a, b fact) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return facts[:min(len(facts), maxHeadersShown)]
}
