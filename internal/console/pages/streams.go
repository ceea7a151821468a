package pages

import (
	"strings"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
)

// streamsView is the streams of streams.json, as the server has them.
type streamsView struct {
	Streams []streamView
	Scrub   scrubView
}

type streamView struct {
	admin.Stream
	Why, EventsPath string
	Bounds          []bound
	Rate            *spark
	Subscribers     []string
	Sources         []string
}

// bound is a limit of a stream and how much of it is used.
type bound struct {
	Name, Used, Most string
	Share            string
	Health           admin.Health
}

// From these shares on a bound is shown as near, and as reached.
const (
	fillNear    = 0.8
	fillReached = 0.95
)

func (s *site) streams(v *visit) (*page, error) {
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	g := v.glances.look(v.Context())
	view := streamsView{Scrub: s.scrubOf(v)}
	for _, stream := range g.Streams {
		view.Streams = append(view.Streams, s.streamView(v, g, stream))
	}
	return &page{
		Title: "Streams", Section: "/streams", template: "streams", View: view, every: 2 * time.Second, regions: []string{"streams-scrub", "streams-list"},
	}, nil
}

func (s *site) streamView(v *visit, g glance, stream admin.Stream) streamView {
	view := streamView{
		Stream: stream, Why: v.why(stream.Why), EventsPath: eventsPath(stream.Name, ""), Bounds: boundsOf(stream, g.At),
	}
	if stream.Flow != nil {
		view.Rate = newSpark("Stored per second", stream.Flow.StoredSeries, s.seriesEvery(), perSecond)
	}
	for _, sub := range g.Subscribers {
		if sub.Stream == stream.Name {
			view.Subscribers = append(view.Subscribers, sub.Name)
		}
	}
	for _, source := range g.Sources {
		if source.Stream == stream.Name {
			view.Sources = append(view.Sources, source.Name)
		}
	}
	return view
}

// Keeps says where a stream keeps messages, for how long, and what happens when it is full.
func (s streamView) Keeps() string {
	where := map[string]string{"file": "on disk", "memory": "in memory"}[s.Storage]
	long := map[string]string{
		"limits": "up to its limits", "workqueue": "until a subscriber has taken them", "interest": "until all subscribers have taken them",
	}[s.Retention]
	full := map[string]string{"new": "refuses new ones when it is full", "old": "forgets the oldest when it is full"}[s.Discard]
	return strings.Join(nonEmpty(where, long, full), ", ")
}

// boundsOf are the limits that the stream has.
func boundsOf(s admin.Stream, now time.Time) []bound {
	var bounds []bound
	add := func(name, used, most string, part float64) {
		health := fillHealth(part)
		if s.Discard == "old" {
			health = admin.HealthGood // it forgets the oldest
		}
		bounds = append(bounds, bound{name, used, most, share(part, 1), health})
	}
	if s.MaxBytes > 0 {
		add("Size", size(s.Bytes), size(s.MaxBytes), float64(s.Bytes)/float64(s.MaxBytes))
	}
	if s.MaxMessages > 0 {
		add("Messages", count(s.Messages), count(s.MaxMessages), float64(s.Messages)/float64(s.MaxMessages))
	}
	if s.MaxAge > 0 && !s.First.IsZero() {
		// To be full of age is how a stream forgets: it is no alarm.
		age := max(now.Sub(s.First), 0)
		bounds = append(bounds, bound{
			"Age", duration(age), duration(time.Duration(s.MaxAge)), share(float64(age), float64(s.MaxAge)), admin.HealthGood,
		})
	}
	return bounds
}

func fillHealth(fill float64) admin.Health {
	switch {
	case fill >= fillReached:
		return admin.HealthFailing
	case fill >= fillNear:
		return admin.HealthSlow
	}
	return admin.HealthGood
}
