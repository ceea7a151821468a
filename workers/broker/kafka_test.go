package broker

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

func TestKafkaConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		cluster := startKafka(t)
		return targettest.Fixture{
			Target:  newTarget(t, kafkaURL(cluster)),
			Arrived: func(t testing.TB) []targettest.Arrival { return kafkaArrivals(t, cluster) },
		}
	})
}

func TestKafkaRecordsFollowTheCloudEventsBinding(t *testing.T) {
	cluster := startKafka(t)
	event := targettest.Event(7)
	event.Attempt = 2
	require.NoError(t, newTarget(t, kafkaURL(cluster), EventTypePrefix("com.example.")).Handle(t.Context(), event))

	records := kafkaRecords(t, cluster)
	require.Len(t, records, 1)
	assert.Equal(t, event.Interaction, string(records[0].Key))
	got := kafkaHeaders(records[0])
	assert.Equal(t, map[string]string{
		"ce_specversion": "1.0", "ce_id": event.IdempotencyKey(), "ce_source": "/genmesh/genesys", "ce_type": "com.example.interaction",
		"ce_subject": "987654321", "ce_time": "2026-11-23T14:15:00.25Z", "content-type": "application/json",
		"Idempotency-Key": event.IdempotencyKey(), "Genmesh-Subscriber": "crm", "Genmesh-Stream": "INTERACTIONS",
		"Genmesh-Sequence": "7", "Genmesh-Attempt": "2", "Genmesh-Interaction": "987654321",
		"traceparent": event.TraceParent, "tracestate": event.TraceState,
	}, got)
}

func TestKafkaKeepsAnInteractionInOnePartitionAndOrder(t *testing.T) {
	cluster := startKafka(t)
	target := newTarget(t, kafkaURL(cluster))
	deliver(t, target, 20, 30)
	requireOrder(t, kafkaArrivals(t, cluster), 20, 30)
	partitions := map[string]int32{}
	for _, r := range kafkaRecords(t, cluster) {
		if known, ok := partitions[string(r.Key)]; ok {
			require.Equal(t, known, r.Partition)
		}
		partitions[string(r.Key)] = r.Partition
	}
	assert.Len(t, partitions, 20)
}

// TestKafkaAwayForAWhile: the only broker is killed in the middle and comes back with its data.
func TestKafkaAwayForAWhile(t *testing.T) {
	folder, port := t.TempDir(), meshtest.FreePort(t)
	options := []kfake.Opt{kfake.Ports(port), kfake.NumBrokers(1), kfake.SeedTopics(4, "events"), kfake.DataDir(folder), kfake.SyncWrites()}
	cluster, err := kfake.NewCluster(options...)
	require.NoError(t, err)
	target := newTargetWith(t, mesh.Target{URL: kafkaURL(cluster), Timeout: mesh.Duration(3 * time.Second)})

	done := make(chan struct{})
	go func() { defer close(done); deliver(t, target, 8, 400) }()
	require.Eventually(t, func() bool { return len(kafkaRecords(t, cluster)) > 100 }, time.Minute, 5*time.Millisecond)
	cluster.Close()
	err = target.Handle(t.Context(), targettest.Event(99_999))
	require.Error(t, err)
	assert.NotEqual(t, workers.Refuse, targettest.FateOf(err), "%v", err)
	cluster, err = kfake.NewCluster(options...)
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	<-done
	requireOrder(t, kafkaArrivals(t, cluster), 8, 400)
}

func TestAKafkaThatIsAwayMakesTheSubscriberWait(t *testing.T) {
	target := newTargetWith(t, mesh.Target{
		URL:     fmt.Sprintf("kafka://user:s3cret@127.0.0.1:%d/events", meshtest.FreePort(t)),
		Timeout: mesh.Duration(2 * time.Second),
	})
	err := target.Handle(t.Context(), targettest.Event(1))
	require.ErrorContains(t, err, "no Kafka broker can be reached")
	assert.Equal(t, workers.Wait, targettest.FateOf(err))
	assert.NotContains(t, err.Error(), "s3cret")
}

