package pages

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
)

// flowView is the whole mesh on one page.
type flowView struct {
	Known    bool
	Headline headline
	Tiles    []tile
	Picture  picture
	// Many is true where there are more subscribers than the picture shows; Grid then has those that the filter chooses.
	Many   bool
	Grid   []subscriberCard
	Filter subscriberFilter
	Shown  int
	Of     int
}

// headline answers in a sentence how things stand.
type headline struct {
	Health admin.Health
	Text   string
	// Worst are those that have to be looked at first.
	Worst []concern
	More  int
}

// concern is one thing that is not good.
type concern struct {
	Kind, Name, Path string
	Health           admin.Health
	Why              string
}

// maxConcerns bounds how many the headline names.
const maxConcerns = 4

// tile is one of the numbers beside the headline.
type tile struct {
	Title, Value, Detail, Path string
	Health                     admin.Health
	Spark                      *spark
}

func (s *site) flow(v *visit) (*page, error) {
	filter := readFilter(v.fields)
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	g := v.glances.look(v.Context())
	every := s.seriesEvery()
	view := flowView{
		Known: g.Known, Headline: headlineOf(g, v), Tiles: tilesOf(g, every), Filter: filter, Of: len(g.Subscribers),
		Picture: pictureOf(g, v, every),
	}
	if view.Many = len(g.Subscribers) > pictureCards; view.Many {
		view.Grid = filter.cards(g, v, every)
		view.Shown = len(view.Grid)
	}
	return &page{
		Title: "Flow", Section: "/", template: "flow", View: view, every: time.Second,
		regions: []string{"flow-headline", "flow-picture", "flow-grid"},
	}, nil
}

// seriesEvery is how far apart the values of the charts are; 0 if nobody says so.
func (s *site) seriesEvery() time.Duration {
	if s.o.Live == nil {
		return 0
	}
	return s.o.Live().Every
}

func headlineOf(g glance, v *visit) headline {
	concerns := concernsOf(g, v)
	h := headline{Health: g.overall().worst(), Worst: concerns[:min(len(concerns), maxConcerns)]}
	h.More = len(concerns) - len(h.Worst)
	switch {
	case h.Health == admin.HealthGood && len(g.Subscribers)+len(g.Sources) == 0:
		h.Text = "Nothing is configured yet"
	case h.Health == admin.HealthGood:
		h.Text = arrivingText(g) + ", and everyone keeps up"
	case h.Health == admin.HealthPaused:
		h.Text = howMany(g, admin.HealthPaused) + "; all else is good"
	case h.Health == admin.HealthStuck:
		h.Text = strings.Join(nonEmpty(cmp.Or(howMany(g, admin.HealthPaused), "Everyone keeps up"), stuckText(g), refusedText(g)), "; ")
	default:
		var parts []string
		for _, health := range []admin.Health{admin.HealthFailing, admin.HealthSlow, admin.HealthUnknown} {
			if text := howMany(g, health); text != "" {
				parts = append(parts, text)
			}
		}
		h.Text = strings.Join(parts, "; ")
	}
	return h
}

// quietFor is after how long without an event it is said that none came.
const quietFor = 5 * time.Minute

// arrivingText says whether events arrive. A source may be quiet, so that is no alarm.
func arrivingText(g glance) string {
	var latest time.Time
	for _, s := range g.Sources {
		if s.LastStored.After(latest) {
			latest = s.LastStored
		}
	}
	switch quiet := g.At.Sub(latest); {
	case latest.IsZero():
		return "Nothing has arrived yet"
	case quiet > quietFor:
		return "Nothing has arrived for " + duration(quiet)
	}
	return "Events arrive"
}

// howMany says which kinds of things stand so, such as "1 of 3 subscribers is failing"; "" if none does.
func howMany(g glance, health admin.Health) string {
	n := map[string]int{}
	for _, s := range g.Subscribers {
		if s.Health == health {
			n["subscriber"]++
		}
	}
	for _, s := range g.Sources {
		if s.Health == health {
			n["source"]++
		}
	}
	for _, s := range g.Streams {
		if s.Health == health {
			n["stream"]++
		}
	}
	var parts []string
	for _, kind := range []struct {
		noun string
		of   int
	}{{"subscriber", len(g.Subscribers)}, {"source", len(g.Sources)}, {"stream", len(g.Streams)}} {
		is := "are"
		switch n[kind.noun] {
		case 0:
			continue
		case 1:
			is = "is"
		}
		parts = append(parts, fmt.Sprintf("%d of %s %s %s", n[kind.noun], plural(kind.of, kind.noun, kind.noun+"s"), is, health))
	}
	return strings.Join(parts, ", ")
}

