package workers

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

const claimKeys = "claim."

// holding says which process serves a consumer.
type holding struct {
	owner    string // "" if it was let go
	revision uint64
	handover handover
}

// claimState is a claim as it is stored.
type claimState struct {
	Owner string `json:"owner,omitempty"`
	// Handover is from before the owner had the consumer.
	Handover handover `json:"handover,omitzero"`
}

func (c *Crew) noteClaim(key string, entry jetstream.KeyValueEntry, gone bool) {
	before := c.claims[key]
	if entry.Revision() <= before.revision {
		return
	}
	state := parsedState[claimState](entry, gone)
	now := holding{owner: state.Owner, revision: entry.Revision(), handover: state.Handover}
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
	claim := c.claims[u.key()]
	owner := claim.owner
	if owner != "" && owner != c.id && c.lives(owner) {
		return false
	}
	if claim.revision == 0 && !c.isNew(u) && time.Since(c.watched) < c.Lease {
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

// isNew reports whether a consumer was made within the lease, and no claim of it can have been lost since. Another one that nobody
// has ever claimed may be served all the same, by processes that did not notice yet that the bucket with their claims was deleted
// or purged.
func (c *Crew) isNew(u *unit) bool {
	return !c.born.IsZero() && u.created.After(c.born) && c.serverNow.Sub(u.created) < c.Lease
}

// hasClaims reports whether a claim of ours is still in the bucket; a purge is told to no watch.
func (c *Crew) hasClaims(ctx context.Context, kv jetstream.KeyValue) bool {
	key := c.anyClaim()
	if key == "" {
		return true
	}
	_, err := kv.Get(ctx, claimKeys+key)
	return !errors.Is(err, jetstream.ErrKeyNotFound)
}

// anyClaim is a claim that is ours, or "".
func (c *Crew) anyClaim() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, u := range c.units {
		if u.binding != nil && !u.served.Shared && !u.gone && u.binding.leaving.Err() == nil && c.claims[key].owner == c.id {
			return key
		}
	}
	return ""
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

// claim makes a consumer this process' own and serves it, unless its claim is no more the one that was seen.
func (c *Crew) claim(ctx context.Context, u *unit, seen uint64, handed handover) {
	taken, err := c.setOwner(ctx, u.key(), seen, claimState{c.id, handed})
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
		c.serving.Go(func() { c.release(u, handed) })
	default:
		u.own = nil
		c.serve(r, u, handed)
	}
}

// release lets others claim a consumer, unless another has already.
func (c *Crew) release(u *unit, handed handover) {
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	c.mu.Lock()
	known := c.claims[u.key()]
	c.mu.Unlock()
	if known.owner != c.id {
		return
	}
	if _, err := c.setOwner(ctx, u.key(), known.revision, claimState{Handover: handed}); err != nil {
		c.log.WithError(err).WithField("consumer", u.durable).Debug("the consumer could not be released yet")
	}
}

// setOwner changes a claim, if it still has the revision that was looked at: what was heard of it since must not count as looked at.
func (c *Crew) setOwner(ctx context.Context, key string, seen uint64, now claimState) (bool, error) {
	raw, err := json.Marshal(now)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	kv := c.kv
	c.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, c.Lease/2)
	defer cancel()
	revision, err := overwrite(ctx, kv, claimKeys+key, raw, seen)
	if mesh.IsConflict(err) {
		return false, c.rereadClaim(ctx, kv, key, seen)
	}
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claims[key].revision < revision {
		c.claims[key] = holding{now.Owner, revision, now.Handover}
	}
	return true, nil
}

// overwrite writes a key of a bucket if its revision is the given one; 0 is a key that is not there.
func overwrite(ctx context.Context, kv jetstream.KeyValue, key string, raw []byte, revision uint64) (uint64, error) {
	if revision == 0 {
		return kv.Create(ctx, key, raw) // Update would not write over the mark of a deletion
	}
	return kv.Update(ctx, key, raw, revision)
}

// rereadClaim takes in what the bucket says of a claim that is no more the one that was seen, though nothing else was heard of it: the bucket
// may have been purged, of which no watch tells.
func (c *Crew) rereadClaim(ctx context.Context, kv jetstream.KeyValue, key string, seen uint64) error {
	entry, err := kv.Get(ctx, claimKeys+key)
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.claims[key].revision != seen {
		return nil // the watch was faster, and what it tells is newer
	}
	delete(c.claims, key)
	if err == nil {
		c.noteClaim(key, entry, false)
	}
	return nil
}

// purgeClaim takes the claim of a consumer that is no more out of the bucket, which would fill with those
// of replays and of former layouts, unless somebody has claimed one that was made anew under its name.
func (c *Crew) purgeClaim(key string) {
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	c.mu.Lock()
	kv, known := c.kv, c.claims[key]
	c.mu.Unlock()
	if known.owner != "" || known.revision == 0 {
		return
	}
	err := kv.Purge(ctx, claimKeys+key, jetstream.LastRevision(known.revision))
	if err != nil && !mesh.IsConflict(err) {
		c.log.WithError(err).WithField("claim", key).Debug("a claim that is no more stays in the state bucket")
	}
}
