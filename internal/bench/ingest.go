package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

// The variants of ingest.
const (
	floor       = "floor"
	distinct    = "genmesh, distinct interactions"
	lifecycle   = "genmesh, lifecycles"
	handWritten = "hand-written receiver"
	oneEach     = "JetStream, one publish each"
	batches     = "JetStream, batches of 256"
)

const (
	batchSize       = 256
	batchesInFlight = 4
)

// ingestResult is what came of one number of connections.
type ingestResult struct {
	connections int
	results     results
}

// ingestStreams gives each variant a stream of its own, all with the same settings.
func ingestStreams() string {
	stream := func(name, token string) string {
		return fmt.Sprintf(`{"name": %q, "subjects": ["%s.>"], "storage": "file", "retention": "limits", "discard": "new",
			"max_age": "168h", "max_bytes": 10737418240, "duplicate_window": "2h", "allow_atomic": true, "allow_direct": true}`, name, token)
	}
	source := func(name, stream string) string {
		return fmt.Sprintf(`{"name": %q, "path": "/%s", "preset": "genesys", "secret": "${SECRET}", "stream": %q}`, name, name, stream)
	}
	return fmt.Sprintf(`{"sources": [%s, %s], "streams": [%s, %s, %s, %s, %s, %s], "subscribers": []}`,
		source("distinct", "DISTINCT"), source("lifecycle", "LIFECYCLE"),
		stream("DISTINCT", "distinct"), stream("LIFECYCLE", "lifecycle"), stream("HANDWRITTEN", "handwritten"),
		stream("ONE_EACH", "oneeach"), stream("BATCHES", "batches"), roleStreams)
}

// ingestBench is the servers and senders of ingest.
type ingestBench struct {
	*store
	connections int
	admin       jetstream.JetStream
	metrics     *prometheus.Registry
	variants    []variant
	senders     map[string]*sender // by the stream that they fill
}

func measureIngest(ctx context.Context, s settings, connections int) (result ingestResult, err error) {
	b := &ingestBench{connections: connections, metrics: prometheus.NewRegistry(), senders: make(map[string]*sender)}
	if b.store, err = startStore(ctx, s.log); err != nil {
		return result, err
	}
	defer func() { err = errors.Join(err, b.close()) }()
	if err := b.open(ctx); err != nil {
		return result, err
	}
	title := fmt.Sprintf("ingest at %d connections", connections)
	all, err := alternate(ctx, s, title, b.variants)
	if err != nil {
		return result, err
	}
	return ingestResult{connections, all}, b.checkStored(ctx)
}

// open starts everything that is measured.
func (b *ingestBench) open(ctx context.Context) error {
	var err error
	if b.admin, err = b.connect("bench"); err != nil {
		return err
	}
	topology, err := b.apply(ctx, b.admin, ingestStreams())
	if err != nil {
		return err
	}
	if err := b.addFloor(); err != nil {
		return err
	}
	if err := b.addGenmesh(topology); err != nil {
		return err
	}
	if err := b.addHandWritten(); err != nil {
		return err
	}
	return b.addRaw()
}

func (b *ingestBench) addFloor() error {
	url, err := b.serve(newFloor())
	if err != nil {
		return err
	}
	b.addSender(floor, newSender("floor", url+"/floor", b.connections, false), "")
	return nil
}

// verifier verifies with the secrets of the source.
func verifier(s mesh.Source) (ingress.Verifier, error) {
	keys, err := s.ResolveSecrets(lookup)
	if err != nil {
		return nil, err
	}
	return ingress.NewVerifier(s, keys)
}

// addGenmesh wires ingress and committer as the program does.
func (b *ingestBench) addGenmesh(t *mesh.Topology) error {
	js, err := b.connect("genmesh")
	if err != nil {
		return err
	}
	committer, err := mesh.NewCommitter(js, t, b.log, b.metrics)
	if err != nil {
		return err
	}
	server, err := ingress.New(ingress.Options{
		Addr: "127.0.0.1:0", Sources: t.Sources, Verifier: verifier, Store: committer, Logger: b.log, Registerer: b.metrics,
	})
	if err != nil {
		return err
	}
	b.background(committer.Run)
	b.background(server.Run)
	url := "http://" + server.Addr().String()
	b.addSender(distinct, newSender("distinct", url+"/distinct", b.connections, false), "DISTINCT")
	b.addSender(lifecycle, newSender("lifecycle", url+"/lifecycle", b.connections, true), "LIFECYCLE")
	return nil
}

func (b *ingestBench) addHandWritten() error {
	js, err := b.connect("hand-written")
	if err != nil {
		return err
	}
	url, err := b.serve(newHandWritten(js))
	if err != nil {
		return err
	}
	b.addSender(handWritten, newSender("handwritten", url+"/handwritten", b.connections, false), "HANDWRITTEN")
	return nil
}

// addSender adds the variant of a sender whose events are stored in stream, or in none.
func (b *ingestBench) addSender(name string, s *sender, stream string) {
	b.onClose(s.close)
	if stream != "" {
		b.senders[stream] = s
	}
	b.variants = append(b.variants, variant{name, func(ctx context.Context, d time.Duration) (sample, error) {
		before, err := readCommits(b.metrics, stream)
		if err != nil {
			return sample{}, err
		}
		one, err := drive(ctx, b.connections, d, s.send)
		if err != nil {
			return sample{}, err
		}
		after, err := readCommits(b.metrics, stream)
		one.batch, one.refused = after.since(before)
		return one, err
	}})
}

// addRaw adds JetStream's own rates: as many publishers as there are connections, one message
// each, and as the ceiling a few that publish atomic batches.
func (b *ingestBench) addRaw() error {
	js, err := b.connect("raw")
	if err != nil {
		return err
	}
	singles := newFeeds("oneeach", b.connections)
	b.addDriven(oneEach, b.connections, func(ctx context.Context, worker int) (int, error) {
		_, err := js.PublishMsg(ctx, nextMessage("oneeach", &singles[worker]))
		return 1, err
	})
	batched := newFeeds("batches", batchesInFlight)
	b.addDriven(batches, batchesInFlight, func(ctx context.Context, worker int) (int, error) {
		messages := make([]*nats.Msg, batchSize)
		for i := range messages {
			messages[i] = nextMessage("batches", &batched[worker])
		}
		return batchSize, publishBatch(ctx, js, messages)
	})
	return nil
}

func (b *ingestBench) addDriven(name string, workers int, work operation) {
	b.variants = append(b.variants, variant{name, func(ctx context.Context, d time.Duration) (sample, error) {
		return drive(ctx, workers, d, work)
	}})
}

func newFeeds(name string, n int) []feed {
	feeds := make([]feed, n)
	for i := range feeds {
		feeds[i].sender = name + "-" + strconv.Itoa(i)
	}
	return feeds
}

func nextMessage(source string, f *feed) *nats.Msg {
	d := f.next()
	return message(source, d.interaction, d)
}

// publishBatch stores messages as one atomic batch.
func publishBatch(ctx context.Context, js jetstream.JetStream, messages []*nats.Msg) error {
	_, err := jetstreamext.PublishMsgBatch(ctx, js, messages, jetstreamext.BatchFlowControl{AckFirst: false})
	return err
}

// checkStored compares what was answered with what is there.
func (b *ingestBench) checkStored(ctx context.Context) error {
	for stream, s := range b.senders {
		there, err := stored(ctx, b.admin, stream)
		if err != nil {
			return err
		}
		if accepted := s.accepted.Load(); accepted != there {
			return fmt.Errorf("%d events were answered 202, but stream %s holds %d", accepted, stream, there)
		}
	}
	return nil
}
