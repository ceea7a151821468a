package pages

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/mesh"
)

// interactionView is all that is stored of an interaction.
type interactionView struct {
	ID, Source string
	Sources    []string
	Since      string
	Limit      int
	Line       *mesh.Timeline
	Lanes      *lanes
	Events     []timelineEvent
	Dead       []timelineDead
	Quarantine []timelineQuarantined
	More       string // the address that shows more
	ErasePath  string
	Command    string
}

type timelineEvent struct {
	mesh.TimelineEvent
	Path       string
	Body       bodyView
	Deliveries []deliveryView
}

type timelineDead struct {
	mesh.TimelineDeadLetter
	Path, Words string
}

type timelineQuarantined struct {
	mesh.TimelineQuarantined
	Path, Words string
	Body        bodyView
}

// deliveryView is what became of an event at a subscriber.
type deliveryView struct {
	mesh.TimelineDelivery
	Class    string // of deliveryClass
	Path     string
	DeadPath string
	Took     string
	WaitedAs string
	// Why is why it is still under way, if that is known.
	Why string
}

// The bounds of what the page shows of an interaction: at first, and if more is asked for.
const (
	timelineShown = 100
	timelineMost  = 1000
	// timelineBodies bounds how much of the bodies one page has in all, in bytes.
	timelineBodies = 2 << 20
)

func (s *site) interaction(v *visit) (*page, error) {
	view := interactionView{
		ID: v.fields.text("id", 4*mesh.MaxValueBytes), Source: v.fields.choice("source", s.sourceNames()...), Sources: s.sourceNames(),
		Limit: int(v.fields.number("limit", 1, timelineMost)),
	}
	from := v.fields.moment("since")
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	p := &page{Title: "Interaction", Section: "/interactions", template: "interaction"}
	if view.ID == "" {
		p.View = view
		return p, nil
	}
	if view.Limit == 0 {
		view.Limit = timelineShown
	}
	leave, err := enter(v.Context(), s.room(v).timelines)
	if err != nil {
		return nil, err
	}
	defer leave()
	line, err := v.operator.Timeline(v.Context(), mesh.InteractionSearch{
		Interaction: view.ID, Source: view.Source, Since: from, Limit: view.Limit, Bodies: true,
	})
	if err != nil {
		return nil, err
	}
	view.Since, view.Line = stamp(from), line
	fillTimeline(v, &view, s.o.Now())
	p.View = view
	return p, nil
}

func fillTimeline(v *visit, view *interactionView, now time.Time) {
	g := v.glances.look(v.Context())
	hidden, budget := sensitive(g), timelineBodies
	for i, e := range view.Line.Events {
		body := e.Body
		e.Body, view.Line.Events[i].Body = nil, nil // the page has what it shows of it, and needs room for no more
		one := timelineEvent{TimelineEvent: e, Path: eventPath(e.Stream, e.Sequence), Deliveries: deliveriesOf(v, g, e.Deliveries)}
		one.Body = timelineBody(v, body, e.Bytes, hidden(e.Source), &budget)
		view.Events = append(view.Events, one)
	}
	for i, d := range view.Line.DeadLetters {
		d.Body, view.Line.DeadLetters[i].Body = nil, nil
		view.Dead = append(view.Dead, timelineDead{d, deadLetterPath(d.Number), v.words(d.Error)})
	}
	for i, q := range view.Line.Quarantined {
		body := q.Body
		q.Body, view.Line.Quarantined[i].Body = nil, nil
		one := timelineQuarantined{TimelineQuarantined: q, Path: quarantinePath(q.Number), Words: v.words(q.Detail)}
		one.Body = timelineBody(v, body, q.Bytes, hidden(q.Source), &budget)
		view.Quarantine = append(view.Quarantine, one)
	}
	view.Lanes = lanesOf(view.Line, now)
	if view.Line.Truncated && view.Limit < timelineMost {
		view.More = link("/interactions", "id", view.ID, "source", view.Source, "since", view.Since, "limit", strconv.Itoa(timelineMost))
	}
	view.ErasePath = link("/interactions/erase", "id", view.ID, "source", view.Source)
	view.Command = command("timeline", "--source=", view.Source, "--since=", view.Since, "--bodies", "--", view.ID)
}

// timelineBody is a body of a timeline. What goes beyond the budget of the page is left out, as what is hidden is.
func timelineBody(v *visit, body any, size int, sensitive bool, budget *int) bodyView {
	if hidden := sensitive && !v.may(access.Operator); hidden {
		return bodyView{Bytes: size, Hidden: true}
	}
	var raw []byte
	switch body := body.(type) {
	case nil:
		return bodyView{Bytes: size}
	case json.RawMessage:
		raw = body
	case []byte:
		raw = body
	case string:
		raw = []byte(body)
	default:
		raw, _ = json.Marshal(body) // it came from JSON
	}
	if *budget -= len(raw); *budget < 0 {
		return bodyView{Bytes: size, Cut: true}
	}
	return newBody(raw, size, false, v.masked)
}

