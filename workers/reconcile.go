package workers

import (
	"context"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
)

// reconcileInterval is also the time that the undertaker has for a burial before an event counts
// as stranded.
const reconcileInterval = 30 * time.Second

// reconciler checks from the consumers' own state that no event ended without a trace. The
// server keeps a mark for each event whose deliveries are used up until somebody acknowledges
// it after all, which the undertaker does after the burial. Marks that stay are events that
// neither a worker nor an advisory told of: they are counted and reported.
type reconciler struct {
	js      jetstream.JetStream
	metrics *Metrics
	log     logrus.FieldLogger
	// before is how many were stranded at the last look, reported whether that was said; by
	// subscriber.
	before   map[string]int
	reported map[string]bool
}

func (u *Undertaker) reconcile(ctx context.Context, log logrus.FieldLogger) {
	r := reconciler{js: u.JetStream, metrics: u.Metrics, log: log, before: map[string]int{}, reported: map[string]bool{}}
	for sleep(ctx, reconcileInterval) {
		readers, stranded := u.Topology().Readers(), map[string]int{}
		for _, s := range readers {
			n, err := countStranded(ctx, r.js, s)
			if err == nil { // the runner reports a consumer that is away
				stranded[s.Name] += n
			}
		}
		r.judge(stranded)
		r.forget(readers)
	}
}

// judge reports the subscribers that had stranded events at the last look and still have.
func (r *reconciler) judge(stranded map[string]int) {
	for subscriber, now := range stranded {
		lasting := min(now, r.before[subscriber])
		r.metrics.stranded.WithLabelValues(subscriber).Set(float64(lasting))
		if lasting > 0 && !r.reported[subscriber] {
			r.log.WithFields(logrus.Fields{"subscriber": subscriber, "events": lasting}).
				Error("events ended without a word and without a dead letter: compare the subscriber's records with the stream")
		}
		r.reported[subscriber] = lasting > 0
	}
	r.before = stranded
}

// forget drops what is known of subscribers that are no more: an alarm about one would never end.
func (r *reconciler) forget(readers []mesh.Reader) {
	for subscriber := range r.reported {
		if !slices.ContainsFunc(readers, func(s mesh.Reader) bool { return s.Name == subscriber }) {
			r.metrics.stranded.DeleteLabelValues(subscriber)
			delete(r.reported, subscriber)
		}
	}
}

// countStranded counts the events that used up their deliveries and were not settled since.
func countStranded(ctx context.Context, js jetstream.JetStream, s mesh.Reader) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	consumer, err := js.PushConsumer(ctx, s.Stream, s.Durable)
	if err != nil {
		return 0, err
	}
	info := consumer.CachedInfo()
	// A redelivered event is marked too while it is under way.
	return max(info.NumRedelivered-info.NumAckPending, 0), nil
}
