package mesh

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

// Committer stores events durably, each once, and tells redeliveries from later events of an
// interaction. It is safe for concurrent use, and the more calls are under way the less each
// costs: those that wait share one commit.
type Committer struct {
	js      jetstream.JetStream
	log     logrus.FieldLogger
	metrics *commitMetrics
	routes  atomic.Pointer[routes]

	mu      sync.Mutex
	streams map[string]*streamCommitter
	added   chan *streamCommitter
}

// routes say which stream keeps the events of a source.
type routes struct {
	sources    map[string]*Source
	quarantine string
}

// NewCommitter makes a committer for the sources of t. It commits nothing before Run runs.
func NewCommitter(js jetstream.JetStream, t *Topology, log logrus.FieldLogger, metrics prometheus.Registerer) (*Committer, error) {
	c := &Committer{
		js:      js,
		log:     log.WithField("component", "committer"),
		metrics: newCommitMetrics(metrics),
		streams: make(map[string]*streamCommitter),
		added:   make(chan *streamCommitter, maxCommittedStreams),
	}
	if err := c.Update(t); err != nil {
		return nil, err
	}
	return c, nil
}

// maxCommittedStreams bounds the streams that one process stores to over its life.
const maxCommittedStreams = 256

// Update takes the sources of t from now on. Commits under way end as they began.
func (c *Committer) Update(t *Topology) error {
	r := &routes{sources: make(map[string]*Source, len(t.Sources))}
	for i := range t.Sources {
		r.sources[t.Sources[i].Name] = &t.Sources[i]
	}
	quarantine, ok := t.StreamFor(quarantinePrefix + ">")
	if !ok {
		return fmt.Errorf("no stream takes %s>", quarantinePrefix)
	}
	r.quarantine = quarantine.Name

	c.mu.Lock()
	defer c.mu.Unlock()
	names := []string{r.quarantine}
	for _, s := range r.sources {
		names = append(names, s.Stream)
	}
	for _, name := range names {
		if err := c.add(name); err != nil {
			return err
		}
	}
	c.routes.Store(r)
	return nil
}

func (c *Committer) add(stream string) error {
	if c.streams[stream] != nil {
		return nil
	}
	if len(c.streams) == maxCommittedStreams {
		return fmt.Errorf("this process has stored to %d streams; restart it to add stream %s", maxCommittedStreams, stream)
	}
	s := newStreamCommitter(c.js, stream, c.log, c.metrics)
	c.streams[stream] = s
	c.added <- s
	return nil
}

// Run commits until ctx ends, then waits for the commits under way. Commit fails with
// ErrUnavailable afterwards.
func (c *Committer) Run(ctx context.Context) error {
	var running sync.WaitGroup
	defer running.Wait()
	for {
		select {
		case s := <-c.added:
			running.Go(func() { s.run(ctx) })
		case <-ctx.Done():
			return nil
		}
	}
}

// Commit stores e in the stream of its source and returns once the stream has fsynced it, or
// had it already. Only the envelope and the body of e matter: subject, key and stream are the
// source's to say. When ctx ends first the outcome is unknown and the error is ErrUnavailable;
// committing the same event again is always safe.
func (c *Committer) Commit(ctx context.Context, e Event) (Receipt, error) {
	receipts, err := c.CommitAll(ctx, []Event{e})
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// CommitAll is Commit for the events of one delivery, all of one source; at most MaxEventsAtOnce. They
// go out in one atomic batch where the stream takes those, as far as they are neither duplicates nor
// wait for another of their key or interaction.
//
// They are stored in their order, whatever happens on the way: none before one that stands before it is
// known to be stored. So it is, too, for the events of one interaction over all calls, in the order in
// which the calls came. Different deliveries of different interactions don't wait for each other.
//
// After ErrUnavailable the beginning of the delivery may be stored, and nothing behind a gap: commit all
// of it again. An event that fails with ErrTooLarge is left out, and the others go on.
//
// That is one process's order. What another process stores may come in between, also between the events
// of one delivery that was not one batch; and an event that the other has stored already keeps its place.
func (c *Committer) CommitAll(ctx context.Context, events []Event) ([]Receipt, error) {
	group, stream, err := c.group(ctx, events)
	if err != nil {
		return nil, err
	}
	return stream.commit(ctx, group)
}

// group makes the events of one delivery ready for the stream of their source.
func (c *Committer) group(ctx context.Context, events []Event) ([]pending, *streamCommitter, error) {
	if len(events) == 0 || len(events) > MaxEventsAtOnce {
		return nil, nil, fmt.Errorf("%d events at once; 1 to %d are allowed", len(events), MaxEventsAtOnce)
	}
	source := c.routes.Load().sources[events[0].Source]
	if source == nil {
		return nil, nil, fmt.Errorf("source %s is not in streams.json", events[0].Source)
	}
	group := make([]pending, len(events))
	for i, e := range events {
		if e.Source != source.Name {
			return nil, nil, fmt.Errorf("events of the sources %s and %s at once", source.Name, e.Source)
		}
		source.address(&e)
		group[i] = newPending(ctx, e, source.Repeat)
	}
	return group, c.stream(source.Stream), nil
}

// MaxEventsAtOnce bounds the events of one delivery, far below what an atomic batch may hold.
const MaxEventsAtOnce = 256

// quarantinePrefix begins the subjects of quarantined events.
const quarantinePrefix = "quarantine."

// repeatRestore goes for what is in quarantine: it is stored again if what was stored of it is no more.
const repeatRestore Repeat = "restore"

// Quarantine stores an event that can't go on its way, with the reason, as durably as Commit.
// The same body of one source is kept once in the quarantine stream's duplicate window, as long as it
// is there: after a discard or a release it is kept again. So a receipt always names what is kept.
func (c *Committer) Quarantine(ctx context.Context, e Event, reason string) (Receipt, error) {
	sum := sha256.Sum256(e.Body)
	e.Reason = reason
	e.bound()
	e.Fingerprint = hex.EncodeToString(sum[:16])
	e.Key = e.Source + ":" + hex.EncodeToString(sum[:])
	e.Subject = quarantinePrefix + Token(e.Source) + "." + Token(reason)
	e.Stream = c.routes.Load().quarantine
	receipts, err := c.stream(e.Stream).commit(ctx, []pending{newPending(ctx, e, repeatRestore)})
	if err != nil {
		return Receipt{}, err
	}
	return receipts[0], nil
}

// Ready tells why the sources' events can't be stored, if that is certain or has lasted, and still lasts. A full disk shows here and
// nowhere else; nats-server then needs a restart once there is space.
func (c *Committer) Ready() error {
	for _, source := range c.routes.Load().sources {
		s := c.stream(source.Stream)
		if mirrored := s.mirrors.Load(); mirrored != nil {
			return fmt.Errorf("stream %s takes no events here: it is a mirror of %s, as at a site that stands by. Events go to the site that has %[2]s, "+
				"until this one takes its place", source.Stream, *mirrored)
		}
		f := s.failing.Load()
		if f == nil || time.Since(f.last) >= failingTime {
			continue
		}
		if err := f.why(source.Stream); err != nil {
			return err
		}
	}
	return nil
}

func (c *Committer) stream(name string) *streamCommitter {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.streams[name]
}
