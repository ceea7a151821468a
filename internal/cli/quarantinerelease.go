package cli

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

const (
	releaseTimeout = 10 * time.Second
	// maxReleaseBytes bounds what goes out in one commit.
	maxReleaseBytes = 8 << 20
	// reasonHeldBack is why a good event of a delivery that was taken apart stays in quarantine: one
	// before it, of the same interaction, does.
	reasonHeldBack = "held_back"
)

// release sends events on their way, one after another.
func (p *program) release(ctx context.Context, cmd *cobra.Command, w ward, f *quarantineAct, numbers []uint64) error {
	past := "released"
	if f.dryRun {
		past = "releasable"
	}
	result := actResult{Action: "release", Failed: []actFailed{}}
	if len(numbers) == 0 {
		return p.reportQuarantine(cmd, result, past, 0)
	}
	r := &releaser{ward: w, dryRun: f.dryRun, readers: make(map[string]*ingress.Reader), held: newHeld()}
	if !f.dryRun {
		log, err := p.logger()
		if err != nil {
			return err
		}
		if r.committer, err = mesh.NewCommitter(w.js, w.topology, log, prometheus.NewRegistry()); err != nil {
			return err
		}
		running, stop := context.WithCancel(ctx)
		ended := make(chan error, 1)
		go func() { ended <- r.committer.Run(running) }()
		defer func() {
			stop()
			<-ended
		}()
	}
	if err := r.releaseAll(ctx, numbers, &result); err != nil {
		return err
	}
	return p.reportQuarantine(cmd, result, past, len(numbers))
}

// releaser reads events again and stores them.
type releaser struct {
	ward
	dryRun    bool
	committer *mesh.Committer
	readers   map[string]*ingress.Reader // by source
	held      *held
}

// releaseAll goes through the quarantine in the order in which it came. What is not chosen, or can't be
// released, holds the later events of its interaction back.
func (r *releaser) releaseAll(ctx context.Context, numbers []uint64, result *actResult) error {
	places, missing, err := r.places(ctx, numbers)
	if err != nil {
		return err
	}
	for _, number := range missing {
		result.Failed = append(result.Failed, actFailed{number, fmt.Sprintf("%d is %v", number, mesh.ErrNotQuarantined)})
	}
	for _, at := range places {
		if !at.chosen {
			r.passBy(ctx, at)
			continue
		}
		if err := r.release(ctx, at); err != nil {
			result.Failed = append(result.Failed, actFailed{at.number, err.Error()})
			continue
		}
		result.Done++
	}
	return nil
}

// passBy holds what stands behind an event that is not chosen. Which interactions a delivery is about
// that could not be read when it came, its body says now.
func (r *releaser) passBy(ctx context.Context, at place) {
	if r.held.add(at.lane); at.lane != (lane{}) {
		return
	}
	if q, err := r.get(ctx, at); err == nil {
		r.holdAll(q)
	}
}

// get reads an event in quarantine. What can't be read may be of any interaction, unless it is gone.
func (r *releaser) get(ctx context.Context, at place) (mesh.Quarantined, error) {
	q, err := r.Get(ctx, at.number)
	if err != nil && !errors.Is(err, mesh.ErrNotQuarantined) {
		r.held.add(at.lane)
		r.held.all = r.held.all || at.lane == lane{}
	}
	return q, err
}

// holdAll holds what stands behind an event of any interaction that a quarantined delivery brings.
func (r *releaser) holdAll(q mesh.Quarantined) {
	r.held.add(laneOf(q.Event))
	parts, err := r.parts(q)
	if err != nil {
		return
	}
	for reading := range parts {
		r.held.add(laneOf(reading.Event))
	}
}

// release stores what is good of a quarantined delivery and takes it out. Of several events those that
// can't go yet are put into quarantine again first, each by itself, at the place of the whole. Done
// again after it was cut off anywhere, it finds stored and quarantined what was, and stores nothing
// twice.
func (r *releaser) release(ctx context.Context, at place) error {
	q, err := r.get(ctx, at)
	if err != nil {
		return err
	}
	t, err := r.triage(q, nil)
	if err != nil {
		r.holdAll(q)
		return err
	}
	if t.free == 0 {
		r.holdAll(q)
		return errors.New(t.trouble)
	}
	if !r.dryRun {
		if err := r.takeApart(ctx, q); err != nil {
			r.holdAll(q)
			return err
		}
	}
	for l := range t.behind.lanes {
		r.held.add(l)
	}
	switch {
	case t.free == t.events:
		return nil
	case r.dryRun:
		return fmt.Errorf("%d of its %d events are good; the first that is not: %s", t.free, t.events, t.trouble)
	}
	return fmt.Errorf("released %d of its %d events, the others are in quarantine again, each by itself; the first of them: %s",
		t.free, t.events, t.trouble)
}

