package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// The variants of delivery.
const (
	barePosts = "bare posts, no mesh"
	besides   = "genmesh to HTTP, 1 subscriber beside one that hangs"
)

func toHTTP(n int) string  { return "genmesh to HTTP, " + plural(n, "subscriber") }
func toCode(n int) string  { return "genmesh to code, " + plural(n, "subscriber") }
func ackOnly(n int) string { return "JetStream push that only acknowledges, " + plural(n, "consumer") }

// subscriberCounts are how many subscribers share the work.
var subscriberCounts = [...]int{1, 3, 10, 100}

const (
	maxSubscribers = 100
	// maxToHTTP: what more subscribers cost shows better without HTTP, which costs more than all else.
	maxToHTTP     = 10
	maxInFlight   = 64
	maxAckPending = 1024
	// deliveriesPerSecond of a round's duration are the work of each variant, however many
	// subscribers share it; so all variants deliver the same number.
	deliveriesPerSecond = 20_000
	maxDeliveries       = 100_000
	// openInteractions are under way at once among the stored events.
	openInteractions = 64
)

// deliveryStreams is a stream and all subscribers that read it in one variant or another.
func deliveryStreams(sink, hanging string) string {
	subscribers := make([]string, 0, maxSubscribers+len(everythingAsked)+2)
	for i := range maxSubscribers {
		subscribers = append(subscribers, deliverySubscriber(plainName(i), maxAckPending, target(sink, ""), ""))
	}
	subscribers = append(subscribers, askingSubscribers(sink)...)
	subscribers = append(subscribers, deliverySubscriber(hangingName, maxAckPending, target(hanging, ""), ""), waitingSubscriber(sink))
	return fmt.Sprintf(`{"sources": [{"name": "genesys", "path": "/genesys", "preset": "genesys", "secret": "${SECRET}", "stream": "INTERACTIONS"}],
		"streams": [{"name": "INTERACTIONS", "subjects": ["genesys.>"], "discard": "new", "max_bytes": 10737418240,
			"duplicate_window": "2h", "allow_atomic": true, "allow_direct": true},
			{"name": "DELIVERIES", "subjects": ["deliveries.>"], "allow_direct": true}, %s],
		"subscribers": [%s]}`, roleStreams, strings.Join(subscribers, ","))
}

// plainName is a subscriber that asks for nothing.
func plainName(i int) string { return fmt.Sprintf("s%d", i) }

// deliverySubscriber is a subscriber in streams.json; more are fields, each after a comma.
func deliverySubscriber(name string, maxAckPending int, target, more string) string {
	return fmt.Sprintf(`{"name": %q, "stream": "INTERACTIONS", "max_in_flight": %d, "max_ack_pending": %d, "target": %s%s}`,
		name, maxInFlight, maxAckPending, target, more)
}

func target(url, more string) string {
	return fmt.Sprintf(`{"url": %q, "timeout": "30s"%s}`, url, more)
}

// deliveryBench is a stream full of events and who takes them.
type deliveryBench struct {
	*store
	js       jetstream.JetStream
	topology *mesh.Topology
	stream   mesh.Stream
	letters  *mesh.DeadLetters
	metrics  *workers.Metrics
	sink     string // a target's URL
	hanging  *hangingTarget
	events   int // stored
	posts    []feed
}

func measureDelivery(ctx context.Context, s settings) (all results, err error) {
	b := &deliveryBench{metrics: workers.NewMetrics(nil), posts: newFeeds("posts", maxInFlight)}
	b.events = max(deliveriesIn(s.duration), waitingRetries)
	if b.store, err = startStore(ctx, s.log); err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(ctx); err != nil {
		return nil, err
	}
	if err := b.fill(ctx); err != nil {
		return nil, fmt.Errorf("store %d events: %w", b.events, err)
	}
	if all, err = alternate(ctx, s, "delivery", b.variants()); err != nil {
		return nil, err
	}
	asked, err := alternate(ctx, s, "what subscribers ask for", b.askedVariants())
	if err != nil {
		return nil, err
	}
	maps.Copy(all, asked)
	return all, b.checkDead(ctx)
}

// deliveriesIn is the work of a variant for a duration.
func deliveriesIn(d time.Duration) int {
	n := int(deliveriesPerSecond * d.Seconds())
	return min(max(n, maxSubscribers), maxDeliveries)
}

func (b *deliveryBench) open(ctx context.Context) error {
	var err error
	if b.js, err = b.connect("genmesh"); err != nil {
		return err
	}
	if b.sink, err = b.serve(newSink()); err != nil {
		return err
	}
	if b.hanging, err = startHanging(b.store); err != nil {
		return err
	}
	if b.topology, err = b.apply(ctx, b.js, deliveryStreams(b.sink, b.hanging.url)); err != nil {
		return err
	}
	b.stream = b.topology.Streams[0]
	b.letters, err = mesh.NewDeadLetters(b.js, b.topology)
	return err
}

// subscriber is the one of that name; each that is asked for is there.
func (b *deliveryBench) subscriber(name string) mesh.Subscriber {
	i := slices.IndexFunc(b.topology.Subscribers, func(s mesh.Subscriber) bool { return s.Name == name })
	return b.topology.Subscribers[i]
}

// newSink is a target that takes everything.
func newSink() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, err := drain(w, r); err != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
	})
}

// fill stores the events: interactions that take turns, ten events each.
func (b *deliveryBench) fill(ctx context.Context) error {
	next := 0
	for next < b.events {
		messages := make([]*nats.Msg, min(batchSize, b.events-next))
		for i := range messages {
			messages[i] = message("genesys", strconv.Itoa(next), interleaved(next))
			next++
		}
		if err := publishBatch(ctx, b.js, messages); err != nil {
			return err
		}
	}
	return nil
}

func (b *deliveryBench) variants() []variant {
	ofRunners := func(name string, n int, newHandler handlerMaker) variant {
		return variant{name, func(ctx context.Context, d time.Duration) (sample, error) {
			return b.measureRunners(ctx, d, n, newHandler)
		}}
	}
	all := []variant{
		{barePosts, b.measurePosts},
		{besides, b.measureBesides},
	}
	for _, n := range subscriberCounts {
		if n <= maxToHTTP {
			all = append(all, ofRunners(toHTTP(n), n, forwarding))
		}
		all = append(all, ofRunners(toCode(n), n, inCode), variant{ackOnly(n), func(ctx context.Context, d time.Duration) (sample, error) {
			return b.measureAckOnly(ctx, d, n)
		}})
	}
	return all
}

// measurePosts is what the HTTP alone costs: the target's server and as many posts at once as a
// subscriber makes, without a mesh.
func (b *deliveryBench) measurePosts(ctx context.Context, d time.Duration) (sample, error) {
	client := newClient(maxInFlight)
	defer client.CloseIdleConnections()
	return drive(ctx, maxInFlight, d, func(ctx context.Context, worker int) (int, error) {
		status, err := post(ctx, client, b.sink, b.posts[worker].next().body)
		if err == nil && status != http.StatusOK {
			err = fmt.Errorf("the target answered %d", status)
		}
		return 1, err
	})
}

// checkDead fails if any event became a dead letter: none should have.
func (b *deliveryBench) checkDead(ctx context.Context) error {
	dead, err := stored(ctx, b.js, "DEAD_LETTERS")
	if err == nil && dead > 0 {
		err = fmt.Errorf("%d events became dead letters", dead)
	}
	return err
}
