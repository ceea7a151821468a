package admin

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// searchPatience is how long a page of events is searched for; then it has what was found, and a next one that goes on.
const searchPatience = 1500 * time.Millisecond

// Events pages through what a stream holds, the newest first.
func (d *Direct) Events(ctx context.Context, q EventQuery) (EventPage, error) {
	page := EventPage{Events: []Event{}}
	t := d.o.Topology()
	limit, err := q.check(t)
	if err != nil {
		return page, err
	}
	if page.Stream, err = q.stream(t); err != nil {
		return page, err
	}
	stream, err := d.o.JetStream.Stream(ctx, page.Stream)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return page, NotFound(fmt.Sprintf("the server has no stream %s; apply streams.json", page.Stream))
	}
	if err != nil {
		return page, fmt.Errorf("stream %s: %w", page.Stream, err)
	}
	created := stream.CachedInfo().Created
	before, err := parsePosition(q.Cursor, created)
	if err != nil {
		return page, err
	}
	found, err := t.SearchEvents(ctx, d.o.JetStream, stream, mesh.EventSearch{
		Source: q.Source, Type: q.Type, Interaction: q.Interaction, Subject: q.Subject,
		Since: q.Since, Until: q.Until, Before: before, Limit: limit, Patience: searchPatience,
	})
	for _, e := range found.Events {
		shown := eventOf(e.Event)
		shown.Bytes = e.Bytes
		page.Events = append(page.Events, shown)
	}
	page.SearchedTo = found.SearchedTo
	if found.Next > 0 {
		page.Next = position(found.Next, created)
	}
	return page, err
}

// check tells how many events a page may have.
func (q EventQuery) check(t *mesh.Topology) (int, error) {
	limit, err := pageLimit(q.Limit)
	if err != nil {
		return 0, err
	}
	if err := checkSpan(q.Since, q.Until); err != nil {
		return 0, err
	}
	if q.Source != "" {
		source, err := sourceOf(t, q.Source)
		if err != nil {
			return 0, NotFound(err.Error())
		}
		if q.Stream != "" && q.Stream != source.Stream {
			return 0, Invalid(fmt.Sprintf("the events of source %s are in stream %s", q.Source, source.Stream))
		}
	}
	if q.Subject == "" {
		return limit, nil
	}
	if q.Source+q.Interaction+q.Type != "" {
		return 0, Invalid("choose events by a subject, or else by source, interaction and type")
	}
	if err := mesh.CheckSubject(q.Subject); err != nil {
		return 0, Invalid(fmt.Sprintf("the subject %.100q: %v", q.Subject, err))
	}
	return limit, nil
}

// stream is the stream that is asked for: by name, by source, or the first that a source feeds.
func (q EventQuery) stream(t *mesh.Topology) (string, error) {
	if q.Stream != "" {
		return q.Stream, knownStream(t, q.Stream)
	}
	for _, s := range t.Sources {
		if s.Name == cmp.Or(q.Source, s.Name) {
			return s.Stream, nil
		}
	}
	return "", Invalid("streams.json has no source; name a stream")
}

// knownStream fails with ErrNotFound if streams.json has no stream of that name.
func knownStream(t *mesh.Topology, name string) error {
	var names []string
	for _, s := range t.Streams {
		if s.Name == name {
			return nil
		}
		names = append(names, s.Name)
	}
	return NotFound(fmt.Sprintf("there is no stream %.100q in streams.json; there are %s", name, strings.Join(names, ", ")))
}

// position is a cursor: a sequence, and when the stream was made in which it is one.
func position(before uint64, created time.Time) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d", created.UnixNano(), before))
}

// parsePosition reads a cursor; "" is 0, behind which is everything.
func parsePosition(cursor string, created time.Time) (before uint64, err error) {
	if cursor == "" {
		return 0, nil
	}
	raw, err := base64.RawURLEncoding.DecodeString(cursor)
	m, unread := parseMark(string(raw))
	if err != nil || unread != nil || m.number == 0 {
		return 0, Invalid("the cursor is none that a page had")
	}
	if !m.at.Equal(created) {
		return 0, Invalid("the cursor is of another stream, or the stream was made anew since; begin with the newest events")
	}
	return m.number, nil
}
