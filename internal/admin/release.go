package admin

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

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

// ReleaseQuarantined reads events in quarantine again, as streams.json and its schemas are now, and sends those that are good on their
// way, one after another in the order in which they came. A dry run is not recorded.
func (d *Direct) ReleaseQuarantined(ctx context.Context, by By, chosen QuarantineSelection, progress Progress) (ActResult, error) {
	w, numbers, err := d.ward(ctx, by, chosen)
	if err != nil {
		return ActResult{}, err
	}
	r := &releaser{ward: w, dryRun: chosen.DryRun, readers: make(map[string]*ingress.Reader), held: newHeld()}
	if chosen.DryRun {
		o, err := r.releaseAll(ctx, numbers, progress)
		return o.result("release"), err
	}
	l := d.ledger(w.topology, by, mesh.Audit{Action: ActionQuarantineRelease, Source: chosen.Source, About: chosen.words()})
	return l.recorded(ctx, "release", numbers, func() (o outcome, err error) {
		err = d.committing(ctx, w.topology, func(committer *mesh.Committer) (err error) {
			r.committer = committer
			o, err = r.releaseAll(ctx, numbers, progress)
			return err
		})
		return o, err
	})
}

// committing does something with a committer that runs meanwhile.
func (d *Direct) committing(ctx context.Context, t *mesh.Topology, do func(*mesh.Committer) error) error {
	committer, err := mesh.NewCommitter(d.o.JetStream, t, d.o.Logger, prometheus.NewRegistry())
	if err != nil {
		return err
	}
	// What has begun comes to its end, also where the rest is given up.
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	ended := make(chan error, 1)
	go func() { ended <- committer.Run(running) }()
	err = do(committer)
	stop()
	return errors.Join(err, <-ended)
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
func (r *releaser) releaseAll(ctx context.Context, numbers []uint64, progress Progress) (outcome, error) {
	o := outcome{of: len(numbers)}
	if len(numbers) == 0 {
		return o, nil
	}
	places, missing, err := r.places(ctx, numbers)
	if err != nil {
		return o, err
	}
	for _, number := range missing {
		o.note(number, fmt.Errorf("%d is %w", number, mesh.ErrNotQuarantined))
	}
	for _, at := range places {
		if ctx.Err() != nil {
			break
		}
		if !at.chosen {
			r.passBy(ctx, at)
			continue
		}
		err := r.release(context.WithoutCancel(ctx), at)
		if o.note(at.number, err); outOfReach(err) {
			break
		}
		progress.tell(o.tried(), o.of)
	}
	return o, nil
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
