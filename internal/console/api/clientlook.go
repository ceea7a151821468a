package api

import (
	"bytes"
	"context"
	"encoding/json"
	"net/url"
	"strconv"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// asked are parameters; what is zero is left out.
type asked url.Values

func (a asked) text(name, value string) asked {
	if value != "" {
		a[name] = []string{value}
	}
	return a
}

func (a asked) number(name string, value int) asked {
	if value != 0 {
		a[name] = []string{strconv.Itoa(value)}
	}
	return a
}

func (a asked) moment(name string, at time.Time) asked {
	if !at.IsZero() {
		a[name] = []string{at.UTC().Format(time.RFC3339Nano)}
	}
	return a
}

// Overview is what the whole mesh does now.
func (c *Client) Overview(ctx context.Context) (overview admin.Overview, err error) {
	err = c.get(ctx, "/overview", nil, &overview)
	return overview, err
}

// Subscribers are those of the names, or without names all.
func (c *Client) Subscribers(ctx context.Context, names ...string) ([]admin.Subscriber, error) {
	query := url.Values{}
	if len(names) > 0 {
		query["name"] = names
	}
	var list subscriberList
	err := c.get(ctx, "/subscribers", query, &list)
	return list.Subscribers, err
}

// Streams are those of streams.json.
func (c *Client) Streams(ctx context.Context) ([]admin.Stream, error) {
	var list streamList
	err := c.get(ctx, "/streams", nil, &list)
	return list.Streams, err
}

// Events pages through what a stream holds, the newest first.
func (c *Client) Events(ctx context.Context, q admin.EventQuery) (page admin.EventPage, err error) {
	query := asked{}.text("stream", q.Stream).text("source", q.Source).text("interaction", q.Interaction).text("type", q.Type).
		text("subject", q.Subject).moment("since", q.Since).moment("until", q.Until).number("limit", q.Limit).text("cursor", q.Cursor)
	err = c.get(ctx, "/events", url.Values(query), &page)
	return page, err
}

// Event is one event with what became of it at each subscriber.
func (c *Client) Event(ctx context.Context, stream string, sequence uint64) (event admin.EventDetail, err error) {
	err = c.get(ctx, "/events/"+segment(stream)+"/"+strconv.FormatUint(sequence, 10), nil, &event)
	restore(&event.Body)
	return event, err
}

// restore makes a body's JSON what it was: on its way it loses the spaces between its values.
func restore(body *admin.Body) {
	if body != nil && body.JSON != nil && json.Valid(body.Raw) {
		body.JSON = body.Raw
	}
}

// Timeline is what is stored of an interaction and what became of it.
func (c *Client) Timeline(ctx context.Context, search mesh.InteractionSearch) (*mesh.Timeline, error) {
	query := asked{}.text("source", search.Source).moment("since", search.Since).number("limit", search.Limit)
	if search.Bodies {
		query.text("bodies", "true")
	}
	var line wireTimeline
	if err := c.get(ctx, "/interactions/"+segment(search.Interaction), url.Values(query), &line); err != nil {
		return nil, err
	}
	return (*mesh.Timeline)(&line), nil
}

// wireTimeline is a timeline whose bodies stay as they are: a number in one may be larger than a float64 can tell.
type wireTimeline mesh.Timeline

func (w *wireTimeline) UnmarshalJSON(data []byte) error {
	type withBody struct{ Body json.RawMessage }
	var bodies struct {
		Events      []withBody `json:"events"`
		DeadLetters []withBody `json:"dead_letters"`
		Quarantined []withBody `json:"quarantined"`
	}
	if err := json.Unmarshal(data, (*mesh.Timeline)(w)); err != nil {
		return err
	}
	if err := json.Unmarshal(data, &bodies); err != nil {
		return err
	}
	for i, one := range bodies.Events {
		w.Events[i].Body = bodyOf(one.Body)
	}
	for i, one := range bodies.DeadLetters {
		w.DeadLetters[i].Body = bodyOf(one.Body)
	}
	for i, one := range bodies.Quarantined {
		w.Quarantined[i].Body = bodyOf(one.Body)
	}
	return nil
}

// bodyOf is JSON, or a text that was none; nil if there is no body.
func bodyOf(raw json.RawMessage) any {
	var text string
	switch {
	case len(raw) == 0:
		return nil
	case bytes.HasPrefix(raw, []byte(`"`)) && json.Unmarshal(raw, &text) == nil:
		return text
	}
	return raw
}

func deadQuery(q admin.DeadQuery) url.Values {
	return url.Values(asked{}.text("subscriber", q.Subscriber).text("reason", string(q.Reason)).text("cause", q.Cause).
		moment("since", q.Since).moment("until", q.Until).number("limit", q.Limit).text("cursor", q.Cursor))
}

// DeadLetters pages through dead letters, the oldest first.
func (c *Client) DeadLetters(ctx context.Context, q admin.DeadQuery) (page admin.DeadPage, err error) {
	err = c.get(ctx, "/dead-letters", deadQuery(q), &page)
	return page, err
}

// DeadLetter is one dead letter with its body.
func (c *Client) DeadLetter(ctx context.Context, number uint64) (letter admin.DeadLetter, err error) {
	err = c.get(ctx, "/dead-letters/"+strconv.FormatUint(number, 10), nil, &letter)
	restore(letter.Body)
	return letter, err
}

// DeadGroups are the dead letters by cause. The query's limit and cursor are not looked at.
func (c *Client) DeadGroups(ctx context.Context, q admin.DeadQuery) (groups admin.DeadGroups, err error) {
	q.Limit, q.Cursor = 0, ""
	err = c.get(ctx, "/dead-letter-groups", deadQuery(q), &groups)
	return groups, err
}

func quarantineQuery(q admin.QuarantineQuery) url.Values {
	return url.Values(asked{}.text("source", q.Source).text("reason", q.Reason).moment("since", q.Since).moment("until", q.Until).
		number("limit", q.Limit).text("cursor", q.Cursor))
}

// Quarantined pages through the quarantine, the oldest first.
func (c *Client) Quarantined(ctx context.Context, q admin.QuarantineQuery) (page admin.QuarantinePage, err error) {
	err = c.get(ctx, "/quarantine", quarantineQuery(q), &page)
	return page, err
}

// QuarantinedEvent is one event in quarantine with its body.
func (c *Client) QuarantinedEvent(ctx context.Context, number uint64) (event admin.Quarantined, err error) {
	err = c.get(ctx, "/quarantine/"+strconv.FormatUint(number, 10), nil, &event)
	restore(event.Body)
	return event, err
}

// QuarantineGroups are events in quarantine by cause. The query's limit and cursor are not looked at.
func (c *Client) QuarantineGroups(ctx context.Context, q admin.QuarantineQuery) (groups admin.QuarantineGroups, err error) {
	q.Limit, q.Cursor = 0, ""
	err = c.get(ctx, "/quarantine-groups", quarantineQuery(q), &groups)
	return groups, err
}

// Replays are those that have not come to their end, to one subscriber or to all.
func (c *Client) Replays(ctx context.Context, subscriber string) ([]mesh.RunningReplay, error) {
	var list replayList
	err := c.get(ctx, "/replays", url.Values(asked{}.text("subscriber", subscriber)), &list)
	return list.Replays, err
}

// Configuration is the console's streams.json, and how the server differs from it.
func (c *Client) Configuration(ctx context.Context) (configuration admin.Configuration, err error) {
	err = c.get(ctx, "/configuration", nil, &configuration)
	return configuration, err
}

// Audit pages through the audit, the newest first.
func (c *Client) Audit(ctx context.Context, q admin.AuditQuery) (page admin.AuditPage, err error) {
	query := asked{}.text("action", q.Action).text("subscriber", q.Subscriber).text("user", q.User).
		moment("since", q.Since).moment("until", q.Until).number("limit", q.Limit).text("cursor", q.Cursor)
	err = c.get(ctx, "/audit", url.Values(query), &page)
	return page, err
}

// Processes are the genmesh processes that answer.
func (c *Client) Processes(ctx context.Context) ([]admin.Process, error) {
	var list processList
	err := c.get(ctx, "/processes", nil, &list)
	return list.Processes, err
}
