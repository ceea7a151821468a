package admin

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

const (
	// overviewPatience bounds an overview: what was known last is better than a page that does not come.
	overviewPatience = 2 * time.Second
	// processesKnown is how long the number of processes counts as known: asking them may take as long as the overview's patience.
	processesKnown = 5 * time.Second
)

// The problems of an overview that shows what was known last.
const (
	away = "NATS is out of reach"
	slow = "NATS takes too long to answer"
)

// Overview is what the whole mesh does now. Where NATS does not answer within a moment it is what was known last, and not Connected; that
// is no error.
func (d *Direct) Overview(ctx context.Context) (Overview, error) {
	t := d.o.Topology()
	if !d.o.JetStream.Conn().IsConnected() {
		return d.asKnown(t, away), nil
	}
	bounded, cancel := context.WithTimeout(ctx, overviewPatience)
	defer cancel()
	var asking sync.WaitGroup
	processes := 0
	var found []mesh.ScrubFinding
	asking.Go(func() { processes = d.countProcesses(bounded) })
	asking.Go(func() { found = d.findings(bounded) })
	survey, err := t.Survey(bounded, d.o.JetStream)
	asking.Wait()
	switch {
	case ctx.Err() != nil:
		return Overview{}, ctx.Err()
	case bounded.Err() != nil && d.o.JetStream.Conn().IsConnected():
		return d.asKnown(t, slow), nil
	case err != nil, bounded.Err() != nil: // it knows a part, and not which
		return d.asKnown(t, away), nil
	}
	o := d.overviewOf(t, survey, found)
	o.Processes = processes
	d.seen.note(o)
	return o, nil
}

func (d *Direct) overviewOf(t *mesh.Topology, survey *mesh.Survey, found []mesh.ScrubFinding) Overview {
	now, flows := time.Now().UTC(), d.flows()
	o := Overview{
		At: now, Problem: flows.Problem, Connected: true, DeadLetters: survey.DeadLetters, Quarantined: survey.Quarantined,
		Refused: d.refused(), Sources: []Source{}, Streams: describeStreams(t, survey.Streams, flows, found),
		Subscribers: describeSubscribers(t, survey.Subscribers, flows, now),
	}
	for i, s := range t.Sources {
		source := Source{
			Name: s.Name, Path: s.Path, Preset: s.Preset, Stream: s.Stream, Sensitive: s.Sensitive,
			LastStored: survey.Sources[i].LastStored, Flow: flowOf(flows.Sources, s.Name),
		}
		at := slices.IndexFunc(o.Streams, func(stream Stream) bool { return stream.Name == s.Stream })
		source.Health, source.Why = sourceHealth(o.Streams[at], source.Flow, flows.Quarantined[s.Name]) // a source's stream is in streams.json
		o.Sources = append(o.Sources, source)
	}
	return o
}

// asKnown is what was known last of the mesh, and what is known now of the file.
func (d *Direct) asKnown(t *mesh.Topology, problem string) Overview {
	o := d.seen.asKnown(t)
	o.Refused, o.Problem, o.Connected = d.refused(), problem, problem != away
	return o
}

func (d *Direct) refused() string {
	if d.o.File == nil {
		return ""
	}
	return d.o.File().Refused
}

// flows is what flows now; nothing where nobody watches.
func (d *Direct) flows() live.Snapshot {
	if d.o.Live == nil {
		return live.Snapshot{}
	}
	return d.o.Live()
}

func flowOf[T any](flows map[string]T, name string) *T {
	if flow, ok := flows[name]; ok {
		return &flow
	}
	return nil
}

// countProcesses is how many processes answer, or what was known last.
func (d *Direct) countProcesses(ctx context.Context) int {
	if d.o.Processes == nil {
		return 0
	}
	if known, ok := d.seen.processes(); ok {
		return known
	}
	all, err := d.o.Processes.Ask(ctx)
	return d.seen.noteProcesses(len(all), err)
}

// lastSeen is what an overview showed last.
type lastSeen struct {
	mu       sync.Mutex
	overview *Overview // nil before the first
	count    int       // of processes
	counted  time.Time
}

func (l *lastSeen) note(o Overview) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.overview = &o
}

func (l *lastSeen) processes() (count int, isKnown bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.count, time.Since(l.counted) < processesKnown
}

func (l *lastSeen) noteProcesses(count int, err error) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err == nil {
		l.count, l.counted = count, time.Now()
	}
	return l.count
}

// asKnown is what was known last, or, before anything was, what streams.json says.
func (l *lastSeen) asKnown(t *mesh.Topology) Overview {
	l.mu.Lock()
	defer l.mu.Unlock()
	var o Overview
	if l.overview != nil {
		o = *l.overview
	} else {
		o.Sources, o.Streams, o.Subscribers = unknownSources(t), unknownStreams(t), unknownSubscribers(t)
	}
	return o
}

func unknownSources(t *mesh.Topology) []Source {
	sources := []Source{}
	for _, s := range t.Sources {
		sources = append(sources, Source{
			Name: s.Name, Path: s.Path, Preset: s.Preset, Stream: s.Stream, Sensitive: s.Sensitive, Health: HealthUnknown,
		})
	}
	return sources
}

func unknownStreams(t *mesh.Topology) []Stream {
	streams := []Stream{}
	for _, s := range t.Streams {
		stream := plannedStream(s)
		stream.Health = HealthUnknown
		streams = append(streams, stream)
	}
	return streams
}

func unknownSubscribers(t *mesh.Topology) []Subscriber {
	subscribers := []Subscriber{}
	for _, s := range t.Subscribers {
		subscriber := plannedSubscriber(s)
		subscriber.Health = HealthUnknown
		subscribers = append(subscribers, subscriber)
	}
	return subscribers
}
