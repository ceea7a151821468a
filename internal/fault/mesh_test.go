//go:build fault

package fault

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
)

// configuration is a streams.json; replicas is how many nodes keep each stream.
func configuration(replicas int, subscribers ...string) []byte {
	return fmt.Appendf(nil, `{
	  "sources": [{"name": "genesys", "path": "/webhooks/genesys", "preset": "genesys", "secret": "${SECRET}", "stream": "INTERACTIONS"}],
	  "streams": [
	    {"name": "INTERACTIONS", "subjects": ["genesys.>"], "retention": "limits", "discard": "new", "max_age": "24h", "max_bytes": 1073741824,
	     "duplicate_window": "2h", "allow_atomic": true, "allow_direct": true, "num_replicas": %[1]d},
	    {"name": "DEAD_LETTERS", "subjects": ["dead.>"], "discard": "new", "duplicate_window": "2h", "max_bytes": 268435456, "allow_direct": true, "num_replicas": %[1]d},
	    {"name": "QUARANTINE", "subjects": ["quarantine.>"], "discard": "new", "max_bytes": 268435456, "allow_atomic": true, "num_replicas": %[1]d},
	    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"], "max_bytes": 67108864, "num_replicas": %[1]d}],
	  "subscribers": [%[2]s]}`, replicas, strings.Join(subscribers, ",\n"))
}

// writeConfiguration puts a streams.json into a new folder.
func writeConfiguration(t testing.TB, config []byte) (dir string) {
	t.Helper()
	dir = t.TempDir()
	require.NoError(t, os.WriteFile(filepath.Join(dir, "streams.json"), config, 0o600))
	return dir
}

// connect opens a JetStream context that is none of genmesh's.
func connect(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond), nats.RetryOnFailedConnect(true), nats.Timeout(time.Second))
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

// aftermath reads what the mesh holds.
func aftermath(ctx context.Context, js jetstream.JetStream, subscribers ...*subscriber) (after ledger.Aftermath, err error) {
	after = ledger.Aftermath{Dead: map[string][][]byte{}, Waiting: map[string]uint64{}}
	err = readAll(ctx, js, "INTERACTIONS", func(_ string, body []byte) { after.Stored = append(after.Stored, body) })
	if err != nil {
		return after, err
	}
	err = readAll(ctx, js, "DEAD_LETTERS", func(subject string, body []byte) {
		of := strings.Split(subject, ".")[1]
		after.Dead[of] = append(after.Dead[of], body)
	})
	if err != nil {
		return after, err
	}
	for _, s := range subscribers {
		consumer, err := js.PushConsumer(ctx, "INTERACTIONS", s.name)
		if err != nil {
			return after, fmt.Errorf("consumer %s: %w", s.name, err)
		}
		info := consumer.CachedInfo()
		after.Waiting[s.name] = info.NumPending + uint64(info.NumAckPending)
	}
	return after, nil
}

// readAll reads a stream from its beginning to where it ends now.
func readAll(ctx context.Context, js jetstream.JetStream, name string, each func(subject string, body []byte)) error {
	stream, err := js.Stream(ctx, name)
	if err != nil {
		return fmt.Errorf("stream %s: %w", name, err)
	}
	left := stream.CachedInfo().State.Msgs
	if left == 0 {
		return nil
	}
	consumer, err := stream.OrderedConsumer(ctx, jetstream.OrderedConsumerConfig{})
	if err != nil {
		return fmt.Errorf("read stream %s: %w", name, err)
	}
	messages, err := consumer.Messages()
	if err != nil {
		return fmt.Errorf("read stream %s: %w", name, err)
	}
	defer messages.Stop()
	for ; left > 0; left-- {
		msg, err := messages.Next(jetstream.NextContext(ctx))
		if err != nil {
			return fmt.Errorf("read stream %s, %d messages before its end: %w", name, left, err)
		}
		each(msg.Subject(), msg.Data())
	}
	return nil
}

// settled waits until nothing waits for the subscribers any more, and returns the verdict on the run.
func settled(t testing.TB, l *ledger.Ledger, js jetstream.JetStream, within time.Duration, subscribers ...*subscriber) ledger.Verdict {
	t.Helper()
	return settledWhere(t, l, js, within, ledger.Verdict.Err, subscribers...)
}

// settledWhere waits until nothing of the verdict is wrong any more.
func settledWhere(
	t testing.TB, l *ledger.Ledger, js jetstream.JetStream, within time.Duration, wrong func(ledger.Verdict) error, subscribers ...*subscriber,
) (v ledger.Verdict) {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		ctx, cancel := context.WithTimeout(t.Context(), min(within, 20*time.Second)) // a question may stay without an answer
		after, err := aftermath(ctx, js, subscribers...)
		cancel()
		if err == nil {
			v = l.Check(after)
			err = wrong(v)
		}
		if err == nil || time.Now().After(deadline) {
			tally := l.Tally()
			t.Logf("%d events answered, %d tries refused, longest stall %s, taken again %v",
				tally.Answered, tally.Refused, tally.Stall.Round(time.Millisecond), v.Doubled)
			require.NoError(t, err)
			require.Positive(t, tally.Answered)
			return v
		}
		pause(t.Context(), 200*time.Millisecond)
	}
}

// doubledAtMost bounds what subscribers took again: what was under way whenever a process was killed.
func doubledAtMost(t testing.TB, v ledger.Verdict, most int) {
	t.Helper()
	for subscriber, doubled := range v.Doubled {
		assert.LessOrEqual(t, doubled, most, "taken again by %s", subscriber)
	}
}
