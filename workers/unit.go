package workers

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// unit is a consumer that a process can serve.
type unit struct {
	stream, durable string
	served          mesh.Served
	created         time.Time
	binding         *binding // nil if it is not served here
	claiming        bool
	gone            bool // the server has it no more; forgotten once it is not served here
	// free is since when nobody serves it, as far as we know.
	free time.Time
	// own is what this process knew of its events when it had to let them go without a word; or nil.
	own *handover
	// kept is until when it stays here although another process should serve it, which did not.
	kept time.Time
}

// key names it in the state bucket, whose keys take few characters.
func (u *unit) key() string { return mesh.Token(u.stream) + "." + u.durable }

// look keeps the list of consumers fresh until ctx ends.
func (c *Crew) look(ctx context.Context) {
	ticker := time.NewTicker(lookInterval)
	defer ticker.Stop()
	for {
		if c.list(ctx) {
			c.wake()
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-c.looks:
		}
	}
}

// list reads which consumers the subscribers here have on the server; false means that it can't say.
func (c *Crew) list(ctx context.Context) bool {
	c.mu.Lock()
	streams := map[string]bool{}
	for _, r := range c.runners {
		for _, stream := range r.streams() {
			streams[stream] = true
		}
	}
	c.mu.Unlock()
	for stream := range streams {
		found, err := listUnits(ctx, c.JetStream, stream)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			found, err = nil, nil
		}
		if err != nil {
			return false
		}
		c.listed(stream, found)
	}
	return true
}

func listUnits(ctx context.Context, js jetstream.JetStream, stream string) ([]*unit, error) {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	handle, err := js.Stream(ctx, stream)
	if err != nil {
		return nil, err
	}
	consumers, err := mesh.ListConsumers(ctx, handle)
	if err != nil {
		return nil, err
	}
	var units []*unit
	for _, info := range consumers {
		if served, ok := mesh.ServedBy(info.Config); ok {
			units = append(units, &unit{stream: stream, durable: info.Name, served: served, created: info.Created})
		}
	}
	return units, nil
}

// listed takes in what a stream's consumers are.
func (c *Crew) listed(stream string, found []*unit) {
	c.mu.Lock()
	defer c.mu.Unlock()
	is := map[string]*unit{}
	for _, u := range found {
		is[u.key()] = u
	}
	for key, u := range c.units {
		if now := is[key]; u.stream == stream && (now == nil || !now.created.Equal(u.created)) {
			c.drop(u)
			u.gone = true
			if u.binding == nil && !u.claiming {
				delete(c.units, key)
			}
		}
	}
	for key, u := range is {
		if known := c.units[key]; known != nil {
			known.served = u.served
		} else {
			u.free = time.Now()
			c.units[key] = u
		}
	}
	for _, r := range c.runners {
		r.seen(stream, slices.ContainsFunc(found, func(u *unit) bool { return u.served.Subscriber == r.Subscriber.Name }))
	}
}

// forgetUnit forgets a consumer that is no more; one that was made anew under its name is looked for at once.
// The caller holds the lock.
func (c *Crew) forgetUnit(u *unit) {
	if c.units[u.key()] == u {
		delete(c.units, u.key())
	}
	signal(c.looks)
}
