package cli

import (
	"context"
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

const releaseTimeout = 10 * time.Second

// release sends events on their way, one after another.
func (p *program) release(ctx context.Context, cmd *cobra.Command, w ward, f *quarantineAct, numbers []uint64) error {
	past := "released"
	if f.dryRun {
		past = "releasable"
	}
	r := &releaser{ward: w, dryRun: f.dryRun, readers: make(map[string]*ingress.Reader), held: make(map[string]bool)}
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
	result := actResult{Action: "release", Failed: []actFailed{}}
	for _, number := range numbers {
		if err := r.release(ctx, number); err != nil {
			result.Failed = append(result.Failed, actFailed{number, err.Error()})
			continue
		}
		result.Done++
	}
	return p.reportQuarantine(cmd, result, past, len(numbers))
}

// releaser reads events again and stores them.
type releaser struct {
	ward
	dryRun    bool
	committer *mesh.Committer
	readers   map[string]*ingress.Reader // by source
	held      map[string]bool            // interactions of which an event stays behind
}

func (r *releaser) release(ctx context.Context, number uint64) error {
	q, err := r.Get(ctx, number)
	if err != nil {
		return err
	}
	events, err := r.read(q)
	if err != nil {
		r.hold(q.Event)
		return err
	}
	for _, e := range events {
		if e.Interaction != "" && r.held[laneOf(e)] {
			r.hold(q.Event)
			return fmt.Errorf("held back: an earlier event of its interaction %s stays in quarantine", e.Interaction)
		}
	}
	if r.dryRun {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, releaseTimeout)
	defer cancel()
	if _, err := r.committer.CommitAll(ctx, events); err != nil {
		for _, e := range events {
			r.hold(e)
		}
		return err
	}
	return r.Discard(ctx, number)
}

func (r *releaser) hold(e mesh.Event) { r.held[laneOf(e)] = true }

func laneOf(e mesh.Event) string { return e.Source + "\x00" + e.Interaction }

// read makes events of what is in quarantine, as its source is now.
func (r *releaser) read(q mesh.Quarantined) ([]mesh.Event, error) {
	if q.Reason == mesh.QuarantineUnreadable {
		return nil, fmt.Errorf("the message is no event; discard it")
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
	var events []mesh.Event
	for _, reading := range reader.Reread(q.Event) {
		if reading.Reason != "" {
			r.hold(reading.Event)
			return nil, fmt.Errorf("still not good: %s %s", reading.Reason, reading.Event.Detail)
		}
		events = append(events, reading.Event)
	}
	return events, nil
}
