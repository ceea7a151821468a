package pages

import (
	"cmp"
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// subscriberView is one subscriber.
type subscriberView struct {
	admin.Subscriber
	Path       string
	Why        string
	Card       subscriberCard
	Settings   []fact
	Attempts   []bar
	Histogram  []bar
	Errors     []errorView
	Replays    []replayView
	Old        bool // what is shown is what was known last
	DeadPath   string
	ReplayPath string
	EventsPath string
	Pauses     []choice
	// The commands that do the same.
	PauseCommand, ResumeCommand, ShowCommand string
}

// fact is a name and what is said of it.
type fact struct{ Name, Value string }

// choice is one of a list.
type choice struct{ Value, Name string }

// errorView is one of the latest errors, in the target's own words.
type errorView struct {
	live.Error
	Words, Path string
}

// replayView is a replay that has not come to its end.
type replayView struct {
	mesh.RunningReplay
	Done    uint64
	Takes   time.Duration
	Cancel  string
	Command string
}

func (s *site) subscriber(v *visit) (*page, error) {
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	name := v.PathValue("name")
	subscriber, old, err := s.findSubscriber(v, name)
	if err != nil {
		return nil, err
	}
	view := s.subscriberView(v, subscriber)
	view.Old = old
	return &page{
		Title: "Subscriber " + name, Section: "/subscribers", template: "subscriber", View: view, every: time.Second,
		regions: []string{"subscriber-state", "subscriber-numbers", "subscriber-replays", "subscriber-errors"},
	}, nil
}

// findSubscriber is how a subscriber stands now or, if nobody can tell, how it stood last.
func (s *site) findSubscriber(v *visit, name string) (found admin.Subscriber, old bool, err error) {
	ctx, cancel := context.WithTimeout(v.Context(), glanceTimeout)
	defer cancel()
	subscribers, err := v.operator.Subscribers(ctx, name)
	if err == nil && len(subscribers) == 0 {
		return found, false, admin.NotFound("streams.json has no subscriber " + strconv.Quote(cut(name, 64)))
	}
	if err == nil {
		return subscribers[0], false, nil
	}
	g := v.glances.look(v.Context())
	if i := slices.IndexFunc(g.Subscribers, func(s admin.Subscriber) bool { return s.Name == name }); i >= 0 && g.Problem != "" {
		return g.Subscribers[i], true, nil
	}
	return found, false, err
}

func (s *site) subscriberView(v *visit, sub admin.Subscriber) subscriberView {
	view := subscriberView{
		Subscriber: sub, Path: subscriberPath(sub.Name), Why: v.why(sub.Why), Card: cardOf(sub, v, s.seriesEvery()),
		Settings: s.settings(sub.Name), DeadPath: link("/dead-letters", "subscriber", sub.Name),
		ReplayPath: subscriberPath(sub.Name) + "/replay", EventsPath: eventsPath(sub.Stream, ""), Pauses: pauseChoices(),
		PauseCommand:  command("subscriber", "pause", sub.Name, "--for", "15m", "--because", "…"),
		ResumeCommand: command("subscriber", "resume", sub.Name), ShowCommand: command("subscriber", "show", sub.Name),
	}
	if f := sub.Flow; f != nil {
		names := slices.SortedFunc(maps.Keys(f.Attempts), func(a, b string) int {
			return cmp.Or(cmp.Compare(f.Attempts[b], f.Attempts[a]), cmp.Compare(a, b))
		})
		counts := make([]uint64, len(names))
		for i, name := range names {
			counts[i] = f.Attempts[name]
		}
		view.Attempts, view.Histogram = bars(names, counts), histogram(f.Buckets)
		for i, name := range names {
			view.Attempts[i].Class = name
		}
		for _, e := range f.Errors {
			view.Errors = append(view.Errors, errorView{e, v.words(e.Text), eventPath(e.Stream, e.Sequence)})
		}
	}
	for _, r := range sub.Replays {
		view.Replays = append(view.Replays, replayOf(r))
	}
	return view
}

func replayOf(r mesh.RunningReplay) replayView {
	view := replayView{
		RunningReplay: r, Done: r.Events - min(r.Left, r.Events), Command: command("replay", "cancel", r.Subscriber, r.ID),
		Cancel: subscriberPath(r.Subscriber) + "/replay/" + r.ID + "/cancel",
	}
	if rate := r.Rate.PerSecond(); rate > 0 {
		view.Takes = time.Duration(float64(r.Left) / rate * float64(time.Second))
	}
	return view
}

// settings are what streams.json says of a subscriber that explains what it does.
func (s *site) settings(name string) []fact {
	all := s.o.Topology().Subscribers
	i := slices.IndexFunc(all, func(s mesh.Subscriber) bool { return s.Name == name })
	if i < 0 {
		return nil
	}
	sub := all[i]
	facts := []fact{
		{"Attempts before a dead letter", strconv.Itoa(sub.MaxAttempts)},
		{"Calls at once, per process", strconv.Itoa(sub.MaxInFlight)},
		{"Rate limit", cmp.Or(sub.RateLimit.String(), "none")},
		{"Backoff", sub.Backoff.Base.String() + " × " + strconv.FormatFloat(sub.Backoff.Factor, 'g', -1, 64) + ", at most " + sub.Backoff.Max.String()},
		{"Kept in order by", string(sub.Order)},
		{"Partitions", strconv.Itoa(sub.Partitions)},
	}
	filters := sub.FilterSubjects
	if sub.FilterSubject != "" {
		filters = append([]string{sub.FilterSubject}, filters...)
	}
	if len(filters) > 0 {
		facts = append(facts, fact{"Subjects", strings.Join(filters, ", ")})
	}
	if sub.When != "" {
		facts = append(facts, fact{"Gets only events for which", sub.When})
	}
	return facts
}