// flowing leaves out what has a tile of its own.
func flowing(h admin.Health) admin.Health {
	if h == admin.HealthStuck {
		return admin.HealthGood
	}
	return h
}

// stuckText says what waits for a person.
func stuckText(g glance) string {
	var parts []string
	if g.DeadLetters > 0 {
		parts = append(parts, plural(g.DeadLetters, "dead letter", "dead letters"))
	}
	if g.Quarantined > 0 {
		parts = append(parts, plural(g.Quarantined, "event", "events")+" in quarantine")
	}
	return strings.Join(parts, " and ")
}

func refusedText(g glance) string {
	if g.Refused == "" {
		return ""
	}
	return "streams.json as it is now is refused"
}

// concernsOf are all that is not good, the worst first.
func concernsOf(g glance, v *visit) []concern {
	var all []concern
	add := func(kind, name, path string, health admin.Health, why string) {
		if severity(health) > 0 {
			all = append(all, concern{kind, name, path, health, v.why(why)})
		}
	}
	for _, s := range slices.SortedStableFunc(slices.Values(g.Subscribers), byUrgency) {
		add("subscriber", s.Name, subscriberPath(s.Name), s.Health, s.Why)
	}
	for _, s := range g.Sources {
		add("source", s.Name, eventsPath(s.Stream, s.Name), s.Health, s.Why)
	}
	for _, s := range g.Streams {
		add("stream", s.Name, "/streams#stream-"+s.Name, s.Health, s.Why)
	}
	if g.Refused != "" {
		add("configuration", "streams.json", "/configuration", admin.HealthStuck, "it is refused as it is now, and what was in force before still is")
	}
	slices.SortStableFunc(all, func(a, b concern) int { return severity(b.Health) - severity(a.Health) })
	return all
}

func tilesOf(g glance, every time.Duration) []tile {
	return []tile{arriving(g, every), keepingUp(g, every), stuck(g), working(g)}
}

// arriving answers: is everything arriving?
func arriving(g glance, every time.Duration) tile {
	var accepted float64
	var series [][]float64
	var latest time.Time
	h := healths{}
	for _, s := range g.Sources {
		h[flowing(s.Health)]++
		if s.Flow != nil {
			accepted += s.Flow.Accepted
			series = append(series, s.Flow.AcceptedSeries)
		}
		if s.LastStored.After(latest) {
			latest = s.LastStored
		}
	}
	detail := "no event is stored yet"
	if !latest.IsZero() {
		detail = "last event " + ago(latest, g.At)
	}
	return tile{
		Title: "Arriving", Value: perSecond(accepted), Detail: detail, Path: "/events", Health: h.worst(),
		Spark: newSpark("Events arriving per second", sum(series...), every, perSecond),
	}
}

// keepingUp answers: is everyone keeping up?
func keepingUp(g glance, every time.Duration) tile {
	var waiting uint64
	var oldest time.Time
	var series [][]float64
	h := healths{}
	for _, s := range g.Subscribers {
		h[flowing(s.Health)]++
		waiting += s.Waiting + s.InHand
		if s.Oldest != nil && (oldest.IsZero() || s.Oldest.Stored.Before(oldest)) {
			oldest = s.Oldest.Stored
		}
		if s.Flow != nil {
			series = append(series, s.Flow.LagSeries)
		}
	}
	detail := "nothing waits"
	if waiting > 0 {
		detail = plural(waiting, "delivery is", "deliveries are") + " due"
		if !oldest.IsZero() {
			detail += ", the oldest for " + duration(g.At.Sub(oldest))
		}
	}
	return tile{
		Title: "Keeping up", Value: fmt.Sprintf("%d of %d", h[admin.HealthGood], len(g.Subscribers)), Detail: detail,
		Path: "/subscribers", Health: h.worst(),
		Spark: newSpark("Events due to all subscribers", sum(series...), every, func(n float64) string { return count(int64(n)) }),
	}
}

// stuck answers: what is stuck?
func stuck(g glance) tile {
	t := tile{Title: "Stuck", Value: count(g.DeadLetters + g.Quarantined), Path: "/dead-letters", Health: admin.HealthGood, Detail: "no dead letters, no quarantine"}
	if text := stuckText(g); text != "" {
		t.Health, t.Detail = admin.HealthStuck, text
	}
	if g.DeadLetters == 0 && g.Quarantined > 0 {
		t.Path = "/quarantine"
	}
	return t
}

func working(g glance) tile {
	t := tile{Title: "Processes", Value: count(g.Processes), Detail: "of genmesh answer", Path: "/processes", Health: admin.HealthGood}
	if g.Processes == 0 {
		t.Detail, t.Health = "nobody answers", admin.HealthUnknown
	}
	return t
}
