package admin

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// series is as many values that go evenly from one to another.
func series(n int, from, to float64) []float64 {
	values := make([]float64, n)
	for i := range values {
		values[i] = from + (to-from)*float64(i)/float64(n-1)
	}
	return values
}

func TestHealthOfSubscribers(t *testing.T) {
	now := time.Date(2026, 1, 2, 14, 30, 0, 0, time.UTC)
	at := now.Add(-28 * time.Minute)
	own, replays := mesh.ConsumerState{Name: "crm"}, mesh.ConsumerState{Name: "crm", Replays: true}
	held := own
	held.PausedUntil = now.Add(time.Hour)
	failed := []live.Error{{Text: "crm answered 500", Last: now.Add(-time.Second)}}
	minute := func(delivered, failed, rejected uint64) map[string]uint64 {
		return map[string]uint64{"delivered": delivered, "failed": failed, "rejected": rejected}
	}
	for name, tc := range map[string]struct {
		edit   func(*Subscriber)
		unread error
		health Health
		why    string
	}{
		"quiet":               {func(*Subscriber) {}, nil, HealthGood, ""},
		"can't be read now":   {func(*Subscriber) {}, errors.New("no leader\nand more"), HealthUnknown, "it can't be read: no leader"},
		"can't be read":       {func(*Subscriber) {}, errors.New("no leader"), HealthUnknown, "it can't be read: no leader"},
		"not applied":         {func(s *Subscriber) { s.Consumers = []mesh.ConsumerState{replays} }, nil, HealthUnknown, "not applied: the server has no consumer of it"},
		"paused":              {func(s *Subscriber) { s.Pause = &mesh.Pause{Since: at, By: "alice", Reason: "upgrade"} }, nil, HealthPaused, "paused since 14:02 UTC by alice: upgrade"},
		"paused until":        {func(s *Subscriber) { s.Pause = &mesh.Pause{Since: at, Until: at.Add(24 * time.Hour)} }, nil, HealthPaused, "paused since 14:02 UTC until 2026-01-03T14:02:00Z"},
		"held by the server":  {func(s *Subscriber) { s.Consumers = []mesh.ConsumerState{held} }, nil, HealthPaused, "the server holds it back until 15:30 UTC"},
		"partly held":         {func(s *Subscriber) { s.Consumers = []mesh.ConsumerState{held, own} }, nil, HealthGood, ""},
		"replays held":        {func(s *Subscriber) { s.Consumers[1].PausedUntil = now.Add(time.Hour) }, nil, HealthGood, ""},
		"paused and failing":  {func(s *Subscriber) { s.Pause, s.Breaker = &mesh.Pause{Since: at}, &mesh.BreakerState{Open: true} }, nil, HealthPaused, "paused since 14:02 UTC"},
		"breaker open":        {func(s *Subscriber) { s.Breaker = &mesh.BreakerState{Open: true, Since: at, Error: "crm answered 503"} }, nil, HealthFailing, "breaker open since 14:02 UTC: crm answered 503"},
		"breaker open long":   {func(s *Subscriber) { s.Breaker = &mesh.BreakerState{Open: true, Since: at.AddDate(0, 0, -1)} }, nil, HealthFailing, "breaker open since 2026-01-01T14:02:00Z"},
		"breaker closed":      {func(s *Subscriber) { s.Breaker = &mesh.BreakerState{Since: at, Error: "crm answered 503"} }, nil, HealthGood, ""},
		"waits":               {func(s *Subscriber) { s.Wait = &mesh.Wait{Since: at, Reason: "crm answered 401"} }, nil, HealthFailing, "waits for its target since 14:02 UTC: crm answered 401"},
		"not served":          {func(s *Subscriber) { s.Served, s.Waiting = false, 1 }, nil, HealthFailing, "nobody serves it, and 1 event waits"},
		"not served, in hand": {func(s *Subscriber) { s.Served, s.InHand, s.Waiting = false, 3, 2 }, nil, HealthFailing, "nobody serves it, and 5 events wait"},
		"nothing to serve":    {func(s *Subscriber) { s.Served = false }, nil, HealthGood, ""},
		"attempts fail":       {func(s *Subscriber) { s.Flow = &live.SubscriberFlow{LastMinute: minute(2, 4, 2), Errors: failed} }, nil, HealthFailing, "most attempts fail: crm answered 500"},
		"they fail in turns":  {func(s *Subscriber) { s.Flow = &live.SubscriberFlow{LastMinute: minute(20, 40, 0), Errors: failed} }, nil, HealthFailing, "most attempts fail: crm answered 500"},
		"some fail":           {func(s *Subscriber) { s.Flow = &live.SubscriberFlow{LastMinute: minute(5, 4, 1), Errors: failed} }, nil, HealthGood, ""},
		"it is well again": {func(s *Subscriber) {
			s.Flow = &live.SubscriberFlow{Out: 1, LastMinute: minute(2, 40, 0), Errors: []live.Error{{Text: "x", Last: now.Add(-11 * time.Second)}}}
		}, nil, HealthGood, ""},
		"nobody tried since": {func(s *Subscriber) {
			s.Flow = &live.SubscriberFlow{LastMinute: minute(0, 4, 0), Errors: []live.Error{{Text: "x", Last: now.Add(-11 * time.Second)}}}
		}, nil, HealthFailing, "most attempts fail: x"},
		"failed long ago": {func(s *Subscriber) {
			s.Flow = &live.SubscriberFlow{LastMinute: minute(0, 4, 0), Errors: []live.Error{{Text: "x", Last: now.Add(-2 * time.Minute)}}}
		}, nil, HealthGood, ""},
		"waits long":        {func(s *Subscriber) { s.Oldest = &mesh.OldestWaiting{Stored: at} }, nil, HealthSlow, "the oldest event waits since 14:02 UTC"},
		"waits a while":     {func(s *Subscriber) { s.Oldest = &mesh.OldestWaiting{Stored: now.Add(-99 * time.Second)} }, nil, HealthGood, ""},
		"lag grows":         {func(s *Subscriber) { s.Waiting, s.Flow = 900, &live.SubscriberFlow{LagSeries: series(30, 0, 900)} }, nil, HealthSlow, "falls behind, 900 events wait, and it becomes more"},
		"lag stays":         {func(s *Subscriber) { s.Flow = &live.SubscriberFlow{LagSeries: series(30, 900, 901)} }, nil, HealthGood, ""},
		"lag shrinks":       {func(s *Subscriber) { s.Flow = &live.SubscriberFlow{LagSeries: series(30, 900, 0)} }, nil, HealthGood, ""},
		"lag is small":      {func(s *Subscriber) { s.Flow = &live.SubscriberFlow{LagSeries: series(30, 0, 90)} }, nil, HealthGood, ""},
		"lag was caught up": {func(s *Subscriber) { s.Flow = &live.SubscriberFlow{LagSeries: append(series(30, 0, 900), 0)} }, nil, HealthGood, ""},
		"lag for a moment":  {func(s *Subscriber) { s.Flow = &live.SubscriberFlow{LagSeries: []float64{0, 900}} }, nil, HealthGood, ""},
		"a dead letter":     {func(s *Subscriber) { s.DeadLetters = 1 }, nil, HealthStuck, "1 dead letter waits for somebody"},
		"slow, dead letters": {func(s *Subscriber) {
			s.DeadLetters, s.Oldest = 3, &mesh.OldestWaiting{Stored: at}
		}, nil, HealthSlow, "the oldest event waits since 14:02 UTC"},
		"dead letters":         {func(s *Subscriber) { s.DeadLetters = 3 }, nil, HealthStuck, "3 dead letters wait for somebody"},
		"nothing flows at all": {func(s *Subscriber) { s.Flow = &live.SubscriberFlow{} }, nil, HealthGood, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := Subscriber{SubscriberState: mesh.SubscriberState{Name: "crm", Served: true, Consumers: []mesh.ConsumerState{own, replays}}}
			tc.edit(&s)
			wanted := mesh.Subscriber{Name: "crm", AckWait: mesh.Duration(10 * time.Second)}
			health, why := subscriberHealth(now, wanted, s, tc.unread)
			assert.Equal(t, tc.health, health)
			assert.Equal(t, tc.why, why)
		})
	}
}

