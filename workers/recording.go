package workers

import (
	"context"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
)

// Recording keeps how deliveries ended in the stream that streams.json has for it, for timelines and
// explanations. It gathers for a second, so that many records cost one message, and never holds a
// delivery up: what the stream does not take, what a kill -9 takes along and what is above its bound is lost and counted.
type Recording struct {
	js       jetstream.JetStream
	topology func() *mesh.Topology
	log      logrus.FieldLogger
	lost     prometheus.Counter

	mu         sync.Mutex
	records    []mesh.Delivery
	partitions []string
	full       chan struct{}
}

const (
	recordInterval = time.Second
	// maxUnrecorded bounds what waits to be recorded, at about 300 bytes each, 2 KB where attempts failed.
	maxUnrecorded = 50_000
)

// NewRecording makes a Recording; topology is the streams.json in force. A nil Registerer keeps its metric
// private.
func NewRecording(js jetstream.JetStream, topology func() *mesh.Topology, log logrus.FieldLogger, r prometheus.Registerer) *Recording {
	lost := prometheus.NewCounter(prometheus.CounterOpts{
		Name: "genmesh_worker_records_lost_total",
		Help: "Records of deliveries that could not be kept; the deliveries themselves are not touched by that.",
	})
	if r != nil {
		r.MustRegister(lost)
	}
	return &Recording{js: js, topology: topology, log: log.WithField("component", "records"), lost: lost, full: make(chan struct{}, 1)}
}

// Record takes a record in. It does not wait.
func (r *Recording) Record(d mesh.Delivery, partition string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.records) == maxUnrecorded {
		r.lost.Inc()
		return
	}
	r.records = append(r.records, d)
	r.partitions = append(r.partitions, partition)
	if len(r.records) >= mesh.MaxRecords {
		signal(r.full)
	}
}

// Run stores what is recorded until ctx ends, and then what is left.
func (r *Recording) Run(ctx context.Context) error {
	ticker := time.NewTicker(recordInterval)
	defer ticker.Stop()
	failing := false
	for {
		select {
		case <-ticker.C:
		case <-r.full:
		case <-ctx.Done():
			if err := r.store(context.WithoutCancel(ctx)); err != nil {
				r.log.WithError(err).Warn("how the last deliveries ended is not recorded")
			}
			return nil
		}
		err := r.store(context.WithoutCancel(ctx)) // it is bounded by itself
		if err != nil && !failing {
			r.log.WithError(err).Warn("how deliveries end is not recorded for now; they go on")
		}
		failing = err != nil
	}
}

// store keeps everything recorded so far. What fails is lost.
func (r *Recording) store(ctx context.Context) error {
	r.mu.Lock()
	records, partitions := r.records, r.partitions
	r.records, r.partitions = nil, nil
	r.mu.Unlock()
	stream, ok := r.topology().DeliveryRecords()
	if !ok {
		return nil
	}
	for len(records) > 0 {
		n := min(len(records), mesh.MaxRecords)
		if err := r.storeSome(ctx, stream.Name, records[:n], partitions[:n]); err != nil {
			r.lost.Add(float64(len(records)))
			return err
		}
		records, partitions = records[n:], partitions[n:]
	}
	return nil
}

func (r *Recording) storeSome(ctx context.Context, stream string, records []mesh.Delivery, partitions []string) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	return mesh.RecordDeliveries(ctx, r.js, stream, records, partitions)
}