func TestOnlyTheRecordThatIsTooLargeIsRefused(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "events"),
		kfake.BrokerConfigs(map[string]string{"message.max.bytes": "20000"}))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	target := newTarget(t, kafkaURL(cluster))
	large := targettest.Event(1)
	large.Body = make([]byte, 2<<20) // the client's own bound is a mebibyte
	err = target.Handle(t.Context(), large)
	require.ErrorContains(t, err, "max.message.bytes")
	assert.Equal(t, workers.Refuse, targettest.FateOf(err))

	var calls sync.WaitGroup
	for i := range 200 {
		calls.Go(func() {
			event := targettest.Event(uint64(i + 1))
			event.Body = incompressible(500)
			if i%50 == 0 {
				event.Body = incompressible(30_000)
			}
			err := target.Handle(t.Context(), event)
			if i%50 == 0 {
				assert.Equal(t, workers.Refuse, targettest.FateOf(err), "%v", err)
				return
			}
			assert.NoError(t, err)
		})
	}
	calls.Wait()
	assert.Len(t, kafkaRecords(t, cluster), 196)
}

func TestATopicThatIsMissingMakesTheSubscriberWait(t *testing.T) {
	cluster := startKafka(t)
	target := newTarget(t, strings.Replace(kafkaURL(cluster), "/events", "/other", 1))
	err := target.Handle(t.Context(), targettest.Event(1))
	require.ErrorContains(t, err, "there is no topic other")
	assert.Equal(t, workers.Wait, targettest.FateOf(err))
}

func TestKafkaSignsIn(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "events"), kfake.EnableSASL(),
		kfake.Superuser("PLAIN", "plain", "s3cret"), kfake.Superuser("SCRAM-SHA-256", "scram", "s3cret"),
		kfake.Superuser("SCRAM-SHA-512", "long", "s3cret"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	at := func(user, rest string) string {
		return "kafka://" + user + "@" + cluster.ListenAddrs()[0] + "/events" + rest
	}
	for _, url := range []string{at("plain:s3cret", ""), at("scram:s3cret", "?sasl=scram-sha-256"), at("long:s3cret", "?sasl=scram-sha-512")} {
		require.NoError(t, newTarget(t, url).Handle(t.Context(), targettest.Event(1)))
	}
	err = newTarget(t, at("plain:wr0ng", "")).Handle(t.Context(), targettest.Event(1))
	require.Error(t, err)
	assert.Equal(t, workers.Wait, targettest.FateOf(err))
	assert.NotContains(t, err.Error(), "wr0ng")
}

func BenchmarkKafka(b *testing.B) {
	cluster := startKafka(b)
	target := newTarget(b, kafkaURL(cluster))
	require.NoError(b, target.Handle(b.Context(), targettest.Event(1)))
	b.SetParallelism(16)
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := target.Handle(b.Context(), targettest.Event(1)); err != nil {
				b.Error(err)
			}
		}
	})
}

func startKafka(t testing.TB) *kfake.Cluster {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(4, "events"))
	require.NoError(t, err)
	t.Cleanup(cluster.Close)
	return cluster
}

func kafkaURL(cluster *kfake.Cluster) string {
	addresses := cluster.ListenAddrs()
	return "kafka://" + addresses[0] + "/events?brokers=" + strings.Join(addresses[1:], ",")
}

// kafkaRecords reads the topic from its beginning, each partition in its order.
func kafkaRecords(t testing.TB, cluster *kfake.Cluster) []*kgo.Record {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	want := int64(0)
	for partition := range int32(4) {
		if info := cluster.PartitionInfo("events", partition); info != nil {
			want += info.HighWatermark
		}
	}
	reader, err := kgo.NewClient(kgo.SeedBrokers(cluster.ListenAddrs()...), kgo.ConsumeTopics("events"),
		kgo.ConsumeResetOffset(kgo.NewOffset().AtStart()), kgo.FetchMaxWait(100*time.Millisecond))
	require.NoError(t, err)
	defer reader.Close()
	var found []*kgo.Record
	for int64(len(found)) < want {
		fetches := reader.PollFetches(ctx)
		require.NoError(t, fetches.Err())
		found = append(found, fetches.Records()...)
	}
	return found
}

