package pages

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/live"
)

// subscribersView is the list of subscribers.
type subscribersView struct {
	Cards  []subscriberCard
	Filter subscriberFilter
	Of     int
}

func (s *site) subscribers(v *visit) (*page, error) {
	filter := readFilter(v.fields)
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	g := v.glances.look(v.Context())
	view := subscribersView{Cards: filter.cards(g, v, s.seriesEvery()), Filter: filter, Of: len(g.Subscribers)}
	return &page{
		Title: "Subscribers", Section: "/subscribers", template: "subscribers", View: view, every: 2 * time.Second,
		regions: []string{"subscribers-list"},
	}, nil
}

// subscriberCard is what the pictures and lists show of a subscriber.
type subscriberCard struct {
	Name, Path, Stream  string
	Health              admin.Health
	Why                 string
	Waiting, InHand     uint64
	Due                 uint64
	Oldest              time.Time
	In, Out             float64
	Latency             live.Latency
	DeadLetters         uint64
	Target, Kind        string
	Rate, Lag, P50, P99 *spark
	// Others is how many this one stands for; 0 is itself.
	Others int
}

func cardOf(s admin.Subscriber, v *visit, every time.Duration) subscriberCard {
	c := subscriberCard{
		Name: s.Name, Path: subscriberPath(s.Name), Stream: s.Stream, Health: s.Health, Why: v.why(s.Why), Waiting: s.Waiting,
		InHand: s.InHand, Due: s.Waiting + s.InHand, DeadLetters: s.DeadLetters, Target: cut(s.Target, 120), Kind: s.Kind,
	}
	if s.Oldest != nil {
		c.Oldest = s.Oldest.Stored
	}
	if f := s.Flow; f != nil {
		c.In, c.Out, c.Latency = f.In, f.Out, f.Latency
		c.Rate = newSpark("Taken per second", f.OutSeries, every, perSecond)
		c.Lag = newSpark("Events due", f.LagSeries, every, func(n float64) string { return count(int64(n)) })
		c.P50 = newSpark("Latency, median", f.P50Series, every, seconds)
		c.P99 = newSpark("Latency, 99th percentile", f.P99Series, every, seconds)
	}
	return c
}

// byUrgency orders subscribers by what has to be looked at first: the worst health, then the most that is due.
func byUrgency(a, b admin.Subscriber) int {
	return cmp.Or(severity(b.Health)-severity(a.Health), cmp.Compare(b.DeadLetters+b.Waiting+b.InHand, a.DeadLetters+a.Waiting+a.InHand))
}

// subscriberFilter chooses and orders subscribers.
type subscriberFilter struct {
	Text   string
	Health string
	Sort   string
}

// The orders of subscribers; "" is by urgency.
const (
	sortName = "name"
	sortDue  = "due"
	sortRate = "rate"
	sortP99  = "p99"
)

// Healths and Orders are what the form offers.
func (f subscriberFilter) Healths() []string {
	return []string{
		string(admin.HealthFailing), string(admin.HealthSlow), string(admin.HealthStuck), string(admin.HealthPaused), string(admin.HealthUnknown),
		string(admin.HealthGood),
	}
}

func (f subscriberFilter) Orders() []choice {
	return []choice{{"", "what needs you first"}, {sortName, "name"}, {sortDue, "due"}, {sortRate, "rate"}, {sortP99, "latency"}}
}

func readFilter(f *fields) subscriberFilter {
	return subscriberFilter{
		Text: f.text("q", 64), Health: f.choice("health", subscriberFilter{}.Healths()...),
		Sort: f.choice("sort", sortName, sortDue, sortRate, sortP99),
	}
}

// cards are the subscribers that the filter chooses, in its order.
func (f subscriberFilter) cards(g glance, v *visit, every time.Duration) []subscriberCard {
	var chosen []admin.Subscriber
	text := strings.ToLower(f.Text)
	for _, s := range g.Subscribers {
		if (f.Health == "" || f.Health == string(s.Health)) &&
			strings.Contains(strings.ToLower(s.Name+" "+s.Stream+" "+s.Description), text) {
			chosen = append(chosen, s)
		}
	}
	slices.SortStableFunc(chosen, byUrgency)
	cards := make([]subscriberCard, len(chosen))
	for i, s := range chosen {
		cards[i] = cardOf(s, v, every)
	}
	orders := map[string]func(a, b subscriberCard) int{
		sortName: func(a, b subscriberCard) int { return cmp.Compare(a.Name, b.Name) },
		sortDue:  func(a, b subscriberCard) int { return cmp.Compare(b.Due, a.Due) },
		sortRate: func(a, b subscriberCard) int { return cmp.Compare(b.Out, a.Out) },
		sortP99:  func(a, b subscriberCard) int { return cmp.Compare(b.Latency.P99, a.Latency.P99) },
	}
	if order, ok := orders[f.Sort]; ok {
		slices.SortStableFunc(cards, order)
	}
	return cards
}
