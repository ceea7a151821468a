//go:build fault

package fault

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/fault/ledger"
)

// copied are the streams that the second site copies, as docs/second-site.md lists them.
var copied = []string{"QUARANTINE", "INTERACTIONS", "DEAD_LETTERS", "DELIVERIES", "AUDIT"}

const (
	// lateFor is how old an event may be, when the first site dies, that the second one does not have: the way there and back, and much slack.
	lateFor = 5 * time.Second
	// margin is how much further back than their last known delivery the subscribers of the second site begin.
	margin = 10 * time.Second
	// atOnce is how many events the senders have under way. What the first site handed on and did not answer is sent again to the second one,
	// which may not have it.
	atOnce = 16
)

// TestTheSecondSite does what docs/second-site.md says, with the files that it names: a site is copied over a long line, which breaks once, and
// dies as a whole; the other takes its place. What the copy lacks is counted, and handed out when the first site's disks are back.
func TestTheSecondSite(t *testing.T) {
	l := ledger.New()
	nodes := rounds(1, 3)
	network := newLAN(t, 2*nodes)
	crm, analytics := subscribe(t, l, "crm", lanPrefix+"1"), subscribe(t, l, "analytics", lanPrefix+"1")
	streams := writeConfiguration(t, siteConfiguration(nodes, crm, analytics))
	east, west, far := newPlaces(t, network, nodes)
	east.start()
	east.apply(streams, "all")
	west.start()
	west.copy(east)
	east.serve(streams)

	front := newLine(t, lanPrefix+"1:0", 0)
	front.lead(east.http())
	theLineBreaks(t, l, front, far, east, west)

	load := send(t, l, "site", atOnce, 2*time.Millisecond, front.addr())
	load.more(300, time.Minute)
	before := l.Tally().Answered
	pause(t.Context(), lateFor)
	for _, line := range far {
		line.cut() // what is under way is gone with the site
	}
	east.die()
	front.cut()
	late := l.Tally().Answered - before

	began := time.Now()
	west.promote()
	start := west.lastTime("DELIVERIES").Add(-margin)
	again := west.storedSince(start)
	west.apply(streams, start.Format(time.RFC3339Nano))
	west.restart()
	west.serve(streams)
	took := time.Since(began)
	west.knowsAllAgain(load)
	front.lead(west.http())
	load.more(300, time.Minute)
	load.stop()
	v := settledWhere(t, l, west.js, 2*time.Minute, onlyTheRestLacks, crm, analytics)
	lost := v.Lost
	figure(t, "P1", "the first of two sites gone, nodes at each: %d, at %d events a second over a line of %s: "+
		"%d of %d answered events not at the second, which takes events after %s",
		nodes, late/int(lateFor/time.Second), 2*longWay, len(lost), l.Tally().Answered, took.Round(100*time.Millisecond))
	assert.LessOrEqual(t, len(lost), late)
	assert.Positive(t, v.Doubled["crm"], "subscribers begin before the end: else what was under way is missing")
	doubledAtMost(t, v, again+atOnce)

	left := east.handOut(streams, crm, analytics)
	v = settledWhere(t, l, west.js, 2*time.Minute, onlyHistoryLacks(lost), crm, analytics)
	doubledAtMost(t, v, again+atOnce+left)

	for i, line := range far {
		line.lead(east.addrs[i] + ":7422")
	}
	east.start()
	west.dial(true)
	onlyOneStores(t, west, east, nats.NewMsg("genesys.00.interaction.call.onlyHere"))
	west.dial(false)
	east.copyAnew(west)
	east.catchesUp(west)
	assert.Equal(t, west.messages("INTERACTIONS"), east.messages("INTERACTIONS"))
}

// theLineBreaks while events come, and is there again.
func theLineBreaks(t testing.TB, l *ledger.Ledger, front *line, far []*line, east, west *place) {
	t.Helper()
	load := send(t, l, "cut", atOnce, 2*time.Millisecond, front.addr())
	load.more(300, time.Minute)
	for _, line := range far {
		line.cut()
	}
	load.more(300, time.Minute)
	load.stop()
	assert.Greater(t, east.last("INTERACTIONS")-west.last("INTERACTIONS"), uint64(100), "the line is cut: else nothing is tried")
	for i, line := range far {
		line.lead(east.addrs[i] + ":7422")
	}
	west.catchesUp(east)
}