func TestHealthOfStreams(t *testing.T) {
	for name, tc := range map[string]struct {
		edit   func(*Stream)
		unread error
		health Health
		why    string
	}{
		"alone":            {func(*Stream) {}, nil, HealthGood, ""},
		"can't be read":    {func(*Stream) {}, errors.New("timeout"), HealthFailing, "it can't be read: timeout"},
		"missing":          {func(s *Stream) { s.Applied = false }, nil, HealthFailing, "the server has no such stream"},
		"no leader":        {func(s *Stream) { s.Replicas, s.Leader = 3, "" }, nil, HealthFailing, "it has no leader"},
		"all replicas":     {func(s *Stream) { s.Replicas, s.Followers = 3, []Replica{{Current: true}, {Current: true}} }, nil, HealthGood, ""},
		"one is offline":   {func(s *Stream) { s.Replicas, s.Followers = 3, []Replica{{Current: true}, {Offline: true}} }, nil, HealthSlow, "1 of 3 replicas are offline"},
		"most are offline": {func(s *Stream) { s.Replicas, s.Followers = 3, []Replica{{Offline: true}, {Offline: true}} }, nil, HealthFailing, "2 of 3 replicas are offline"},
		"one is behind":    {func(s *Stream) { s.Replicas, s.Followers = 3, []Replica{{Current: true}, {Name: "n2", Lag: 7}} }, nil, HealthSlow, "its replica on n2 is 7 behind"},
		"nearly full":      {func(s *Stream) { s.Fill = 0.87 }, nil, HealthSlow, "87 % of its space is used: when it is full it refuses what comes"},
		"full":             {func(s *Stream) { s.Fill = 1 }, nil, HealthFailing, "100 % of its space is used: it refuses what comes"},
		"full of old":      {func(s *Stream) { s.Fill, s.Discard = 1, "old" }, nil, HealthGood, ""},
		"half full":        {func(s *Stream) { s.Fill = 0.5 }, nil, HealthGood, ""},
	} {
		t.Run(name, func(t *testing.T) {
			s := Stream{Name: "INTERACTIONS", Applied: true, Replicas: 1, Leader: "n1", Discard: "new"}
			tc.edit(&s)
			health, why := streamHealth(s, tc.unread)
			assert.Equal(t, tc.health, health)
			assert.True(t, strings.HasPrefix(why, tc.why), why)
			assert.Equal(t, tc.why == "", why == "")
		})
	}
}

