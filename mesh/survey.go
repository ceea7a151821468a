package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// Survey is what a server has of a topology at a moment, each stream and consumer read once. Its parts are in the order of streams.json;
// what can't be told of one of them says so and leaves the others as they are.
type Survey struct {
	Sources     []SurveyedSource
	Streams     []SurveyedStream
	Subscribers []SurveyedSubscriber
	// DeadLetters and Quarantined are how many there are.
	DeadLetters, Quarantined uint64
}

// SurveyedSource is when an event of a source was stored last; zero if its stream holds none.
type SurveyedSource struct {
	Name       string
	LastStored time.Time
}

// SurveyedStream is a stream as the server has it.
type SurveyedStream struct {
	Name string
	// Info is nil if the server has no such stream, or Err says why it can't be told.
	Info *jetstream.StreamInfo
	// InWindow is how many messages were stored within the duplicate window.
	InWindow uint64
	Err      error
}

// SurveyedSubscriber is how a subscriber stands, and how many dead letters it has. If Err says why something of it can't be told, the
// rest may be missing.
type SurveyedSubscriber struct {
	SubscriberState
	DeadLetters uint64
	Err         error
}

// surveyors is how many questions are asked at once.
const surveyors = 16

// Survey reads all of the topology. It fails only if nothing at all can be told.
func (t *Topology) Survey(ctx context.Context, js jetstream.JetStream) (*Survey, error) {
	v := newSurveyor(js, t)
	v.readStreams(ctx, true)
	if err := v.unreachable(); err != nil {
		return nil, err
	}
	v.all.Sources = make([]SurveyedSource, len(t.Sources))
	group := surveyGroup()
	for i := range t.Sources {
		group.Go(func() error {
			v.all.Sources[i] = v.source(ctx, t.Sources[i])
			return nil
		})
	}
	group.Go(func() error {
		v.all.DeadLetters = v.countRole(ctx, deadSubjects)
		return nil
	})
	group.Go(func() error {
		v.all.Quarantined = v.countRole(ctx, quarantineSubjects)
		return nil
	})
	v.readSubscribers(ctx, nil)
	_ = group.Wait() // each says itself what it can't tell
	return &v.all, nil
}

// SurveyStreams reads the streams only.
func (t *Topology) SurveyStreams(ctx context.Context, js jetstream.JetStream) ([]SurveyedStream, error) {
	v := newSurveyor(js, t)
	v.readStreams(ctx, false)
	return v.all.Streams, v.unreachable()
}

// SurveySubscribers reads the subscribers of the names, or without names all, with their dead letters.
func (t *Topology) SurveySubscribers(ctx context.Context, js jetstream.JetStream, names ...string) ([]SurveyedSubscriber, error) {
	v := newSurveyor(js, t)
	v.readStreams(ctx, true)
	if err := v.unreachable(); err != nil {
		return nil, err
	}
	v.readSubscribers(ctx, names)
	return v.all.Subscribers, nil
}

// surveyor makes a survey.
type surveyor struct {
	js  jetstream.JetStream
	t   *Topology
	all Survey

	mu      sync.Mutex // for streams, while they are read
	streams map[string]surveyed
}

// surveyed is a stream and who reads it; handle is nil if there is none.
type surveyed struct {
	handle    jetstream.Stream
	consumers map[string][]*jetstream.ConsumerInfo // by subscriber
	err       error                                // why it is not known who reads it
}

func newSurveyor(js jetstream.JetStream, t *Topology) *surveyor {
	return &surveyor{js: js, t: t, streams: map[string]surveyed{}}
}

func surveyGroup() *errgroup.Group {
	group := new(errgroup.Group)
	group.SetLimit(surveyors)
	return group
}

func (v *surveyor) readStreams(ctx context.Context, withConsumers bool) {
	v.all.Streams = make([]SurveyedStream, len(v.t.Streams))
	group := surveyGroup()
	for i := range v.t.Streams {
		group.Go(func() error {
			v.all.Streams[i] = v.readStream(ctx, v.t.Streams[i].Name, withConsumers)
			return nil
		})
	}
	_ = group.Wait() // each says itself what it can't tell
}

func (v *surveyor) readStream(ctx context.Context, name string, withConsumers bool) SurveyedStream {
	read := SurveyedStream{Name: name}
	var known surveyed
	defer func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		v.streams[name] = known
	}()
	handle, err := v.js.Stream(ctx, name)
	if errors.Is(err, jetstream.ErrStreamNotFound) {
		return read
	}
	if err != nil {
		read.Err = fmt.Errorf("stream %s: %w", name, err)
		known.err = read.Err
		return read
	}
	read.Info, known.handle = handle.CachedInfo(), handle
	if read.InWindow, err = v.inWindow(ctx, handle); err != nil {
		read.Err = err
	}
	if withConsumers {
		known.consumers, known.err = consumersBySubscriber(ctx, handle)
	}
	return read
}

func consumersBySubscriber(ctx context.Context, stream jetstream.Stream) (map[string][]*jetstream.ConsumerInfo, error) {
	all, err := ListConsumers(ctx, stream)
	if err != nil {
		return nil, err
	}
	of := map[string][]*jetstream.ConsumerInfo{}
	for _, info := range all {
		if name := info.Config.Metadata[MetadataSubscriber]; name != "" {
			of[name] = append(of[name], info)
		}
	}
	return of, nil
}

// inWindow counts what was stored within the duplicate window.
func (v *surveyor) inWindow(ctx context.Context, stream jetstream.Stream) (uint64, error) {
	info := stream.CachedInfo()
	opened := info.TimeStamp.Add(-info.Config.Duplicates) // by the server's clock, as it judges
	switch {
	case info.State.Msgs == 0 || info.Config.Duplicates == 0 || info.State.LastTime.Before(opened):
		return 0, nil
	case info.State.FirstTime.After(opened):
		return info.State.Msgs, nil
	}
	return countSince(ctx, v.js, stream, opened)
}

// unreachable is the error of all streams if none could be read, or nil.
func (v *surveyor) unreachable() error {
	var failed []error
	for _, s := range v.all.Streams {
		if s.Info == nil && s.Err != nil {
			failed = append(failed, s.Err)
		}
	}
	if len(failed) == 0 || len(failed) < len(v.all.Streams) {
		return nil
	}
	return failed[0]
}

func (v *surveyor) source(ctx context.Context, s Source) SurveyedSource {
	read, own := SurveyedSource{Name: s.Name}, Token(s.Name)+".>"
	handle := v.streams[s.Stream].handle
	if handle == nil || handle.CachedInfo().State.Msgs == 0 {
		return read
	}
	info := handle.CachedInfo()
	if !slices.ContainsFunc(info.Config.Subjects, func(subject string) bool { return !SubjectCovers(own, subject) }) {
		read.LastStored = info.State.LastTime // it has nothing else
		return read
	}
	if last, err := handle.GetLastMsgForSubject(ctx, own); err == nil { // else it holds none, or can't tell
		read.LastStored = last.Time
	}
	return read
}

// countRole counts what is stored under subjects that one stream takes; 0 if that can't be told.
func (v *surveyor) countRole(ctx context.Context, subjects string) uint64 {
	stream, ok := v.t.StreamFor(subjects)
	if !ok || v.streams[stream.Name].handle == nil {
		return 0
	}
	n, err := countSubject(ctx, v.js, v.streams[stream.Name].handle, subjects)
	if err != nil {
		return 0 // the stream's own numbers say that it can't be read
	}
	return n
}