// takeApart stores the free events of a quarantined delivery, puts the others into quarantine again, and
// takes the whole out.
func (r *releaser) takeApart(ctx context.Context, q mesh.Quarantined) error {
	out := &outgoing{releaser: r}
	_, err := r.triage(q, func(reading ingress.Reading, why string) error {
		switch {
		case why == "":
			return out.add(ctx, reading.Event)
		case reading.Reason == "":
			return r.keep(ctx, q, reading.Event, reasonHeldBack, why)
		}
		return r.keep(ctx, q, reading.Event, reading.Reason, reading.Event.Detail)
	})
	if err == nil {
		err = out.flush(ctx)
	}
	if err != nil {
		return err
	}
	return r.Discard(ctx, q.Number)
}

// keep puts one event of a quarantined delivery into quarantine by itself.
func (r *releaser) keep(ctx context.Context, q mesh.Quarantined, e mesh.Event, reason, detail string) error {
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	e.Detail, e.CutFrom = detail, q.Came()
	_, err := r.committer.Quarantine(ctx, e, reason)
	return err
}

// outgoing gathers events for commits of bounded size, in order.
type outgoing struct {
	*releaser
	events []mesh.Event
	bytes  int
}

func (o *outgoing) add(ctx context.Context, e mesh.Event) error {
	o.events = append(o.events, e)
	o.bytes += len(e.Body)
	if len(o.events) < mesh.MaxEventsAtOnce && o.bytes < maxReleaseBytes {
		return nil
	}
	return o.flush(ctx)
}

func (o *outgoing) flush(ctx context.Context) error {
	if len(o.events) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	_, err := o.committer.CommitAll(ctx, o.events)
	o.events, o.bytes = o.events[:0], 0
	return err
}

// triage is what a quarantined delivery is made of.
type triage struct {
	events, free int
	behind       *held  // the interactions of those that are not free
	trouble      string // of the first of them
}

// triage reads a quarantined delivery, as its source is now, and calls take, if there is one, for each of
// its events, with why it is not free to go: "" if it is.
func (r *releaser) triage(q mesh.Quarantined, take func(reading ingress.Reading, why string) error) (triage, error) {
	t := triage{behind: newHeld()}
	parts, err := r.parts(q)
	if err != nil {
		return t, err
	}
	waits := r.held.has(laneOf(q.Event))
	for reading := range parts {
		why := ""
		switch l := laneOf(reading.Event); {
		case reading.Reason != "":
			why = strings.TrimSpace("still not good: " + reading.Reason + " " + reading.Event.Detail)
		case waits || r.held.has(l) || t.behind.has(l):
			why = fmt.Sprintf("held back: an earlier event of its interaction %s stays in quarantine", reading.Event.Interaction)
		}
		t.note(reading, why)
		if take == nil {
			continue
		}
		if err := take(reading, why); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (t *triage) note(reading ingress.Reading, why string) {
	t.events++
	if why == "" {
		t.free++
		return
	}
	t.behind.add(laneOf(reading.Event))
	if t.trouble == "" {
		t.trouble = why
	}
}

// parts are the events of what is in quarantine, as its source is now.
func (r *releaser) parts(q mesh.Quarantined) (iter.Seq[ingress.Reading], error) {
	if q.Reason == mesh.QuarantineUnreadable {
		return nil, errors.New("the message is no event; discard it")
	}
	reader := r.readers[q.Source]
	if reader == nil {
		source, err := sourceOf(r.topology, q.Source)
		if err != nil {
			return nil, err
		}
		if reader, err = ingress.NewReader(source); err != nil {
			return nil, fmt.Errorf("source %s: %w", q.Source, err)
		}
		r.readers[q.Source] = reader
	}
	e := q.Event
	e.CutFrom = 0
	return reader.Parts(e), nil
}
