package archive

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sync/semaphore"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/ndjson"
)

const (
	defaultTimeout     = 10 * time.Second
	defaultFlushEvery  = 10 * time.Second
	defaultFlushEvents = 10_000
	// maxGroupBytes ends a group, whatever the time.
	maxGroupBytes = 32 << 20
	// maxUploads bounds the groups that are written at once.
	maxUploads = 2
	// maxHeldBytes bounds all lines in memory, those that gather and those that are written.
	maxHeldBytes = 4 * maxGroupBytes
)

// Target gathers events and writes them into objects. Its methods are safe for concurrent use.
type Target struct {
	name        string // what errors say of the URL
	timeout     time.Duration
	flushEvery  time.Duration
	flushEvents int
	groupBytes  int
	store       store
	log         logrus.FieldLogger

	held    *semaphore.Weighted // bytes, of maxHeldBytes
	uploads chan struct{}       // a place for each group under way
	running sync.WaitGroup

	mu     sync.Mutex
	open   *group // gathers; nil if nothing waits
	closed bool
}

// store keeps objects.
type store interface {
	// put returns nil once the object is there to stay, whole. It replaces one of the same name.
	put(ctx context.Context, name string, content []byte) error
	close() error
}

// place is what a kind of store is told of the target's URL.
type place struct {
	url  *url.URL
	name string // for errors: it shows no secret
}

// group is what becomes one object, or one for each hour that its events were stored in.
type group struct {
	writes []*write
	live   int // writes that were not withdrawn
	bytes  int // of all lines
	timer  *time.Timer
}

// write is one call's line and, once it is settled, its outcome.
type write struct {
	partition string
	sequence  uint64
	line      []byte
	weight    int64 // of the bytes held
	group     *group
	withdrawn bool
	settled   chan error // has room for one
}

var errClosed = errors.New("the archive target is closed")

// New makes the target of a subscriber. It connects to nothing and writes nothing: the first object does. The URLs:
//
//	archive+file:///var/lib/genmesh/archive
//	s3://bucket/prefix?region=eu-west-1
//	gs://bucket/prefix
//	azblob://container/prefix
//
// The target's timeout bounds the writing of one object.
func New(target mesh.Target, subscriber string, log logrus.FieldLogger) (*Target, error) {
	t := &Target{
		name:        target.Display(),
		timeout:     cmp.Or(time.Duration(target.Timeout), defaultTimeout),
		flushEvery:  cmp.Or(time.Duration(target.FlushEvery), defaultFlushEvery),
		flushEvents: cmp.Or(target.FlushEvents, defaultFlushEvents),
		log:         log.WithField("subscriber", subscriber),
		groupBytes:  maxGroupBytes,
		held:        semaphore.NewWeighted(maxHeldBytes),
		uploads:     make(chan struct{}, maxUploads),
	}
	made, err := open(target)
	if err != nil {
		return nil, fmt.Errorf("target %s of subscriber %s: %w", t.name, subscriber, err)
	}
	t.store = made
	return t, nil
}

// Check finds what New would refuse. Its error is a *mesh.FieldError.
func Check(target mesh.Target) error {
	_, err := open(target)
	return mesh.Within("url", err)
}

func open(target mesh.Target) (store, error) {
	u, err := url.Parse(target.URL)
	if err != nil {
		return nil, errors.New("the url can't be read; it is not shown, for it may hold a secret")
	}
	newStore, ok := makers()[u.Scheme]
	if !ok {
		return nil, notBuiltIn(u.Scheme)
	}
	return newStore(place{url: u, name: target.Display()})
}

// envelopeBytes is room for what stands in a line beside the body.
const envelopeBytes = 2 << 10

// weightOf is at least the length of the event's line, before there is one.
func weightOf(e mesh.Event) int64 { return min(int64(envelopeBytes+len(e.Body)*4/3), maxHeldBytes) }

// Handle returns nil once the event's object is written: up to flush_every later. Every failure is the archive's and not the event's, so
// the subscriber waits and no attempt is spent. A call that was given up may have written its line.
func (t *Target) Handle(ctx context.Context, event mesh.Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("archive in %s: %w", t.name, err)
	}
	weight := weightOf(event)
	if err := t.held.Acquire(ctx, weight); err != nil {
		return fmt.Errorf("archive in %s: what waits to be written fills the memory: %w", t.name, err)
	}
	w := &write{
		partition: partition(event), sequence: event.Sequence, line: ndjson.Line(event), weight: weight, settled: make(chan error, 1),
	}
	if err := t.gather(w); err != nil {
		t.held.Release(weight)
		return err
	}
	select {
	case err := <-w.settled:
		return err
	case <-ctx.Done():
		t.withdraw(w)
		return fmt.Errorf("archive in %s: %w", t.name, ctx.Err())
	}
}

// gather adds the write to the open group, and hands the group on when it is full.
func (t *Target) gather(w *write) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	if t.open != nil && t.open.bytes+len(w.line) > t.groupBytes {
		t.flush(t.open)
	}
	if t.open == nil {
		g := &group{}
		g.timer = time.AfterFunc(t.flushEvery, func() { t.flushLate(g) })
		t.open = g
	}
	g := t.open
	w.group = g
	g.writes, g.live, g.bytes = append(g.writes, w), g.live+1, g.bytes+len(w.line)
	if g.live >= t.flushEvents {
		t.flush(g)
	}
	return nil
}

// withdraw takes back a write whose group still gathers.
func (t *Target) withdraw(w *write) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == w.group && !w.withdrawn {
		w.withdrawn = true
		w.group.live--
		w.group.bytes -= len(w.line)
		w.line = nil
		t.held.Release(w.weight)
	}
}

func (t *Target) flushLate(g *group) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.open == g {
		t.flush(g)
	}
}

// flush ends the gathering of the open group. The caller holds mu.
func (t *Target) flush(g *group) {
	t.open = nil
	g.timer.Stop()
	t.running.Go(func() { t.write(g) })
}

// write settles each of the group's writes.
func (t *Target) write(g *group) {
	t.uploads <- struct{}{}
	defer func() { <-t.uploads }()
	for _, o := range objects(g.writes) {
		err := t.put(o)
		for _, w := range o.writes {
			t.held.Release(w.weight)
			w.settled <- err
		}
	}
}

func (t *Target) put(o object) error {
	content, name, err := o.encode()
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), t.timeout)
		defer cancel()
		err = t.store.put(ctx, name, content)
	}
	if err != nil {
		return workers.RetryAfter(0, &workers.Failure{Err: fmt.Errorf("archive %d events in %s: %w", len(o.writes), t.name, err)})
	}
	t.log.WithFields(logrus.Fields{"object": name, "events": len(o.writes), "bytes": len(content)}).Debug("archived")
	return nil
}

// Close writes what is gathered and waits for what is under way: at most three uploads' timeouts, for each of the hours that they reach
// over.
func (t *Target) Close() error {
	t.mu.Lock()
	closedBefore := t.closed
	t.closed = true
	if t.open != nil {
		t.flush(t.open)
	}
	t.mu.Unlock()
	t.running.Wait()
	if closedBefore {
		return nil
	}
	return t.store.close()
}
