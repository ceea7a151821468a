package live

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// Options is what a Watcher works with. JetStream and Topology are needed.
type Options struct {
	JetStream jetstream.JetStream
	// Topology is the streams.json in force; it may change between calls.
	Topology func() *mesh.Topology
	// Reports asks the processes of the mesh what they count; what it returns beside an error counts. Without it there are no rates
	// but those of streams.
	Reports func(ctx context.Context) ([]Report, error)
}

// Watcher samples how a mesh flows: every two seconds while somebody looks, else every ten. What it keeps is bounded by
// streams.json and the number of processes: about 4 MB for a hundred subscribers of four partitions each that three processes serve.
type Watcher struct {
	Options
	began  time.Time
	looked chan struct{}
	latest atomic.Pointer[Snapshot]

	mu    sync.Mutex
	asked time.Time

	// What follows belongs to Run.

	sources     map[string]*sourceMeter
	streams     map[string]*streamMeter
	subscribers map[string]*subscriberMeter
	tally       tally
	dead        setAside
	quarantine  setAside
	lookups     []lookup
}

const (
	// every is how far apart samples are while somebody looks, and the values of a series always.
	every = 2 * time.Second
	// idleEvery is how far apart samples are while nobody does.
	idleEvery = 10 * time.Second
	// watched is how long somebody counts as looking who asked once.
	watched = time.Minute
	// sampleTimeout bounds one sample.
	sampleTimeout = 5 * time.Second
)

// NewWatcher makes a Watcher; Run starts it.
func NewWatcher(o Options) *Watcher {
	w := &Watcher{
		Options: o, began: time.Now(), looked: make(chan struct{}, 1),
		sources: map[string]*sourceMeter{}, streams: map[string]*streamMeter{}, subscribers: map[string]*subscriberMeter{},
		tally: newTally(), dead: deadLetters(), quarantine: quarantined(),
	}
	w.latest.Store(&Snapshot{
		Every: every, Problem: "nothing was sampled yet",
		Sources: map[string]SourceFlow{}, Streams: map[string]StreamFlow{}, Subscribers: map[string]SubscriberFlow{},
	})
	return w
}

// Snapshot is the latest sample. It does not wait: if nobody asked for a while, a new one comes in a moment.
func (w *Watcher) Snapshot() Snapshot {
	w.mu.Lock()
	w.asked = time.Now()
	w.mu.Unlock()
	select {
	case w.looked <- struct{}{}:
	default:
	}
	return *w.latest.Load()
}

// Run samples until ctx ends. What can't be sampled is told by Snapshot.Problem and tried again.
func (w *Watcher) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		began := time.Now()
		w.sample(ctx)
		w.rest(ctx, began)
	}
	return nil
}

// rest waits until the next sample is due.
func (w *Watcher) rest(ctx context.Context, began time.Time) {
	// At multiples of every, so that each value of a series is of a sample of its own.
	pause(ctx, every-time.Since(w.began)%every, nil)
	if !w.isWatched() {
		pause(ctx, idleEvery-time.Since(began), w.looked)
	}
}

func (w *Watcher) isWatched() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !w.asked.IsZero() && time.Since(w.asked) < watched
}

// pause waits for a time, or less if ctx ends or something comes out of sooner.
func pause(ctx context.Context, length time.Duration, sooner <-chan struct{}) {
	timer := time.NewTimer(length)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-sooner:
	case <-ctx.Done():
	}
}

// slot is the number of the value of a series that a moment belongs to.
func (w *Watcher) slot(at time.Time) int { return int((at.Sub(w.began) + every/2) / every) }

var errAway = errors.New("NATS is out of reach")

// sample takes one, and makes it the latest. What can't be read stays as it was.
func (w *Watcher) sample(ctx context.Context) {
	bounded, cancel := context.WithTimeout(ctx, sampleTimeout)
	defer cancel()
	t := w.Topology()
	w.follow(t)
	if !w.JetStream.Conn().IsConnected() {
		w.publish(t, time.Now(), false, errAway)
		return
	}
	reports, asking := []Report(nil), error(nil)
	var all sync.WaitGroup
	all.Go(func() { reports, asking = w.ask(bounded) })
	anyRead, reading := w.readStreams(bounded, t)
	all.Wait()
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	if asking == nil || len(reports) > 0 {
		w.count(reports, now)
	}
	w.publish(t, now, anyRead, errors.Join(reading, asking))
}

func (w *Watcher) ask(ctx context.Context) ([]Report, error) {
	if w.Reports == nil {
		return nil, nil
	}
	return w.Reports(ctx)
}

// follow keeps a meter for each part of t, and for nothing else.
func (w *Watcher) follow(t *mesh.Topology) {
	w.sources = kept(w.sources, t.Sources, func(s mesh.Source) string { return s.Name }, newSourceMeter)
	w.streams = kept(w.streams, t.Streams, func(s mesh.Stream) string { return s.Name }, newStreamMeter)
	w.subscribers = kept(w.subscribers, t.Subscribers, func(s mesh.Subscriber) string { return s.Name }, newSubscriberMeter)
}

func kept[P, M any](before map[string]*M, parts []P, name func(P) string, fresh func() *M) map[string]*M {
	meters := make(map[string]*M, len(parts))
	for _, part := range parts {
		if meters[name(part)] = before[name(part)]; meters[name(part)] == nil {
			meters[name(part)] = fresh()
		}
	}
	return meters
}

// publish makes what the meters say the latest snapshot.
func (w *Watcher) publish(t *mesh.Topology, now time.Time, isNew bool, problem error) {
	s := &Snapshot{
		At: w.latest.Load().At, Every: every,
		Sources: make(map[string]SourceFlow, len(t.Sources)), Streams: make(map[string]StreamFlow, len(t.Streams)),
		Subscribers: make(map[string]SubscriberFlow, len(t.Subscribers)),
		DeadLetters: knownOf(w.dead.by, w.subscribers), Quarantined: knownOf(w.quarantine.by, w.sources), Processes: w.tally.answered,
	}
	if isNew {
		s.At = now
	}
	if problem != nil {
		s.Problem = problem.Error()
	}
	for name, m := range w.sources {
		s.Sources[name] = m.snapshot()
	}
	for name, m := range w.streams {
		s.Streams[name] = m.snapshot()
	}
	for name, m := range w.subscribers {
		s.Subscribers[name] = m.snapshot()
	}
	w.latest.Store(s)
}