func kafkaHeaders(r *kgo.Record) map[string]string {
	all := map[string]string{}
	for _, h := range r.Headers {
		all[h.Key] = string(h.Value)
	}
	return all
}

func kafkaArrivals(t testing.TB, cluster *kfake.Cluster) []targettest.Arrival {
	t.Helper()
	var found []targettest.Arrival
	for _, r := range kafkaRecords(t, cluster) {
		found = append(found, arrival(t, kafkaHeaders(r), "ce_", r.Value))
	}
	return found
}

// arrival reads a message as a receiver does.
func arrival(t testing.TB, headers map[string]string, prefix string, body []byte) targettest.Arrival {
	t.Helper()
	sequence, err := strconv.ParseUint(headers["Genmesh-Sequence"], 10, 64)
	require.NoError(t, err)
	require.Equal(t, headers[prefix+"id"], headers[HeaderIdempotencyKey])
	require.Equal(t, headers[prefix+"subject"], headers[mesh.HeaderInteraction])
	eventType := headers[prefix+"type"]
	if eventType == "event" {
		eventType = ""
	}
	if body == nil {
		body = []byte{}
	}
	return targettest.Arrival{
		Source: strings.TrimPrefix(headers[prefix+"source"], "/genmesh/"), Type: eventType, Interaction: headers[prefix+"subject"],
		Sequence: sequence, Key: headers[HeaderIdempotencyKey], Body: body,
	}
}

// deliver hands on the events of some interactions as a runner does: those of one after another, each until it is taken, but for no
// longer than two minutes in all.
func deliver(t testing.TB, target *Target, interactions, each int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	var lanes sync.WaitGroup
	for lane := range interactions {
		lanes.Go(func() {
			for n := range each {
				event := targettest.Event(uint64(n*interactions + lane + 1))
				event.Interaction = "interaction-" + strconv.Itoa(lane)
				event.Subject = "genesys.01.interaction.call." + event.Interaction
				if err := untilTaken(ctx, target, event); err != nil {
					t.Errorf("event %d of lane %d was given up: %v", n, lane, err)
					return
				}
			}
		})
	}
	lanes.Wait()
}

func untilTaken(ctx context.Context, target *Target, event mesh.Event) error {
	for {
		err := target.Handle(ctx, event)
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(20 * time.Millisecond): // the runner's backoff
		}
	}
}

// requireOrder checks that every event arrived, and those of an interaction first in their order; they may come again.
func requireOrder(t testing.TB, arrived []targettest.Arrival, interactions, each int) {
	t.Helper()
	first := map[string][]uint64{}
	seen := map[string]bool{}
	for _, a := range arrived {
		if !seen[a.Key+a.Interaction] && strings.HasPrefix(a.Interaction, "interaction-") {
			seen[a.Key+a.Interaction] = true
			first[a.Interaction] = append(first[a.Interaction], a.Sequence)
		}
	}
	require.Len(t, first, interactions)
	for interaction, sequences := range first {
		require.Len(t, sequences, each, interaction)
		require.True(t, slices.IsSorted(sequences), "%s: %v", interaction, sequences)
	}
}

func newTarget(t testing.TB, url string, options ...Option) *Target {
	t.Helper()
	return newTargetWith(t, mesh.Target{URL: url}, options...)
}

func newTargetWith(t testing.TB, target mesh.Target, options ...Option) *Target {
	t.Helper()
	made, err := New(target, "crm", quiet(), options...)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, made.Close()) })
	return made
}

func quiet() *logrus.Logger {
	log, _ := test.NewNullLogger()
	return log
}

func incompressible(size int) []byte {
	body, state := make([]byte, size), uint32(size)
	for i := range body {
		state = state*1664525 + 1013904223
		body[i] = byte(state >> 24)
	}
	return body
}
