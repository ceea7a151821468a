package workers

import (
	"context"
	"encoding/json"
	"hash/fnv"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

const memberKeys = "member."

// member is a worker process.
type member struct {
	memberState
	revision uint64
	// heard is when we last heard of it, by our clock; joined when for the first time.
	heard, joined time.Time
	// at is the server's time of its last sign of life.
	at time.Time
}

// memberState is a sign of life.
type memberState struct {
	// Subscribers are served by the process.
	Subscribers []string `json:"subscribers"`
	Hosts       bool     `json:"hosts,omitempty"`
	// Leaves is true for the last one.
	Leaves bool `json:"leaves,omitempty"`
	// Machine and PID tell who shares them that the process is gone, as after a kill -9. See machine.
	Machine string `json:"machine,omitempty"`
	PID     int    `json:"pid,omitempty"`
}

// longGone is how old, by the server's clock, a sign of life is that says that its process is gone: it
// need not be waited for, if nothing new comes for a moment.
const longGone = 30 * time.Second

func (c *Crew) noteMember(id string, entry jetstream.KeyValueEntry, gone bool) {
	if gone {
		delete(c.members, id)
		return
	}
	now := time.Now()
	m := c.members[id]
	if m == nil {
		m = &member{joined: now}
		c.members[id] = m
	}
	if entry.Revision() == m.revision {
		return // the watch began anew and tells what we know
	}
	m.memberState = parsedState[memberState](entry, false)
	m.revision, m.heard, m.at = entry.Revision(), now, entry.Created()
	if id == c.id && m.revision >= c.revision {
		c.heardOurselves()
	}
}

// heardOurselves: the watch brought our last sign of life, and so every claim before that. That the server
// took it would not do: a watch can be deaf for long after the server came back, and who hears no claims must not act.
// What was held over a silence that was too long may be another's: this process could be alive again before guard had its turn.
// The caller holds the lock.
func (c *Crew) heardOurselves() {
	c.fenceIfSilent()
	c.beaten.Store(int64(max(c.sent.Sub(c.began), 1)))
}

// isAlive reports whether our own sign of life was taken lately enough to act on what we hold.
func (c *Crew) isAlive() bool {
	beaten := time.Duration(c.beaten.Load())
	return beaten > 0 && time.Since(c.began)-beaten < c.fenceAfter()
}

func (c *Crew) fenceAfter() time.Duration { return c.Lease * 3 / 4 }

// lives reports whether a process has given a sign of life within the lease.
func (c *Crew) lives(id string) bool {
	m := c.members[id]
	switch {
	case id == c.id:
		return true
	case m == nil:
		// The watch tells what the bucket held when it began, but for what is written anew right then: that comes behind
		// "this is all". Who lives is heard of within the lease.
		return time.Since(c.watched) < c.Lease
	case m.Leaves:
		return false
	case m.Hosts && c.Hosts:
		return false // one process at a time hosts the server, and that is this one
	}
	// What the watch brought of ourselves meanwhile tells that it would have brought the other's word, too.
	own := c.members[c.id]
	if own == nil {
		return true
	}
	silent := own.heard.Sub(m.heard)
	if m.Machine != "" && m.Machine == c.machine && m.PID != os.Getpid() && isGone(m.PID) {
		return silent < c.Lease/3 // so long that what it sent last is with its target
	}
	if c.serverNow.Sub(m.at) > longGone {
		return silent < c.Lease/3
	}
	return silent < c.Lease
}

// serversOf are the living processes that serve a subscriber, this one if it does. Their order is the
// subscriber's own (rendezvous hashing), so that the subscribers are spread over the processes and
// few move when one comes or goes.
func (c *Crew) serversOf(subscriber string) []string {
	var servers []string
	for id, m := range c.members {
		if id != c.id && c.lives(id) && slices.Contains(m.Subscribers, subscriber) {
			servers = append(servers, id)
		}
	}
	if c.runners[subscriber] != nil {
		servers = append(servers, c.id)
	}
	slices.SortFunc(servers, func(a, b string) int {
		x, y := score(a, subscriber), score(b, subscriber)
		switch {
		case x > y:
			return -1
		case x < y:
			return 1
		}
		return strings.Compare(a, b)
	})
	return servers
}

func score(id, subscriber string) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(id + "\x00" + subscriber)) // a hash never fails
	return h.Sum64() * 0x9E3779B97F4A7C15 >> 1       // FNV alone hardly moves the upper bits at the end
}

// preferred is the process that should serve a consumer: the partitions of a subscriber go around
// its processes. The consumer of its replays goes with the first, so that both take turns in one
// process where there is one partition.
func (c *Crew) preferred(u *unit) string {
	servers := c.serversOf(u.served.Subscriber)
	if len(servers) == 0 {
		return ""
	}
	return servers[(u.served.Partition-1)%len(servers)]
}

