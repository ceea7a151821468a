package notification

import (
	"bytes"
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/genesys/cloud"
)

func TestBackoffDoublesUpToTheMost(t *testing.T) {
	b := backoff{time.Second, time.Minute}
	assert.Zero(t, b.wait(0), "the first attempt is made at once")
	for failures, most := range map[int]time.Duration{1: time.Second, 2: 2 * time.Second, 5: 16 * time.Second, 7: time.Minute, 1000: time.Minute} {
		seen := map[time.Duration]bool{}
		for range 100 {
			wait := b.wait(failures)
			assert.LessOrEqual(t, wait, most)
			assert.GreaterOrEqual(t, wait, most/2)
			seen[wait] = true
		}
		assert.Greater(t, len(seen), 50, "jitter")
	}
}

func TestChannelsAreRenewedWithTimeToSpare(t *testing.T) {
	b := &Bridge{options: withDefaults(Options{})}
	now := time.Now()
	for life, want := range map[time.Duration]time.Duration{
		24 * time.Hour:   21*time.Hour + 36*time.Minute,
		10 * time.Minute: 9 * time.Minute,
		time.Second:      time.Minute, // a clock is wrong: not more often than that
		-time.Hour:       time.Minute,
	} {
		assert.Equal(t, want, b.renewal(cloud.Channel{Expires: now.Add(life)}, now), life)
	}
}

func TestAnOutageIsLoggedOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		log := logrus.New()
		log.SetOutput(&text)
		o := outage{log: log, begins: "away", ends: "back", quiet: quietTime}
		o.succeed()
		assert.Empty(t, text.String())
		for range 100 {
			o.fail(errors.New("why"))
			time.Sleep(time.Second)
			o.succeed() // in between some things go well
		}
		assert.Equal(t, 1, strings.Count(text.String(), "away"))
		assert.NotContains(t, text.String(), "back")
		time.Sleep(quietTime)
		o.succeed()
		o.succeed()
		assert.Equal(t, 1, strings.Count(text.String(), "back"))
		assert.Contains(t, text.String(), "times=100")
		o.fail(errors.New("why"))
		assert.Equal(t, 2, strings.Count(text.String(), "away"))
	})
}

// TestRetriesKeepTheSchedule forwards a frame to a source that fails, asks to wait, and refuses.
func TestRetriesKeepTheSchedule(t *testing.T) {
	for name, c := range map[string]struct {
		answers []error
		least   time.Duration
		most    time.Duration
	}{
		"taken":                 {[]error{nil}, 0, 0},
		"refused for good":      {[]error{&Refusal{413}}, 0, 0},
		"away for a while":      {[]error{errors.New("away"), errors.New("away"), errors.New("away"), nil}, 3500 * time.Millisecond, 7 * time.Second},
		"asks to wait":          {[]error{&unavailable{503, 30 * time.Second}, nil}, 30 * time.Second, 30 * time.Second},
		"asks without a time":   {[]error{&unavailable{500, 0}, nil}, 500 * time.Millisecond, time.Second},
		"its key comes later":   {[]error{&Refusal{401}, &Refusal{401}, nil}, 1500 * time.Millisecond, 3 * time.Second},
		"its key never comes":   {[]error{&Refusal{401}, &Refusal{401}, &Refusal{401}, &Refusal{401}, &Refusal{401}}, 7500 * time.Millisecond, 15 * time.Second},
		"its path comes later":  {[]error{&Refusal{404}, nil}, 500 * time.Millisecond, time.Second},
		"gone and then refused": {[]error{errors.New("away"), &Refusal{400}}, 500 * time.Millisecond, time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				tries := 0
				log := logrus.New()
				log.SetOutput(new(bytes.Buffer))
				f := newForwarder(&Bridge{log: log, backoff: backoff{time.Second, time.Minute}, options: Options{Forward: func(context.Context, []byte) error {
					tries++
					return c.answers[tries-1]
				}}})
				began := time.Now()
				f.forward(t.Context(), []byte("{}"))
				assert.Equal(t, len(c.answers), tries)
				assert.GreaterOrEqual(t, time.Since(began), c.least)
				assert.LessOrEqual(t, time.Since(began), c.most)
			})
		})
	}
}
