package api

import (
	"sync"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/live"
)

// sampleEvery is how often it is looked for a new snapshot.
const sampleEvery = time.Second

// snapshots remembers the latest snapshot as it is sent, so that it is written once for all who watch.
type snapshots struct {
	mu   sync.Mutex
	at   time.Time
	text []byte
}

// encoded is a snapshot as JSON, as shown makes it.
func (s *snapshots) encoded(snapshot live.Snapshot, shown func(live.Snapshot) live.Snapshot) ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.text != nil && s.at.Equal(snapshot.At) {
		return s.text, nil
	}
	if shown != nil {
		snapshot = shown(snapshot)
	}
	text, err := encode(snapshot)
	if err == nil {
		s.at, s.text = snapshot.At, text
	}
	return text, err
}

// live sends each new snapshot of what flows.
func (s *server) live(c *call) (reply, error) {
	if err := c.query.done(); err != nil {
		return reply{}, err
	}
	if s.o.Live == nil {
		return reply{}, admin.NotFound("nobody watches what flows in this process")
	}
	if !c.who.Role.May(access.Operator) {
		return reply{stream: func(out *eventWriter) error { return s.followLive(out, &s.forViewers, withoutErrors) }}, nil
	}
	return reply{stream: func(out *eventWriter) error { return s.followLive(out, &s.forOperators, nil) }}, nil
}

// withoutErrors is a snapshot without what targets said: that may repeat something of an event of a source that is sensitive.
func withoutErrors(snapshot live.Snapshot) live.Snapshot {
	subscribers := make(map[string]live.SubscriberFlow, len(snapshot.Subscribers))
	for name, flow := range snapshot.Subscribers {
		flow.Errors = nil
		subscribers[name] = flow
	}
	snapshot.Subscribers = subscribers
	return snapshot
}

// followLive sends snapshots, as shown makes them where it is not nil. written are those that were sent to others like this one.
func (s *server) followLive(out *eventWriter, written *snapshots, shown func(live.Snapshot) live.Snapshot) error {
	look, beat := time.NewTicker(sampleEvery), time.NewTicker(beatEvery)
	defer look.Stop()
	defer beat.Stop()
	var sent time.Time
	for {
		if snapshot := s.o.Live(); !snapshot.At.Equal(sent) {
			text, err := written.encoded(snapshot, shown)
			if err != nil {
				return err
			}
			if err := out.event("snapshot", text); err != nil {
				return err
			}
			sent = snapshot.At
		}
		select {
		case <-look.C:
		case <-beat.C:
			if err := out.beat(); err != nil {
				return err
			}
		case <-out.ctx.Done():
			return nil
		}
	}
}
