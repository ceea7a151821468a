package workers

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

const claimKeys = "claim."

// holding says which process serves a consumer.
type holding struct {
	owner    string // "" if it was let go
	revision uint64
}

// claimState is a claim as it is stored.
type claimState struct {
	Owner string `json:"owner,omitempty"`
}

func (c *Crew) noteClaim(key string, entry jetstream.KeyValueEntry, gone bool) {
	before := c.claims[key]
	if entry.Revision() <= before.revision {
		return
	}
	now := holding{owner: parsedState[claimState](entry, gone).Owner, revision: entry.Revision()}
	c.claims[key] = now
	if u := c.units[key]; u != nil && before.owner != now.owner {
		u.free = time.Now()
	}
}

const (
	// shyness is how long a process leaves a free consumer to the one that should serve it.
	shyness = 3 * time.Second
	// keepTime is how long it then keeps it.
	keepTime = time.Minute
)

// isOurs reports whether a consumer that is not served here should be: it is free, and this process
// is the one to serve it, or that one does not.
func (c *Crew) isOurs(u *unit) bool {
	owner := c.claims[u.key()].owner
	if owner != "" && owner != c.id && c.lives(owner) {
		return false
	}
	if c.preferred(u) == c.id {
		return true
	}
	if time.Since(c.freeSince(u, owner)) < shyness {
		return false
	}
	u.kept = time.Now().Add(keepTime)
	return true
}

// freeSince is since when nobody serves a consumer: its owner let it go, or is gone.
func (c *Crew) freeSince(u *unit, owner string) time.Time {
	if m := c.members[owner]; m != nil && owner != c.id {
		if gone := m.heard.Add(c.Lease); gone.After(u.free) {
			return gone
		}
	}
	return u.free
}

// claim makes a consumer this process' own and serves it, unless another was faster.
func (c *Crew) claim(ctx context.Context, u *unit) {
	taken, err := c.setOwner(ctx, u.key(), c.id)
	c.mu.Lock()
	defer c.mu.Unlock()
	u.claiming = false
	if u.gone {
		defer c.forgetUnit(u)
	}
	r := c.runners[u.served.Subscriber]
	switch {
	case err != nil:
		c.log.WithError(err).WithField("consumer", u.durable).Debug("the consumer could not be claimed")
	case !taken:
	case r == nil || u.gone || ctx.Err() != nil || !c.isAlive():
		c.serving.Go(func() { c.release(u) })
	default:
		c.serve(r, u)
	}
}

// release lets others claim a consumer.
func (c *Crew) release(u *unit) {
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	if _, err := c.setOwner(ctx, u.key(), ""); err != nil {
		c.log.WithError(err).WithField("consumer", u.durable).Debug("the consumer could not be released; its claim ends with the lease")
	}
}

// setOwner changes a claim if nobody else has since we looked.
func (c *Crew) setOwner(ctx context.Context, key, owner string) (bool, error) {
	raw, err := json.Marshal(claimState{Owner: owner})
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	kv, known := c.kv, c.claims[key]
	c.mu.Unlock()
	if owner == "" && known.owner != c.id {
		return false, nil // it is another's by now
	}
	ctx, cancel := context.WithTimeout(ctx, c.Lease/2)
	defer cancel()
	revision, err := kv.Update(ctx, claimKeys+key, raw, known.revision)
	var api *jetstream.APIError
	if errors.As(err, &api) && api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence {
		return false, c.rereadClaim(ctx, kv, key)
	}
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claims[key].revision < revision {
		c.claims[key] = holding{owner, revision}
	}
	return true, nil
}

// rereadClaim takes in what the bucket says of a claim, whatever was known of it: the bucket may have been
// purged, of which no watch tells.
func (c *Crew) rereadClaim(ctx context.Context, kv jetstream.KeyValue, key string) error {
	entry, err := kv.Get(ctx, claimKeys+key)
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.claims, key)
	if err == nil {
		c.noteClaim(key, entry, false)
	}
	return nil
}

// purgeClaim takes the claim of a consumer that is no more out of the bucket, which would fill with those
// of replays.
func (c *Crew) purgeClaim(ctx context.Context, key string) {
	c.mu.Lock()
	delete(c.claims, key)
	c.mu.Unlock()
	if err := c.purge(ctx, claimKeys+key); err != nil {
		c.log.WithError(err).WithField("claim", key).Debug("a claim that is no more stays in the state bucket")
	}
}
