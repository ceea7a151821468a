package mesh

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// scrubTurn settles which process scrubs. It is a matter of work alone: two that scrub at once find the same and tell it once.
type scrubTurn struct {
	mine     []byte
	revision uint64    // of the key while it is ours
	seen     uint64    // of the key while it is another's
	since    time.Time // when that was seen first
}

const scrubTurnKey = "scrub.turn"

func newScrubTurn() scrubTurn {
	host, _ := os.Hostname() // it is told to people only
	return scrubTurn{mine: fmt.Appendf(nil, "%s, process %d", host, os.Getpid())}
}

// take reports whether it is this process' turn. Another's turn ends when it has not renewed it for a lease, by our clock.
func (t *scrubTurn) take(ctx context.Context, kv jetstream.KeyValue, lease time.Duration) (bool, error) {
	if t.revision > 0 {
		return t.write(func() (uint64, error) { return kv.Update(ctx, scrubTurnKey, t.mine, t.revision) })
	}
	entry, err := kv.Get(ctx, scrubTurnKey)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound):
		return t.write(func() (uint64, error) { return kv.Create(ctx, scrubTurnKey, t.mine) })
	case err != nil:
		return false, err
	case entry.Revision() != t.seen:
		t.seen, t.since = entry.Revision(), time.Now()
		return false, nil
	case time.Since(t.since) < lease:
		return false, nil
	}
	return t.write(func() (uint64, error) { return kv.Update(ctx, scrubTurnKey, t.mine, t.seen) })
}

func (t *scrubTurn) write(write func() (uint64, error)) (bool, error) {
	revision, err := write()
	if IsConflict(err) {
		t.revision = 0
		return false, nil
	}
	if err != nil {
		return false, err
	}
	t.revision = revision
	return true, nil
}

// leaveTimeout bounds the goodbye.
const leaveTimeout = time.Second

// leave lets another process go on at once.
func (t *scrubTurn) leave(ctx context.Context, js jetstream.JetStream) {
	if t.revision == 0 || !js.Conn().IsConnected() {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveTimeout)
	defer cancel()
	if kv, err := js.KeyValue(ctx, StateBucket); err == nil {
		_ = kv.Delete(ctx, scrubTurnKey, jetstream.LastRevision(t.revision)) // else it ends with its lease
	}
}
