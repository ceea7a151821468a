package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// recorder stores how deliveries end, and knows whether all of it was stored.
type recorder struct {
	b         *deliveryBench
	recording *workers.Recording
	metrics   *prometheus.Registry
	running   part
}

func startRecorder(b *deliveryBench) *recorder {
	r := &recorder{b: b, metrics: prometheus.NewRegistry()}
	r.recording = workers.NewRecording(b.js, func() *mesh.Topology { return b.topology }, b.log, r.metrics)
	r.running.run(r.recording.Run, nothing)
	return r
}

const (
	// idleTime is far more than the time between two messages of records that are being stored.
	idleTime    = 100 * time.Millisecond
	idleTimeout = 30 * time.Second
)

// awaitIdle waits until nothing is being stored.
func (r *recorder) awaitIdle(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, idleTimeout, errors.New("the records of deliveries are still being stored"))
	defer cancel()
	ticker := time.NewTicker(idleTime)
	defer ticker.Stop()
	for before := uint64(math.MaxUint64); ; {
		now, err := stored(ctx, r.b.js, "DELIVERIES")
		switch {
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case err != nil:
			return err
		case now == before:
			return nil
		}
		before = now
		select {
		case <-ticker.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

// end stores what is left. That a record was lost fails the benchmark: what is not stored costs nothing.
func (r *recorder) end() error {
	err := r.running.end()
	r.running = part{}
	families, gathered := r.metrics.Gather()
	if err = errors.Join(err, gathered); err != nil {
		return err
	}
	for _, family := range families {
		for _, m := range family.GetMetric() {
			if n := m.GetCounter().GetValue(); n > 0 {
				return fmt.Errorf("%.0f records of deliveries were lost", n)
			}
		}
	}
	return nil
}
