package workers

import (
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
)

func TestStallIsWhatNothingExplains(t *testing.T) {
	info := func(change func(*jetstream.ConsumerInfo)) *jetstream.ConsumerInfo {
		i := &jetstream.ConsumerInfo{NumPending: 1, PushBound: true, Config: jetstream.ConsumerConfig{MaxAckPending: 2}}
		change(i)
		return i
	}
	stalled := func(i *jetstream.ConsumerInfo) bool {
		var s stall
		now := time.Now()
		return s.look(i, now) || s.look(i, now.Add(checkInterval))
	}
	assert.True(t, stalled(info(func(*jetstream.ConsumerInfo) {})))
	for why, change := range map[string]func(*jetstream.ConsumerInfo){
		"nothing waits":             func(i *jetstream.ConsumerInfo) { i.NumPending = 0 },
		"as much is out as may be":  func(i *jetstream.ConsumerInfo) { i.NumAckPending = 2 },
		"it is paused":              func(i *jetstream.ConsumerInfo) { i.Paused = true },
		"nobody listens":            func(i *jetstream.ConsumerInfo) { i.PushBound = false },
		"it has a rate":             func(i *jetstream.ConsumerInfo) { i.Config.RateLimit = 1000 },
		"it goes as the events did": func(i *jetstream.ConsumerInfo) { i.Config.ReplayPolicy = jetstream.ReplayOriginalPolicy },
	} {
		assert.False(t, stalled(info(change)), why)
	}
}

// What the server says that waits may be wrong for good: then it is asked less and less often.
func TestStallIsLookedAtLessOftenWithEachTimeInVain(t *testing.T) {
	var s stall
	info := &jetstream.ConsumerInfo{NumPending: 1, PushBound: true, Config: jetstream.ConsumerConfig{MaxAckPending: 2}}
	began, woken := time.Now(), 0
	for after := time.Duration(0); after < time.Hour; after += checkInterval {
		if s.look(info, began.Add(after)) {
			woken++
		}
	}
	assert.Less(t, woken, 70, "about once a minute")
	info.Delivered.Consumer++
	s.look(info, began.Add(time.Hour))
	assert.True(t, s.look(info, began.Add(time.Hour+checkInterval)), "a delivery begins it anew")
}
