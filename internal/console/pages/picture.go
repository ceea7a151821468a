package pages

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
)

// picture is what flows from sources through streams to subscribers: three columns of cards, and the edges between them.
type picture struct {
	Sources     []sourceCard
	Streams     []streamCard
	Subscribers []subscriberCard
	In, Out     []edge
}

// sourceCard and streamCard are what the picture shows of those.
type sourceCard struct {
	Name, Path, Stream                         string
	Health                                     admin.Health
	Why                                        string
	Accepted, Duplicate, Quarantined, Rejected float64
	P99                                        float64
	Last                                       time.Time
	Rate                                       *spark
	Others                                     int
}

type streamCard struct {
	Name, Path string
	Health     admin.Health
	Why        string
	Stored     float64
	Messages   uint64
	Bytes      uint64
	Fill       float64
	Rate       *spark
	Others     int
}

// edge is what flows from one card to another. All columns have rows of the same height, so an edge runs between the middles of two.
type edge struct {
	Path   string
	Width  string // in pixels
	Health admin.Health
	Rate   float64
	// Row is where its number stands: at the end that no other edge has, above the edge or, where it comes from above, under it.
	Row   int
	Under bool
}

// Flows reports whether anything comes along it.
func (e edge) Flows() bool { return e.Rate > 0 }

// pictureCards bounds the cards of a column; one more stands for all others.
const pictureCards = 8

// The box that edges are drawn into; it is stretched over the space between two columns.
const (
	edgeBoxWidth  = 100.0
	edgeBoxHeight = 1000.0
	thinnestEdge  = 1.5
	thickestEdge  = 12.0
)

func pictureOf(g glance, v *visit, every time.Duration) picture {
	p := picture{Sources: sourceCards(g, v, every), Streams: streamCards(g, v, every), Subscribers: pictureSubscribers(g, v, every)}
	at := map[string]int{}
	for i, s := range p.Streams {
		at[s.Name] = i
	}
	place := func(stream string) int {
		if i, shown := at[stream]; shown {
			return i
		}
		return len(p.Streams) - 1
	}
	most := p.fastest()
	sources, streams, subscribers := p.column(len(p.Sources)), p.column(len(p.Streams)), p.column(len(p.Subscribers))
	if len(p.Streams) == 0 {
		return p
	}
	for i, s := range p.Sources {
		from, to := sources.middle(i), streams.middle(place(s.Stream))
		p.In = append(p.In, newEdge(from, to, s.Accepted, most, s.Health).numbered(p.Row(i, len(p.Sources)), to < from))
	}
	for i, s := range p.Subscribers {
		from, to := streams.middle(place(s.Stream)), subscribers.middle(i)
		p.Out = append(p.Out, newEdge(from, to, s.Out, most, s.Health).numbered(p.Row(i, len(p.Subscribers)), from < to))
	}
	return p
}

// Rows is how many rows the picture has: all columns have the same, so that what stands in one is where the edges of the next expect it.
func (p picture) Rows() int {
	return max(len(p.Sources), len(p.Streams), len(p.Subscribers), 1)
}

// Row is the row, from 1, of card number i of a column of n.
func (p picture) Row(i, n int) int { return p.column(n).first + i + 1 }

// column is where the cards of a column are.
type column struct{ first, rows int }

// column places n cards: in the middle, or where there are many rows near the top, for nobody scrolls to see where things begin.
func (p picture) column(n int) column {
	return column{first: min((p.Rows()-n)/2, 1), rows: p.Rows()}
}

func (c column) middle(i int) float64 {
	return (float64(c.first+i) + 0.5) / float64(c.rows) * edgeBoxHeight
}

// fastest is the largest rate in the picture.
func (p picture) fastest() float64 {
	most := 0.0
	for _, s := range p.Sources {
		most = max(most, s.Accepted)
	}
	for _, s := range p.Subscribers {
		most = max(most, s.Out)
	}
	return most
}

// newEdge draws an edge between two heights. Its area, not its width, grows with the rate: so what is slow is seen beside what is fast.
func newEdge(from, to, rate, most float64, health admin.Health) edge {
	half := edgeBoxWidth / 2
	width := thinnestEdge
	if rate > 0 && most > 0 {
		width += (thickestEdge - thinnestEdge) * math.Sqrt(rate/most)
	}
	return edge{
		Path:  fmt.Sprintf("M0 %.1fC%.0f %.1f %.0f %.1f %.0f %.1f", from, half, from, half, to, edgeBoxWidth, to),
		Width: strconv.FormatFloat(width, 'f', 1, 64), Health: health, Rate: rate,
	}
}