func TestWhereNATSIsSlowTheLastNumbersStay(t *testing.T) {
	d, topology := NewDirect(DirectOptions{}), &mesh.Topology{Subscribers: []mesh.Subscriber{{Name: "crm"}}}
	before := d.asKnown(topology, slow)
	assert.Zero(t, before.At, "nothing is known yet")
	assert.Equal(t, HealthUnknown, before.Subscribers[0].Health)
	seen := Overview{At: time.Now(), DeadLetters: 3, Connected: true}
	d.seen.note(seen)
	seen.Problem = slow
	assert.Equal(t, seen, d.asKnown(topology, slow))
	seen.Problem, seen.Connected = away, false
	assert.Equal(t, seen, d.asKnown(topology, away))
}

func TestHealthOfSources(t *testing.T) {
	good := Stream{Name: "INTERACTIONS", Health: HealthGood}
	of := func(pairs ...any) *live.SourceFlow {
		flow := &live.SourceFlow{LastMinute: map[string]uint64{}}
		for i := 0; i < len(pairs); i += 2 {
			flow.LastMinute[pairs[i].(string)] = uint64(pairs[i+1].(int))
		}
		return flow
	}
	refused := of("unauthorized", 6, "accepted", 5)
	for name, tc := range map[string]struct {
		stream      Stream
		flow        *live.SourceFlow
		quarantined uint64
		health      Health
		why         string
	}{
		"nobody watches":      {good, nil, 0, HealthGood, ""},
		"quiet":               {good, &live.SourceFlow{}, 0, HealthGood, ""},
		"its stream fails":    {Stream{Name: "S", Health: HealthFailing, Why: "it has no leader"}, nil, 0, HealthFailing, "its stream S: it has no leader"},
		"its stream is slow":  {Stream{Health: HealthSlow}, nil, 0, HealthGood, ""},
		"signatures fail":     {good, refused, 0, HealthFailing, "6 signatures were refused in the last minute, and 5 deliveries were taken; is the secret right?"},
		"some are forged":     {good, of("unauthorized", 4, "accepted", 2, "duplicate", 1, "quarantined", 1), 0, HealthGood, ""},
		"a stranger tries":    {good, of("unauthorized", 2), 0, HealthGood, ""},
		"none can be stored":  {good, of("unavailable", 1), 0, HealthFailing, "1 request was answered 503 in the last minute; NATS is away, full or slow, or keys can't be had"},
		"some can't be":       {good, of("unavailable", 2, "internal", 1, "accepted", 90), 0, HealthSlow, "3 requests were answered 503 in the last minute"},
		"too many come":       {good, of("rate_limited", 2, "too_many_in_flight", 1, "accepted", 90), 0, HealthSlow, "3 requests were above its limits in the last minute, and answered 429"},
		"much is quarantined": {good, &live.SourceFlow{Accepted: 7, Duplicate: 1, Quarantined: 2}, 0, HealthSlow, "20 % of what comes in goes to quarantine"},
		"some is quarantined": {good, &live.SourceFlow{Accepted: 9, Quarantined: 1}, 0, HealthGood, ""},
		"something waits":     {good, &live.SourceFlow{Accepted: 9}, 1, HealthStuck, "1 event of it is in quarantine"},
		"waits, not watched":  {good, nil, 2, HealthStuck, "2 events of it are in quarantine"},
		"fails, and waits":    {good, refused, 2, HealthFailing, "6 signatures were refused in the last minute, and 5 deliveries were taken; is the secret right?"},
	} {
		t.Run(name, func(t *testing.T) {
			health, why := sourceHealth(tc.stream, tc.flow, tc.quarantined)
			assert.Equal(t, tc.health, health)
			assert.Equal(t, tc.why, why)
		})
	}
}
