package workers

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

func crewWith(members map[string]*member) *Crew {
	c := NewCrew(CrewOptions{Lease: 6 * time.Second, Logger: quiet()})
	c.serverNow = time.Now()
	c.members = members
	return c
}

func TestWhoLives(t *testing.T) {
	now := time.Now()
	over := exec.Command(os.Args[0], "-test.run", "^$")
	require.NoError(t, over.Run())
	here := machine()
	for name, c := range map[string]struct {
		m     member
		hosts bool
		lives bool
	}{
		"heard of just now":                       {member{heard: now, at: now}, false, true},
		"silent for less than the lease":          {member{heard: now.Add(-5 * time.Second), at: now.Add(-5 * time.Second)}, false, true},
		"silent for longer":                       {member{heard: now.Add(-7 * time.Second), at: now.Add(-7 * time.Second)}, false, false},
		"said goodbye":                            {member{memberState: memberState{Leaves: true}, heard: now, at: now}, false, false},
		"an old sign of life, just read":          {member{heard: now, at: now.Add(-time.Hour)}, false, true},
		"an old sign of life, and no newer since": {member{heard: now.Add(-3 * time.Second), at: now.Add(-time.Hour)}, false, false},
		"hosted the server that we host now":      {member{memberState: memberState{Hosts: true}, heard: now, at: now}, true, false},
		"hosts the server that we use":            {member{memberState: memberState{Hosts: true}, heard: now, at: now}, false, true},
		"of this machine, and its process is no more": {
			member{memberState: memberState{Machine: here, PID: over.ProcessState.Pid()}, heard: now.Add(-3 * time.Second), at: now}, false, here == ""},
		"of this machine, and its process is no more, since just now": {
			member{memberState: memberState{Machine: here, PID: over.ProcessState.Pid()}, heard: now, at: now}, false, true},
		"of this machine, and its process is there": {
			member{memberState: memberState{Machine: here, PID: os.Getppid()}, heard: now.Add(-3 * time.Second), at: now}, false, true},
		"of another machine, whatever its process id": {
			member{memberState: memberState{Machine: "another", PID: over.ProcessState.Pid()}, heard: now.Add(-3 * time.Second), at: now}, false, true},
	} {
		crew := crewWith(map[string]*member{"other": &c.m})
		crew.members[crew.id] = &member{heard: now, at: now}
		crew.Hosts = c.hosts
		assert.Equal(t, c.lives, crew.lives("other"), name)
	}
	crew := crewWith(map[string]*member{})
	assert.True(t, crew.lives(crew.id))
	assert.False(t, crew.lives("nobody"))
	crew.watched = now
	assert.True(t, crew.lives("one that could not be heard of yet"))
}

func TestPartitionsGoAroundTheProcessesAndFewMoveWhenOneComes(t *testing.T) {
	members := map[string]*member{}
	c := crewWith(members)
	join := func(id string) {
		members[id] = &member{memberState: memberState{Subscribers: []string{"crm", "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7"}}, heard: time.Now(), at: time.Now()}
	}
	join("a")
	join("b")
	join("c")
	owners := func(of int) map[string]int {
		counts := map[string]int{}
		for i := range of {
			counts[c.preferred(&unit{served: mesh.Served{Subscriber: "crm", Partition: i + 1, Of: of}})]++
		}
		return counts
	}
	assert.Equal(t, map[string]int{"a": 3, "b": 3, "c": 3}, owners(9))
	assert.Len(t, owners(2), 2)

	single := func() map[string]string {
		owner := map[string]string{}
		for i := range 8 {
			name := fmt.Sprintf("s%d", i)
			owner[name] = c.preferred(&unit{served: mesh.Served{Subscriber: name, Partition: 1, Of: 1}})
		}
		return owner
	}
	before := single()
	join("d")
	for name, owner := range single() {
		assert.Contains(t, []string{before[name], "d"}, owner, "it stays, or goes to the new one")
	}
	delete(members, "d")
	assert.Equal(t, before, single())
	members["a"].Subscribers = nil
	for _, owner := range single() {
		assert.NotEqual(t, "a", owner, "it does not serve them")
	}
}

func TestProcessesThatAreLongGoneLeaveTheBucket(t *testing.T) {
	server := meshtest.Start(t)
	topology := meshtest.Topology(t, `{"sources": [], "streams": [
	  {"name": "DEAD_LETTERS", "subjects": ["dead.>"], "duplicate_window": "10m"},
	  {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
	  {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}], "subscribers": []}`)
	js := server.JetStream()
	meshtest.Apply(t, js, topology)
	state, err := mesh.OpenState(t.Context(), js)
	require.NoError(t, err)
	kv := state.KeyValue()
	for _, id := range []string{"gone", "here"} {
		_, err = kv.Put(t.Context(), memberKeys+id, []byte(`{"subscribers":[]}`))
		require.NoError(t, err)
	}
	now := time.Now()
	c := crewWith(map[string]*member{
		"gone": {heard: now.Add(-time.Hour), at: now.Add(-time.Hour)},
		"here": {heard: now, at: now},
	})
	c.members[c.id] = &member{heard: now, at: now}
	c.JetStream = js
	before, err := kv.Status(t.Context())
	require.NoError(t, err)
	c.forgetOne(t.Context())
	c.forgetOne(t.Context())
	_, err = kv.Get(t.Context(), memberKeys+"gone")
	require.ErrorIs(t, err, jetstream.ErrKeyNotFound)
	_, err = kv.Get(t.Context(), memberKeys+"here")
	require.NoError(t, err)
	status, err := kv.Status(t.Context())
	require.NoError(t, err)
	assert.Equal(t, before.Values()-1, status.Values(), "no marker stays behind")
}

