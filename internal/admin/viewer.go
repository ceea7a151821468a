package admin

import (
	"context"
	"slices"
	"strings"

	"github.com/genmesh/genmesh/mesh"
)

// HiddenText stands where a viewer would read what may repeat something of a body that is hidden.
const HiddenText = "hidden: the source is sensitive"

// ForViewer is op for somebody who only looks: nothing can be changed by it, and of the sources that are sensitive neither bodies are shown
// nor what may repeat something of them, such as the answers of targets. What is of no known source is hidden, too.
func ForViewer(op Operator, sensitive func(source string) bool) Operator {
	return viewer{Looker: op, sensitive: sensitive}
}

// viewer passes on what hides nothing; what does is in methods of its own.
type viewer struct {
	Looker
	sensitive func(source string) bool
	onlyLooks
}

func (v viewer) hides(source string) bool { return source == "" || v.sensitive(source) }

// Overview hides the words of targets that get events of sensitive sources.
func (v viewer) Overview(ctx context.Context) (Overview, error) {
	o, err := v.Looker.Overview(ctx)
	o.Subscribers = v.open(o).subscribers(o.Subscribers)
	return o, err
}

// Subscribers does, too.
func (v viewer) Subscribers(ctx context.Context, names ...string) ([]Subscriber, error) {
	subscribers, err := v.Looker.Subscribers(ctx, names...)
	if err != nil {
		return nil, err
	}
	open, err := v.openStreams(ctx)
	return open.subscribers(subscribers), err
}

// Event hides the body.
func (v viewer) Event(ctx context.Context, stream string, sequence uint64) (EventDetail, error) {
	detail, err := v.Looker.Event(ctx, stream, sequence)
	if v.hides(detail.Source) {
		detail.Body, detail.Headers = Body{Hidden: true}, withoutDetail(detail.Headers)
	}
	return detail, err
}

// Timeline hides bodies, and what may repeat something of them.
func (v viewer) Timeline(ctx context.Context, search mesh.InteractionSearch) (*mesh.Timeline, error) {
	line, err := v.Looker.Timeline(ctx, search)
	if line == nil {
		return nil, err
	}
	shown := *line
	shown.Events = slices.Clone(line.Events)
	for i := range shown.Events {
		if e := &shown.Events[i]; v.hides(e.Source) {
			e.Body = nil
		}
	}
	shown.DeadLetters = slices.Clone(line.DeadLetters)
	for i := range shown.DeadLetters {
		if d := &shown.DeadLetters[i]; v.hides(d.Source) {
			d.Body, d.Error = nil, hidden(d.Error)
		}
	}
	shown.Quarantined = slices.Clone(line.Quarantined)
	for i := range shown.Quarantined {
		if q := &shown.Quarantined[i]; v.hides(q.Source) {
			q.Body, q.Detail = nil, hidden(q.Detail)
		}
	}
	return &shown, err
}

// DeadLetters hides the words of targets.
func (v viewer) DeadLetters(ctx context.Context, q DeadQuery) (DeadPage, error) {
	page, err := v.Looker.DeadLetters(ctx, q)
	page.DeadLetters = slices.Clone(page.DeadLetters)
	for i := range page.DeadLetters {
		v.hideDead(&page.DeadLetters[i])
	}
	return page, err
}

// DeadLetter hides the body, too.
func (v viewer) DeadLetter(ctx context.Context, number uint64) (DeadLetter, error) {
	letter, err := v.Looker.DeadLetter(ctx, number)
	v.hideDead(&letter)
	return letter, err
}

func (v viewer) hideDead(letter *DeadLetter) {
	if !v.hides(letter.Source) {
		return
	}
	letter.Error, letter.Answer = hidden(letter.Error), hidden(letter.Answer)
	letter.Body, letter.Headers = hiddenBody(letter.Body), withoutDetail(letter.Headers)
}

// DeadGroups hides the words of targets.
func (v viewer) DeadGroups(ctx context.Context, q DeadQuery) (DeadGroups, error) {
	grouped, err := v.Looker.DeadGroups(ctx, q)
	grouped.Groups = slices.Clone(grouped.Groups)
	for i := range grouped.Groups {
		if g := &grouped.Groups[i]; v.hides(g.Source) {
			g.Error, g.Answer = hidden(g.Error), hidden(g.Answer)
		}
	}
	return grouped, err
}