func (e edge) numbered(row int, under bool) edge {
	e.Row, e.Under = row, under
	return e
}

func sourceCards(g glance, v *visit, every time.Duration) []sourceCard {
	sources := slices.Clone(g.Sources)
	slices.SortStableFunc(sources, func(a, b admin.Source) int { return severity(b.Health) - severity(a.Health) })
	shown := shownOf(len(sources))
	var cards []sourceCard
	others := sourceCard{Others: len(sources) - shown, Health: admin.HealthGood}
	for i, s := range sources {
		c := sourceCard{
			Name: s.Name, Path: eventsPath(s.Stream, s.Name), Stream: s.Stream, Health: s.Health, Why: v.why(s.Why), Last: s.LastStored,
		}
		if f := s.Flow; f != nil {
			c.Accepted, c.Duplicate, c.Quarantined, c.Rejected, c.P99 = f.Accepted, f.Duplicate, f.Quarantined, f.Rejected, f.Latency.P99
			c.Rate = newSpark("Accepted per second", f.AcceptedSeries, every, perSecond)
		}
		if i < shown {
			cards = append(cards, c)
			continue
		}
		others.Accepted, others.Path, others.Stream = others.Accepted+c.Accepted, "/events", c.Stream
		others.Health = healths{others.Health: 1, c.Health: 1}.worst()
	}
	if others.Others > 0 {
		cards = append(cards, others)
	}
	return cards
}

// streamCards are the streams that sources feed or subscribers read.
func streamCards(g glance, v *visit, every time.Duration) []streamCard {
	used := map[string]bool{}
	for _, s := range g.Sources {
		used[s.Stream] = true
	}
	for _, s := range g.Subscribers {
		used[s.Stream] = true
	}
	streams := slices.DeleteFunc(slices.Clone(g.Streams), func(s admin.Stream) bool { return !used[s.Name] })
	slices.SortStableFunc(streams, func(a, b admin.Stream) int { return severity(b.Health) - severity(a.Health) })
	shown := shownOf(len(streams))
	var cards []streamCard
	others := streamCard{Others: len(streams) - shown, Health: admin.HealthGood, Path: "/streams"}
	for i, s := range streams {
		c := streamCard{
			Name: s.Name, Path: "/streams#stream-" + s.Name, Health: s.Health, Why: v.why(s.Why), Messages: s.Messages, Bytes: s.Bytes,
			Fill: s.Fill,
		}
		if s.Flow != nil {
			c.Stored, c.Rate = s.Flow.Stored, newSpark("Stored per second", s.Flow.StoredSeries, every, perSecond)
		}
		if i < shown {
			cards = append(cards, c)
			continue
		}
		others.Stored, others.Messages, others.Bytes = others.Stored+c.Stored, others.Messages+c.Messages, others.Bytes+c.Bytes
		others.Health = healths{others.Health: 1, c.Health: 1}.worst()
	}
	if others.Others > 0 {
		cards = append(cards, others)
	}
	return cards
}

// pictureSubscribers are the most urgent subscribers, and one card for all others.
func pictureSubscribers(g glance, v *visit, every time.Duration) []subscriberCard {
	subscribers := slices.Clone(g.Subscribers)
	slices.SortStableFunc(subscribers, func(a, b admin.Subscriber) int {
		if severity(a.Health) == 0 && len(subscribers) <= pictureCards {
			return severity(b.Health) - severity(a.Health) // those that are good stay where they are
		}
		return byUrgency(a, b)
	})
	shown := shownOf(len(subscribers))
	var cards []subscriberCard
	others := subscriberCard{Others: len(subscribers) - shown, Health: admin.HealthGood, Path: "/#all"}
	var series [][]float64
	for i, s := range subscribers {
		if i < shown {
			cards = append(cards, cardOf(s, v, every))
			continue
		}
		others.Due, others.DeadLetters, others.Stream = others.Due+s.Waiting+s.InHand, others.DeadLetters+s.DeadLetters, s.Stream
		others.Health = healths{others.Health: 1, s.Health: 1}.worst()
		if s.Flow != nil {
			others.Out, others.Latency.P99 = others.Out+s.Flow.Out, max(others.Latency.P99, s.Flow.Latency.P99)
			series = append(series, s.Flow.OutSeries)
		}
	}
	if others.Others > 0 {
		others.Rate = newSpark("Taken per second", sum(series...), every, perSecond)
		cards = append(cards, others)
	}
	return cards
}

// shownOf is how many of n have a card of their own.
func shownOf(n int) int {
	if n > pictureCards {
		return pictureCards - 1
	}
	return n
}