// A process that stood still for longer than its lease hears of itself again before anybody had a look: what it held by then is let
// go, for another may have it.
func TestWhoWasSilentForTooLongHasLetGoBeforeItActsAgain(t *testing.T) {
	c := crewWith(map[string]*member{})
	r := NewRunner(Options{Subscriber: mesh.Subscriber{Name: "crm"}, Logger: quiet(), Metrics: NewMetrics(nil)})
	own, shared := &unit{stream: "S", durable: "crm"}, &unit{stream: "S", durable: "all", served: mesh.Served{Shared: true}}
	for _, u := range []*unit{own, shared} {
		u.binding = newBinding(c, r, u, handover{})
		c.units[u.key()] = u
	}
	hears := func() {
		c.sent = time.Now()
		c.heardOurselves()
	}
	hears()
	require.True(t, own.binding.mayAct())
	c.began = c.began.Add(-c.Lease)
	require.False(t, c.isAlive())

	hears()
	assert.True(t, c.isAlive())
	assert.True(t, own.binding.isFenced())
	assert.False(t, own.binding.mayAct())
	assert.False(t, shared.binding.isFenced(), "it is nobody's alone")
}

// Two processes see that nobody has a consumer. Before the second one writes its claim, it hears of the first one's.
func TestClaimThatWasHeardOfSinceIsNotOverwritten(t *testing.T) {
	server := meshtest.Start(t)
	js := server.JetStream()
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: mesh.StateBucket})
	require.NoError(t, err)
	first, second := NewCrew(CrewOptions{JetStream: js, Logger: quiet()}), NewCrew(CrewOptions{JetStream: js, Logger: quiet()})
	for _, c := range []*Crew{first, second} {
		c.kv = kv
	}
	const key = "INTERACTIONS.crm"
	seen := second.claims[key].revision
	taken, err := first.setOwner(t.Context(), key, first.claims[key].revision, claimState{Owner: first.id})
	require.NoError(t, err)
	require.True(t, taken)
	entry, err := kv.Get(t.Context(), claimKeys+key)
	require.NoError(t, err)
	second.note(entry)
	taken, err = second.setOwner(t.Context(), key, seen, claimState{Owner: second.id})
	require.NoError(t, err)
	assert.False(t, taken)
	assert.Equal(t, first.id, second.claims[key].owner)
}

// What the bucket is asked for arrives after the watch has told of something newer.
func TestClaimThatIsReadAgainIsNotOlderThanWhatWasHeard(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	kv, err := js.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: mesh.StateBucket})
	require.NoError(t, err)
	const key = "INTERACTIONS.crm"
	revision, err := kv.PutString(t.Context(), claimKeys+key, `{"owner": "another"}`)
	require.NoError(t, err)
	c := crewWith(nil)
	c.claims[key] = holding{revision: revision + 5} // let go since
	require.NoError(t, c.rereadClaim(t.Context(), kv, key, 0))
	assert.Equal(t, holding{revision: revision + 5}, c.claims[key])

	require.NoError(t, c.rereadClaim(t.Context(), kv, key, revision+5), "nothing was heard since: the bucket was made anew")
	assert.Equal(t, holding{owner: "another", revision: revision}, c.claims[key])
}

// A process has a claim that it could not let go when it stopped serving the subscriber, because NATS was away. It lives on with others.
func TestClaimOfASubscriberThatIsNotServedIsLetGo(t *testing.T) {
	m := startUnits(t)
	c := NewCrew(CrewOptions{JetStream: m.js, Logger: quiet()})
	inBackground(t, c.Run)
	other := NewRunner(Options{
		JetStream: m.js, Subscriber: m.topology.Subscribers[1], Crew: c, Logger: quiet(), Metrics: NewMetrics(nil),
		Handler: HandlerFunc(func(context.Context, mesh.Event) error { return nil }), DeadLetters: new(buriedLetters),
	})
	inBackground(t, other.Run)
	const key = "INTERACTIONS.crm"
	require.Eventually(t, func() bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.isCurrent && c.units[key] != nil
	}, 15*time.Second, 5*time.Millisecond)
	taken, err := c.setOwner(t.Context(), key, 0, claimState{Owner: c.id})
	require.NoError(t, err)
	require.True(t, taken)
	state, err := mesh.OpenState(t.Context(), m.js)
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		entry, err := state.KeyValue().Get(t.Context(), claimKeys+key)
		return err == nil && !strings.Contains(string(entry.Value()), c.id)
	}, 15*time.Second, 5*time.Millisecond)
}

// units are a mesh with the subscribers crm and erp.
type units struct {
	js       jetstream.JetStream
	topology *mesh.Topology
}

func startUnits(t *testing.T) units {
	t.Helper()
	js := meshtest.Start(t).JetStream()
	topology := meshtest.Topology(t, `{
		"sources": [{"name": "genesys", "path": "/genesys", "preset": "genesys", "secret": "${SECRET:-}", "stream": "INTERACTIONS"}],
		"streams": [
			{"name": "INTERACTIONS", "subjects": ["genesys.>"], "max_age": "1h", "duplicate_window": "10m", "allow_direct": true},
			{"name": "DEAD_LETTERS", "subjects": ["dead.>"]}, {"name": "QUARANTINE", "subjects": ["quarantine.>"]},
			{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
		"subscribers": [
			{"name": "crm", "stream": "INTERACTIONS", "target": {"url": "log:"}},
			{"name": "erp", "stream": "INTERACTIONS", "target": {"url": "log:"}}]}`)
	meshtest.Apply(t, js, topology)
	return units{js, topology}
}

// inBackground runs f until the test ends.
func inBackground(t *testing.T, f func(context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f(ctx) }()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-done) })
}
