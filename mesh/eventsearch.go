package mesh

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// EventSearch chooses events of a stream, and how many of them.
type EventSearch struct {
	// Source, Type and Interaction are those of the events; "" is any.
	Source, Type, Interaction string
	// Subject is a subject that may have wildcards; "" is any.
	Subject string
	// Since and Until bound the time when they were stored; zero is open.
	Since, Until time.Time
	// Before, if above zero, leaves out that sequence and all behind it.
	Before uint64
	// Limit is how many are wanted, at least 1.
	Limit int
	// Patience is how long is searched before what was found is returned; zero is until all was.
	Patience time.Duration
}

// FoundEvents are events, the newest first.
type FoundEvents struct {
	Events []FoundEvent
	// Next is the Before of the search that goes on behind this one; 0 if nothing is left.
	Next uint64
	// SearchedTo is how far back was searched, where Patience ended before there were as many as wanted; else zero.
	SearchedTo time.Time
}

// FoundEvent is an event without its body. Of a message that is no event only the place is known.
type FoundEvent struct {
	Event
	// Bytes is the size of the body.
	Bytes int
}

// SearchEvents looks for events of a stream from the newest to the oldest. Sources, types and interactions are found by the subjects, as far
// as the sources' templates name them there; what these leave open is found by looking at each event. Messages that are no events are
// found only if neither source, type nor interaction is asked for.
func (t *Topology) SearchEvents(ctx context.Context, js jetstream.JetStream, stream jetstream.Stream, search EventSearch) (FoundEvents, error) {
	found := FoundEvents{}
	search.bound()
	filters, ok := t.searchFilters(stream.CachedInfo().Config, search)
	if !ok {
		return found, nil
	}
	b, err := readBackwards(ctx, js, stream, filters, search.Since, search.Until, search.Before)
	if err != nil {
		return found, err
	}
	if search.Patience > 0 {
		b.until = time.Now().Add(search.Patience)
	}
	err = found.fill(ctx, b, search)
	return found, err
}

// bound makes of what is asked for what is stored of it.
func (s *EventSearch) bound() {
	e := Event{Source: s.Source, Type: s.Type, Interaction: s.Interaction}
	e.bound()
	s.Source, s.Type, s.Interaction = e.Source, e.Type, e.Interaction
}

// maxYield bounds by how much more is read than is wanted where most of it is of something else.
const maxYield = 64

func (f *FoundEvents) fill(ctx context.Context, b *backwards, search EventSearch) error {
	for more := uint64(1); !b.isRead() && len(f.Events) < search.Limit; {
		msgs, err := b.next(ctx, more*uint64(search.Limit-len(f.Events)))
		if err != nil {
			return err
		}
		before := len(f.Events)
		for i, msg := range msgs {
			if e, ok := search.found(msg); ok {
				f.Events = append(f.Events, e)
			}
			if len(f.Events) == search.Limit {
				if i < len(msgs)-1 || !b.isRead() {
					f.Next = f.Events[len(f.Events)-1].Sequence
				}
				return nil
			}
		}
		if 2*(len(f.Events)-before) < len(msgs) {
			more = min(2*more, maxYield)
		}
		if b.isLate() && !b.isRead() {
			f.Next = b.last + 1
			f.SearchedTo, err = b.reached(ctx)
			return err
		}
	}
	return nil
}

// found reads an event that was found by its subject; false if it is another than asked for.
func (s EventSearch) found(msg jetstream.Msg) (FoundEvent, bool) {
	e, err := ParseStored(msg)
	e.Stored = e.Stored.UTC()
	ok := (s.Source == "" || e.Source == s.Source) && (s.Type == "" || e.Type == s.Type) &&
		(s.Interaction == "" || e.Interaction == s.Interaction)
	return FoundEvent{e, bodyBytes(msg)}, ok && (err == nil || e.Stream != "")
}

// searchFilters are the subjects of a stream that may hold what is asked for; none is all. It reports false if no subject of the
// stream can.
func (t *Topology) searchFilters(stream jetstream.StreamConfig, search EventSearch) ([]string, bool) {
	var filters []string
	if search.Source+search.Type+search.Interaction != "" {
		for i := range t.Sources {
			s := &t.Sources[i]
			if s.Stream == stream.Name && s.Name == cmp.Or(search.Source, s.Name) {
				filters = append(filters, s.narrowed(HistorySpan{Type: search.Type, Interaction: search.Interaction}))
			}
		}
		if len(filters) == 0 {
			return nil, false
		}
	}
	if search.Subject != "" {
		if filters == nil {
			filters = []string{">"}
		}
		filters = subjectsInBoth(filters, []string{search.Subject})
	}
	if filters != nil && len(stream.Subjects) > 0 {
		filters = subjectsInBoth(filters, stream.Subjects) // the server refuses others
	}
	return filters, len(filters) > 0 || search.Subject+search.Source+search.Type+search.Interaction == ""
}

// CheckSubject says what is wrong with a subject that may have wildcards, by the rules of NATS; nil if nothing is.
func CheckSubject(subject string) error {
	const rules = `write tokens with "." between them, such as "genesys.*.interaction.>": "*" is any one token, and ">" all at the end`
	tokens := strings.Split(subject, ".")
	for i, token := range tokens {
		switch {
		case token == "":
			return fmt.Errorf("a token is empty; %s", rules)
		case strings.ContainsFunc(token, func(r rune) bool { return r <= ' ' || r == 0x7f || r == 0xfffd }):
			return fmt.Errorf("white space and control characters can't stand in it; %s", rules)
		case token == ">" && i < len(tokens)-1:
			return fmt.Errorf(`">" can only be the last token; %s`, rules)
		case len(token) > 1 && strings.ContainsAny(token, "*>"):
			return fmt.Errorf(`"*" and ">" must be tokens of their own; %s`, rules)
		}
	}
	return nil
}