func (s *site) sourceNames() []string {
	sources := s.o.Topology().Sources
	names := make([]string, len(sources))
	for i := range sources {
		names[i] = sources[i].Name
	}
	return names
}

// sensitive tells which sources are. One that streams.json no longer has is taken for sensitive.
func sensitive(g glance) func(source string) bool {
	return func(source string) bool {
		i := slices.IndexFunc(g.Sources, func(s admin.Source) bool { return s.Name == source })
		return i < 0 || g.Sources[i].Sensitive
	}
}

// deliveriesOf shows what became of an event. Of one that is still on its way it says what its subscriber's state is, if that is not good.
func deliveriesOf(v *visit, g glance, deliveries []mesh.TimelineDelivery) []deliveryView {
	views := make([]deliveryView, len(deliveries))
	for i, d := range deliveries {
		views[i] = deliveryView{TimelineDelivery: d, Class: deliveryClass(d), Path: subscriberPath(d.Subscriber)}
		if d.DeadLetter > 0 {
			views[i].DeadPath = deadLetterPath(d.DeadLetter)
		}
		if !d.Began.IsZero() && d.Ended.After(d.Began) {
			views[i].Took = seconds(d.Ended.Sub(d.Began).Seconds())
		}
		if d.IsUnderWay() {
			views[i].Why = whyUnderWay(v, g, d.Subscriber)
		}
		if d.Waited > 0 {
			views[i].WaitedAs = seconds(time.Duration(d.Waited).Seconds())
		}
	}
	return views
}

// whyUnderWay is why a subscriber may not have taken an event yet, as far as its state tells.
func whyUnderWay(v *visit, g glance, subscriber string) string {
	i := slices.IndexFunc(g.Subscribers, func(s admin.Subscriber) bool { return s.Name == subscriber })
	if i < 0 || severity(g.Subscribers[i].Health) == 0 || g.Subscribers[i].Health == admin.HealthStuck {
		return ""
	}
	return v.why(g.Subscribers[i].Why)
}

// Open reports whether its attempts are few enough to be shown at once.
func (d deliveryView) Open() bool { return len(d.EachAttempt) <= 5 }

// attemptClass sorts what attempts came to as deliveryClass does.
func attemptClass(outcome string) string {
	switch outcome {
	case "delivered":
		return "good"
	case "rejected":
		return "failing"
	case "failed":
		return "slow"
	}
	return "unknown"
}

// deliveryClass sorts states into those that look different: good, dead, waiting or none.
func deliveryClass(d mesh.TimelineDelivery) string {
	switch d.State {
	case mesh.DeliveryState(mesh.OutcomeDelivered):
		return "good"
	case mesh.DeliveryState(mesh.OutcomeDead):
		return "failing"
	case mesh.StateWaiting, mesh.StateInHand:
		return "slow"
	}
	return "unknown"
}

// erasurePlanView is what erasing an interaction would take, and the form that does it.
type erasurePlanView struct {
	ID, Source, Back, Command string
	Erasure                   admin.ErasureResult
	Problem                   string
}

func (s *site) planErasure(v *visit) (*page, error) {
	id, source := v.fields.needed("id", 4*mesh.MaxValueBytes, "say which interaction"), v.fields.choice("source", s.sourceNames()...)
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	erasure, err := v.operator.PlanErasure(v.Context(), id, source)
	view := erasurePlanView{
		ID: id, Source: source, Back: interactionPath(id, source), Erasure: erasure, Problem: asProblem(err),
		Command: command("erase", "--source=", source, "--because", "…", "--", id),
	}
	if err != nil && view.Problem == "" {
		return nil, err
	}
	return &page{Title: "Erase an interaction", Section: "/interactions", template: "erase", View: view}, nil
}

func (s *site) erase(v *visit) (string, error) {
	ask := admin.EraseAsk{
		Interaction: v.fields.needed("id", 4*mesh.MaxValueBytes, "say which interaction"),
		Source:      v.fields.choice("source", s.sourceNames()...), NotifyAgain: v.fields.flag("notify_again"),
	}
	typed, reason := v.fields.text("typed", 4*mesh.MaxValueBytes), v.fields.reason()
	if typed != ask.Interaction {
		v.fields.refuse("typed", "type the interaction's id exactly, to confirm that it is the one you mean")
	}
	if err := v.fields.done(); err != nil {
		return "", err
	}
	// The task's words stay in memory, where others may read them: they don't name the interaction.
	about := fmt.Sprintf("the interaction with the hash %.12s", mesh.HashInteraction(ask.Interaction))
	return s.start(v, admin.ActionErase, about, v.by(reason), func(do doing) (any, error) {
		return v.operator.Erase(do.ctx, do.by, ask, do.progress)
	})
}
