package live

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// setAside counts what lies in the dead-letter stream by subscriber, or in quarantine by source: by the second part of the subjects. It
// is counted only when the stream has changed.
type setAside struct {
	prefix string // of the subjects

	mark    setAsideMark
	counted time.Time
	by      map[string]uint64
}

type setAsideMark struct {
	stream            string
	created           time.Time
	first, last, msgs uint64
}

func deadLetters() setAside { return setAside{prefix: "dead."} }
func quarantined() setAside { return setAside{prefix: "quarantine."} }

// manyMessages is from where on subjects are counted one name after another: a list of them all would be too long.
const manyMessages = 50_000

// countEvery is how often a stream of so many messages is counted that changes all the time: the more it holds, the more that costs.
func countEvery(messages uint64) time.Duration {
	switch {
	case messages <= 2_000:
		return 0
	case messages <= manyMessages:
		return 10 * time.Second
	}
	return time.Minute
}

// countSetAside counts a stream if it is one of the two.
func (w *Watcher) countSetAside(ctx context.Context, t *mesh.Topology, stream jetstream.Stream) error {
	if err := w.dead.count(ctx, t, stream, slices.Collect(maps.Keys(w.subscribers))); err != nil {
		return err
	}
	return w.quarantine.count(ctx, t, stream, slices.Collect(maps.Keys(w.sources)))
}

func (a *setAside) count(ctx context.Context, t *mesh.Topology, stream jetstream.Stream, names []string) error {
	info := stream.CachedInfo()
	if own, ok := t.StreamFor(a.prefix + ">"); !ok || own.Name != info.Config.Name {
		return nil
	}
	state := info.State
	mark := setAsideMark{info.Config.Name, info.Created, state.FirstSeq, state.LastSeq, state.Msgs}
	if mark == a.mark || time.Since(a.counted) < countEvery(state.Msgs) {
		return nil
	}
	var by map[string]uint64
	var err error
	if state.Msgs > manyMessages {
		by, err = a.countEach(ctx, stream, names)
	} else {
		by, err = a.countAll(ctx, stream)
	}
	if err != nil {
		return err
	}
	a.mark, a.by, a.counted = mark, by, time.Now()
	return nil
}

// countAll has the server list the subjects.
func (a *setAside) countAll(ctx context.Context, stream jetstream.Stream) (map[string]uint64, error) {
	info, err := stream.Info(ctx, jetstream.WithSubjectFilter(a.prefix+">"))
	if err != nil {
		return nil, err
	}
	by := map[string]uint64{}
	for subject, n := range info.State.Subjects {
		token, _, _ := strings.Cut(strings.TrimPrefix(subject, a.prefix), ".")
		if name, ok := mesh.Untoken(token); ok {
			by[name] += n
		}
	}
	return by, nil
}

// countEach asks for each name how much a new consumer would get.
func (a *setAside) countEach(ctx context.Context, stream jetstream.Stream, names []string) (map[string]uint64, error) {
	by := map[string]uint64{}
	for _, name := range names {
		consumer, err := stream.CreateConsumer(ctx, jetstream.ConsumerConfig{
			FilterSubject: a.prefix + mesh.Token(name) + ".>", AckPolicy: jetstream.AckNonePolicy,
			MemoryStorage: true, Replicas: 1, InactiveThreshold: time.Minute,
		})
		if err != nil {
			return nil, err
		}
		by[name] = consumer.CachedInfo().NumPending
		if err := stream.DeleteConsumer(ctx, consumer.CachedInfo().Name); err != nil {
			return nil, err
		}
	}
	return by, nil
}

// knownOf is how many there are by the names that have a meter and any; nil if they were not counted yet.
func knownOf[M any](by map[string]uint64, meters map[string]*M) map[string]uint64 {
	if by == nil {
		return nil
	}
	known := map[string]uint64{}
	for name, n := range by {
		if meters[name] != nil && n > 0 {
			known[name] = n
		}
	}
	return known
}