// Quarantined hides what exactly is wrong with an event.
func (v viewer) Quarantined(ctx context.Context, q QuarantineQuery) (QuarantinePage, error) {
	page, err := v.Looker.Quarantined(ctx, q)
	page.Quarantined = slices.Clone(page.Quarantined)
	for i := range page.Quarantined {
		v.hideQuarantined(&page.Quarantined[i])
	}
	return page, err
}

// QuarantinedEvent hides the body, too.
func (v viewer) QuarantinedEvent(ctx context.Context, number uint64) (Quarantined, error) {
	one, err := v.Looker.QuarantinedEvent(ctx, number)
	v.hideQuarantined(&one)
	return one, err
}

func (v viewer) hideQuarantined(q *Quarantined) {
	if !v.hides(q.Source) {
		return
	}
	q.Detail, q.Body, q.Headers = hidden(q.Detail), hiddenBody(q.Body), withoutDetail(q.Headers)
}

// QuarantineGroups hides what exactly is wrong.
func (v viewer) QuarantineGroups(ctx context.Context, q QuarantineQuery) (QuarantineGroups, error) {
	grouped, err := v.Looker.QuarantineGroups(ctx, q)
	grouped.Groups = slices.Clone(grouped.Groups)
	for i := range grouped.Groups {
		if g := &grouped.Groups[i]; v.hides(g.Source) {
			g.Detail = hidden(g.Detail)
		}
	}
	return grouped, err
}

// hidden is the text that stands for another; nothing stands for nothing.
func hidden(text string) string {
	if text == "" {
		return ""
	}
	return HiddenText
}

func hiddenBody(body *Body) *Body {
	if body == nil {
		return nil
	}
	return &Body{Hidden: true}
}

// withoutDetail are headers without the one that says what exactly is wrong with an event.
func withoutDetail(headers map[string]string) map[string]string {
	if headers == nil {
		return nil
	}
	kept := map[string]string{}
	for name, value := range headers {
		if name == mesh.HeaderDetail {
			value = HiddenText
		}
		kept[name] = value
	}
	return kept
}

// open knows which subscribers get events only of sources that are not sensitive.
type open struct{ readBy map[string]bool }

// openStreams is open by what the mesh is now; if that can't be told nothing is open.
func (v viewer) openStreams(ctx context.Context) (open, error) {
	o, err := v.Looker.Overview(ctx)
	if err != nil {
		return open{}, err
	}
	return v.open(o), nil
}

// publishes is the kind of target that publishes events into streams of the same server.
const publishes = "nats"

// open closes everything where a target publishes events of a sensitive source into a stream again: they may come to any subscriber.
func (v viewer) open(o Overview) open {
	known, closed := map[string]bool{}, map[string]bool{}
	for _, s := range o.Sources {
		known[s.Stream] = true
		closed[s.Stream] = closed[s.Stream] || v.hides(s.Name)
	}
	readBy := map[string]bool{}
	for _, s := range o.Subscribers {
		readBy[s.Name] = known[s.Stream] && !closed[s.Stream]
		if s.Kind == publishes && !readBy[s.Name] {
			return open{}
		}
	}
	return open{readBy}
}

// subscribers are the same without the words of the targets that get something sensitive.
func (o open) subscribers(all []Subscriber) []Subscriber {
	all = slices.Clone(all)
	for i := range all {
		if !o.readBy[all[i].Name] {
			all[i].hideWords()
		}
	}
	return all
}

// hideWords hides what its target said.
func (s *Subscriber) hideWords() {
	if b := s.Breaker; b != nil {
		without := *b
		without.Error = hidden(b.Error)
		s.Breaker = &without
	}
	if w := s.Wait; w != nil {
		without := *w
		without.Reason = hidden(w.Reason)
		s.Wait = &without
	}
	if why, _, hasWords := strings.Cut(s.Why, ": "); hasWords && s.Health != HealthPaused {
		s.Why = why + ": " + HiddenText
	}
	if f := s.Flow; f != nil {
		without := *f
		without.Errors = slices.Clone(f.Errors)
		for i := range without.Errors {
			without.Errors[i].Text = hidden(without.Errors[i].Text)
		}
		s.Flow = &without
	}
}