// beat gives signs of life until ctx ends.
func (c *Crew) beat(ctx context.Context, kv jetstream.KeyValue, again func()) {
	ticker := time.NewTicker(c.Lease / 6)
	defer ticker.Stop()
	for {
		if !c.beatOnce(ctx, kv) {
			again()
			return
		}
		c.forgetOne(ctx)
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// beatOnce reports false if the watch has to begin again: the bucket was made anew, so that its revisions count
// from one again, or purged, or the watch is deaf.
func (c *Crew) beatOnce(ctx context.Context, kv jetstream.KeyValue) bool {
	raw, err := json.Marshal(c.signOfLife())
	if err != nil {
		return true
	}
	ctx, cancel := context.WithTimeout(ctx, c.Lease/2)
	defer cancel()
	sent := time.Now()
	revision, err := kv.Put(ctx, memberKeys+c.id, raw)
	if err != nil {
		c.log.WithError(err).Debug("a sign of life was not taken")
		return true
	}
	entry, err := kv.Get(ctx, memberKeys+c.id)
	hasClaims := c.hasClaims(ctx, kv)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.isAlive() {
		// We heard nothing for a while, and so of nobody else: that says nothing about them.
		for _, m := range c.members {
			m.heard = time.Now()
		}
	}
	remade := revision < c.revision
	c.revision = revision
	if remade {
		delete(c.members, c.id) // its revision is of the bucket before
	}
	if remade || !hasClaims {
		return false // and no sign of life: what was ours may be claimed by who never heard of it
	}
	c.sent = sent
	if own := c.members[c.id]; own != nil && own.revision >= revision { // the watch was faster
		c.heardOurselves()
	}
	if heard := c.began.Add(time.Duration(c.beaten.Load())); sent.Sub(heard) > c.Lease/2 && sent.Sub(c.watched) > c.Lease/2 {
		return false
	}
	if err == nil {
		c.serverNow = entry.Created()
	}
	c.wake()
	return true
}

func (c *Crew) signOfLife() memberState {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := memberState{Hosts: c.Hosts, Subscribers: []string{}, Machine: c.machine, PID: os.Getpid()}
	for name := range c.runners {
		s.Subscribers = append(s.Subscribers, name)
	}
	slices.Sort(s.Subscribers)
	return s
}

// guard stops the service of what is ours alone when no sign of life was taken for too long.
func (c *Crew) guard(ctx context.Context) {
	ticker := time.NewTicker(c.Lease / 24)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			c.mu.Lock()
			c.fenceIfSilent()
			c.mu.Unlock()
		}
	}
}

// fenceIfSilent lets go of what is ours alone if no sign of life was taken for too long; the caller holds the lock.
func (c *Crew) fenceIfSilent() {
	if c.beaten.Load() == 0 || c.isAlive() {
		return
	}
	for _, u := range c.units {
		if u.binding != nil && !u.served.Shared {
			u.binding.fence(wasSilent)
		}
	}
}

// resign tells the others that this process is gone.
func (c *Crew) resign() {
	c.mu.Lock()
	kv := c.kv
	c.mu.Unlock()
	if kv == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), apiTimeout)
	defer cancel()
	raw, err := json.Marshal(memberState{Subscribers: []string{}, Leaves: true})
	if err == nil {
		_, err = kv.Put(ctx, memberKeys+c.id, raw)
	}
	if err != nil {
		c.log.WithError(err).Debug("the other processes were not told of the end")
	}
}

// buryAfter is how old, by the server's clock, the last sign of life of a process is that is forgotten.
const buryAfter = 10 * time.Minute

// forgetOne takes one process that is long gone out of the bucket, so that those that were killed don't
// fill it. A delete of the key would leave a marker.
func (c *Crew) forgetOne(ctx context.Context) {
	c.mu.Lock()
	gone := ""
	for id, m := range c.members {
		if !c.lives(id) && c.serverNow.Sub(m.at) > buryAfter {
			gone = id
			delete(c.members, id)
			break
		}
	}
	c.mu.Unlock()
	if gone == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, c.Lease/6) // our next sign of life waits for it
	defer cancel()
	if err := c.purge(ctx, memberKeys+gone); err != nil {
		c.log.WithError(err).WithField("process", gone).Debug("a process that is long gone stays in the state bucket")
	}
}

// purge takes a key out of the bucket without a trace.
func (c *Crew) purge(ctx context.Context, key string) error {
	ctx, cancel := context.WithTimeout(ctx, apiTimeout)
	defer cancel()
	stream, err := c.JetStream.Stream(ctx, "KV_"+mesh.StateBucket)
	if err != nil {
		return err
	}
	return stream.Purge(ctx, jetstream.WithPurgeSubject("$KV."+mesh.StateBucket+"."+key))
}
