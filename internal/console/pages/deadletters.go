package pages

import (
	"strconv"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// deadFilter chooses dead letters, as an address has it.
type deadFilter struct {
	Subscriber, Reason, Cause string
	Since, Until              time.Time
}

// deadGroupsView are dead letters by cause.
type deadGroupsView struct {
	Filter               deadFilter
	Subscribers, Reasons []string
	Groups               []deadGroupView
	Total, Looked        uint64
	// The addresses that replay or discard all that the filter chooses.
	Replay, Discard string
}

type deadGroupView struct {
	admin.DeadGroup
	Words, AnswerWords string
	Path, SamplePath   string
	Replay, Discard    string
}

// deadLettersView is a page of dead letters.
type deadLettersView struct {
	Filter      deadFilter
	Group       *deadGroupView
	Letters     []deadRow
	First, Next string
	Replay      string
	Discard     string
}

type deadRow struct {
	admin.DeadLetter
	Words, Path, InteractionPath string
}

// deadLetterView is one dead letter.
type deadLetterView struct {
	admin.DeadLetter
	ErrorWords, AnswerWords    string
	Body                       bodyView
	Headers                    []fact
	InteractionPath, EventPath string
	SubscriberPath             string
	Replay, Discard, Command   string
}

func deadReasons() []string {
	var names []string
	for _, r := range mesh.DeadReasons() {
		names = append(names, string(r))
	}
	return names
}

func (s *site) subscriberNames() []string {
	subscribers := s.o.Topology().Subscribers
	names := make([]string, len(subscribers))
	for i := range subscribers {
		names[i] = subscribers[i].Name
	}
	return names
}

// readDeadFilter takes any subscriber: dead letters outlive those that streams.json has.
func readDeadFilter(f *fields) deadFilter {
	filter := deadFilter{
		Subscriber: f.text("subscriber", 64), Reason: f.choice(reasonField, deadReasons()...), Cause: f.text("cause", maxFieldBytes),
	}
	filter.Since, filter.Until = f.span()
	return filter
}

func (f deadFilter) query(limit int, cursor string) admin.DeadQuery {
	return admin.DeadQuery{
		Subscriber: f.Subscriber, Reason: mesh.DeadReason(f.Reason), Cause: f.Cause, Since: f.Since, Until: f.Until,
		Limit: limit, Cursor: cursor,
	}
}

func (f deadFilter) pairs(more ...string) []string {
	return append([]string{
		"subscriber", f.Subscriber, reasonField, f.Reason, "cause", f.Cause, "since", stamp(f.Since), "until", stamp(f.Until),
	}, more...)
}

// act is the address that asks whether to do something to all that the filter chooses.
func (f deadFilter) act(action string) string {
	return link("/dead-letters/confirm", f.pairs("action", action)...)
}

func (s *site) deadGroups(v *visit) (*page, error) {
	filter := readDeadFilter(v.fields)
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	groups, err := v.operator.DeadGroups(v.Context(), filter.query(0, ""))
	if err != nil {
		return nil, err
	}
	view := deadGroupsView{
		Filter: filter, Subscribers: s.subscriberNames(), Reasons: deadReasons(), Total: groups.Total, Looked: groups.Looked,
		Replay: filter.act("replay"), Discard: filter.act("discard"),
	}
	for _, g := range groups.Groups {
		view.Groups = append(view.Groups, deadGroupOf(v, g, filter))
	}
	return &page{
		Title: "Dead letters", Section: "/dead-letters", template: "deadgroups", View: view, every: 5 * time.Second,
		regions: []string{"deadgroups-list"},
	}, nil
}

func deadGroupOf(v *visit, g admin.DeadGroup, filter deadFilter) deadGroupView {
	filter.Subscriber, filter.Cause, filter.Reason = g.Subscriber, g.Cause, g.Reason
	return deadGroupView{
		DeadGroup: g, Words: v.words(g.Error), AnswerWords: v.words(g.Answer),
		Path: link("/dead-letters/list", filter.pairs()...), SamplePath: deadLetterPath(g.Sample),
		Replay: filter.act("replay"), Discard: filter.act("discard"),
	}
}

// lettersShown is how many a page has.
const lettersShown = 50

func (s *site) deadLetters(v *visit) (*page, error) {
	filter, cursor := readDeadFilter(v.fields), v.fields.text("cursor", maxFieldBytes)
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	found, err := v.operator.DeadLetters(v.Context(), filter.query(lettersShown, cursor))
	if err != nil {
		return nil, err
	}
	view := deadLettersView{
		Filter: filter, Letters: deadRows(v, found.DeadLetters), Replay: filter.act("replay"), Discard: filter.act("discard"),
	}
	if cursor != "" {
		view.First = link("/dead-letters/list", filter.pairs()...)
	}
	if found.Next != "" {
		view.Next = link("/dead-letters/list", filter.pairs("cursor", found.Next)...)
	}
	return &page{Title: "Dead letters, one by one", Section: "/dead-letters", template: "deadletters", View: view}, nil
}

func deadRows(v *visit, letters []admin.DeadLetter) []deadRow {
	rows := make([]deadRow, len(letters))
	for i, d := range letters {
		rows[i] = deadRow{d, v.words(d.Error), deadLetterPath(d.Number), interactionPath(d.Interaction, "")}
	}
	return rows
}

func (s *site) deadLetter(v *visit) (*page, error) {
	number, err := strconv.ParseUint(v.PathValue("number"), 10, 64)
	if err != nil {
		return nil, admin.NotFound("there is no such dead letter: its number is a whole one")
	}
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	d, err := v.operator.DeadLetter(v.Context(), number)
	if err != nil {
		return nil, err
	}
	text := strconv.FormatUint(number, 10)
	view := deadLetterView{
		DeadLetter: d, ErrorWords: v.words(d.Error), AnswerWords: v.words(d.Answer), Body: bodyOf(v, d.Body, d.Bytes),
		Headers:         sortedFacts(d.Headers),
		InteractionPath: interactionPath(d.Interaction, ""), EventPath: eventPath(d.Stream, d.Sequence),
		SubscriberPath: subscriberPath(d.Subscriber), Command: command("dead", "show", text),
		Replay:  link("/dead-letters/confirm", "action", "replay", "number", text),
		Discard: link("/dead-letters/confirm", "action", "discard", "number", text),
	}
	return &page{Title: "Dead letter " + text, Section: "/dead-letters", template: "deadletter", View: view}, nil
}

// bodyOf is the body of the one event that a page is about, as it came, too. It may not be there.
func bodyOf(v *visit, body *admin.Body, size int) bodyView {
	if body == nil {
		return bodyView{Bytes: size}
	}
	shown := newBody(body.Raw, size, body.Hidden, v.masked)
	shown.showAsItCame(body.Raw)
	return shown
}