// handOut lets a site that is no longer the first hand to its subscribers what they have still to get, and returns how much that was.
func (p *place) handOut(streams string, subscribers ...*subscriber) (left int) {
	p.t.Helper()
	p.start() // without an ingress
	left = p.waiting(subscribers...)
	p.work(streams)
	deadline := time.Now().Add(time.Minute)
	for p.waiting(subscribers...) > 0 {
		require.True(p.t, time.Now().Before(deadline), "it does not hand out what it has")
		pause(p.t.Context(), 100*time.Millisecond)
	}
	p.die()
	return left
}

// onlyOneStores shows what the list of deploy/nats/site-user.conf is for: with it a publication at one site stays there, without it both take it.
func onlyOneStores(t testing.TB, at, other *place, event *nats.Msg) {
	t.Helper()
	atOther := other.last("INTERACTIONS")
	publish := func() {
		_, err := at.js.PublishMsg(t.Context(), event, jetstream.WithExpectStream("INTERACTIONS"))
		require.NoError(t, err)
		require.NoError(t, at.nc.FlushTimeout(5*time.Second))
	}
	publish()
	pause(t.Context(), time.Second) // for what must not come
	require.Equal(t, atOther, other.last("INTERACTIONS"), "the other site took what was published here")

	permissions := regexp.MustCompile(`(?s)permissions: \{.*\}`)
	other.rewrite("site-user.conf", func(list string) string {
		return permissions.ReplaceAllString(list, `permissions: {publish: {allow: [">"]}, subscribe: {allow: [">"]}}`)
	})
	other.reload()
	at.dial(false) // what a leaf node may is settled when it connects
	at.dial(true)
	require.Eventually(t, func() bool { publish(); return other.last("INTERACTIONS") > atOther }, 30*time.Second, 100*time.Millisecond,
		"without the list both sites take it, too: the list is not what keeps them apart")
}

// siteConfiguration is a streams.json whose subscribers begin where the environment says.
func siteConfiguration(replicas int, subscribers ...*subscriber) []byte {
	var entries []string
	for _, s := range subscribers {
		entries = append(entries, s.entry(`"start": "${SUBSCRIBERS_START}",`))
	}
	more := fmt.Sprintf(`"streams": [
	    {"name": "DELIVERIES", "subjects": ["deliveries.>"], "discard": "old", "max_bytes": 268435456, "allow_direct": true, "num_replicas": %[1]d},
	    {"name": "AUDIT", "subjects": ["audit.>"], "discard": "new", "max_bytes": 67108864, "allow_direct": true, "num_replicas": %[1]d},`, replicas)
	return []byte(strings.Replace(string(configuration(replicas, entries...)), `"streams": [`, more, 1))
}

// onlyTheRestLacks takes a run for good in which nothing is missing but events that the second site never had: Lost names those.
func onlyTheRestLacks(v ledger.Verdict) error {
	missing := map[string][]string{}
	for subscriber, names := range v.Missing {
		missing[subscriber] = without(names, v.Lost)
	}
	v.Lost, v.Missing = nil, missing
	return v.Err()
}

// onlyHistoryLacks takes a run for good in which every subscriber has every event, where those that the second site never had may have come
// late, and are in none of its streams.
func onlyHistoryLacks(lost []string) func(ledger.Verdict) error {
	return func(v ledger.Verdict) error {
		disordered := map[string][]string{}
		for subscriber, names := range v.OutOfOrder {
			disordered[subscriber] = without(names, lost)
		}
		v.Lost, v.OutOfOrder = without(v.Lost, lost), disordered
		return v.Err()
	}
}

func without(names, those []string) []string {
	return slices.DeleteFunc(slices.Clone(names), func(name string) bool { return slices.Contains(those, name) })
}
