//go:build sizing

package main

import (
	"fmt"

	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/require"
)

// filling is how messages differ that fill a stream.
type filling struct {
	name          string
	window        time.Duration
	ids, subjects bool
}

// TestWhatMemoryHolds fills a node with messages alone, with ids in the window, and with subjects: what is live in it grows by what each of them takes.
func TestWhatMemoryHolds(t *testing.T) {
	counts := []int{0, 200_000, 500_000, 1_000_000}
	table := []string{"| in a node | " + joined(counts[1:], func(n int) string { return count(float64(n)) }) + " | for each more |", "|---|--:|--:|--:|--:|"}
	slopes := map[string]float64{}
	for _, f := range []filling{
		{name: "messages of one subject, no window", window: 100 * time.Millisecond},
		{name: "the same with ids in the window", window: 24 * time.Hour, ids: true},
		{name: "messages of a subject each, no window", window: 100 * time.Millisecond, subjects: true},
	} {
		t.Run(f.name, func(t *testing.T) {
			lives := fill(t, f, counts)
			last := len(counts) - 1
			slopes[f.name] = (lives[last] - lives[1]) / float64(counts[last]-counts[1])
			table = append(table, fmt.Sprintf("| %s | %s | %s B |", f.name, joined(lives[1:], inBytes), short(slopes[f.name])))
		})
	}
	plain := slopes["messages of one subject, no window"]
	measured(t, idHeap, slopes["the same with ids in the window"]-plain)
	measured(t, subjectHeap, slopes["messages of a subject each, no window"]-plain)
	tabulate(t, "memory", table...)
}

func joined[T any](values []T, text func(T) string) (line string) {
	for i, v := range values {
		if i > 0 {
			line += " | "
		}
		line += text(v)
	}
	return line
}

// fill brings a stream to these numbers of messages without bodies, and says what is live in the node at each of them.
func fill(t *testing.T, f filling, counts []int) (lives []float64) {
	nodes := startNodes(t, 1, lately)
	js := nodes.connectPatiently()
	_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "FILLED", Subjects: []string{"genesys.>"}, Duplicates: f.window, AllowDirect: true})
	require.NoError(t, err)
	l := life{name: f.name}
	for i, n := range counts {
		if i > 0 {
			publish(t, js, n-counts[i-1], func() *nats.Msg { return f.message(&l) })
		}
		require.EqualValues(t, n, nodes.state(js, "FILLED").State.Msgs)
		lives = append(lives, nodes.all[0].live())
	}
	if f.ids {
		measured(t, resident, nodes.all[0].Resident()/lives[len(lives)-1])
	}
	return lives
}

// message is the next message, with the subjects and ids that genmesh gives.
func (f filling) message(l *life) *nats.Msg {
	interaction, step := l.next()
	m := nats.NewMsg("genesys.07.interaction.call")
	if f.ids {
		id := interaction
		if step > 0 {
			id = fmt.Sprintf("%s#%032d", interaction, step)
		}
		m.Header.Set(jetstream.MsgIDHeader, id)
	}
	if f.subjects {
		m.Subject += fmt.Sprintf(".%s-%d", interaction[:34], step)
	}
	return m
}

// publish stores n messages, a thousand at a time.
func publish(t testing.TB, js jetstream.JetStream, n int, next func() *nats.Msg) {
	t.Helper()
	for n > 0 {
		var last jetstream.PubAckFuture
		var err error
		for range min(n, 1000) {
			last, err = js.PublishMsgAsync(next())
			require.NoError(t, err)
			n--
		}
		select {
		case <-last.Ok():
		case err := <-last.Err():
			require.NoError(t, err)
		}
	}
}

// TestHowLongAStartTakes ends a node that has events, in one way and another, and starts it again.
func TestHowLongAStartTakes(t *testing.T) {
	const some, many = 300_000, 900_000
	table := []string{"| a node with | after a kill -9 | after an orderly end |", "|---|--:|--:|"}
	start := func(what string, window time.Duration, events int) (clean time.Duration) {
		t.Run(what, func(t *testing.T) {
			nodes := startNodes(t, 1, lately)
			js := nodes.connectPatiently()
			_, err := js.CreateStream(t.Context(), jetstream.StreamConfig{Name: "STORED", Subjects: []string{"genesys0.>"}, Duplicates: window, AllowDirect: true})
			require.NoError(t, err)
			publish(t, js, events, storedMessages(what))
			node := nodes.all[0]
			node.Kill()
			killed := node.Start()
			require.EqualValues(t, events, nodes.state(nodes.connect(), "STORED").State.Msgs)
			node.Terminate(time.Minute)
			clean = node.Start()
			require.EqualValues(t, events, nodes.state(nodes.connect(), "STORED").State.Msgs)
			table = append(table, fmt.Sprintf("| %s | %s s | %s s |", what, short(killed.Seconds()), short(clean.Seconds())))
		})
		return clean
	}
	const outside, inside = 100 * time.Millisecond, 24 * time.Hour
	empty := start("no events", inside, 0)
	start("300,000 events outside of the window", outside, some)
	stored := start("900,000 events outside of the window", outside, many)
	known := start("300,000 events inside the window", inside, some)
	perStored := (stored - empty).Seconds() * 1e6 / many
	measured(t, startEmpty, empty.Seconds())
	measured(t, startStored, perStored)
	measured(t, startKnown, (known-empty).Seconds()*1e6/some-perStored)
	tabulate(t, "starts", table...)
}

// storedMessages are messages as genmesh stores them, of 1 KiB.
func storedMessages(name string) func() *nats.Msg {
	l := life{name: name}
	return func() *nats.Msg {
		e := l.event(sourceName(0), 1024)
		e.Subject = sourceName(0) + ".07.interaction.call." + e.Interaction
		return e.Msg(fmt.Sprintf("%s#%d", e.Interaction, l.n))
	}
}
