package telemetry

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// page is what a logger wrote.
type page struct {
	mu   sync.Mutex
	text strings.Builder
}

func (p *page) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.Write(b)
}

type line struct {
	Msg, Level, Error, Subscriber string
	Repeated                      int
}

func (p *page) lines(t *testing.T) (lines []line) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for text := range strings.Lines(p.text.String()) {
		var l line
		require.NoError(t, json.Unmarshal([]byte(text), &l), text)
		lines = append(lines, l)
	}
	return lines
}

func newPage(t *testing.T, level string) (*page, *logrus.Logger) {
	t.Helper()
	p := new(page)
	log, err := NewLogger(p, level, FormatJSON, false)
	require.NoError(t, err)
	return p, log
}

func fails(log *logrus.Logger, subscriber string, n int) {
	log.WithFields(logrus.Fields{"subscriber": subscriber, "interaction": fmt.Sprint("call-", n), "sequence": n}).
		WithError(fmt.Errorf("crm answered 503 after %d ms", n)).Warn("the target failed")
}

func TestWhatRepeatsIsCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, log := newPage(t, "info")
		for i := range 318 {
			fails(log, "crm", i)
		}
		fails(log, "analytics", 7)
		log.Error("the target failed")
		log.Info("fine")
		log.Info("fine")
		assert.Equal(t, []line{
			{Msg: "the target failed", Level: "warning", Error: "crm answered 503 after 0 ms", Subscriber: "crm"},
			{Msg: "the target failed", Level: "warning", Error: "crm answered 503 after 7 ms", Subscriber: "analytics"},
			{Msg: "the target failed", Level: "error"},
			{Msg: "fine", Level: "info"}, {Msg: "fine", Level: "info"},
		}, p.lines(t))

		time.Sleep(repeatsFor)
		synctest.Wait()
		lines := p.lines(t)
		require.Len(t, lines, 6, "the count comes by itself, and for what did not repeat none")
		assert.Equal(t, line{
			Msg: "the target failed", Level: "warning", Error: "crm answered 503 after 317 ms", Subscriber: "crm", Repeated: 317,
		}, lines[5])

		fails(log, "crm", 1)
		assert.Len(t, p.lines(t), 6, "the count was logged a moment ago")
		time.Sleep(3 * repeatsFor)
		synctest.Wait()
		require.Len(t, p.lines(t), 7)
		assert.Equal(t, 1, p.lines(t)[6].Repeated)
		fails(log, "crm", 2)
		lines = p.lines(t)
		require.Len(t, lines, 8, "after a while without it is news again")
		assert.Zero(t, lines[7].Repeated)
	})
}

func TestNoCountIsLostAtTheEnd(t *testing.T) {
	p, log := newPage(t, "info")
	for i := range 5 {
		fails(log, "crm", i)
	}
	FlushLog(log)
	FlushLog(log)
	lines := p.lines(t)
	require.Len(t, lines, 2)
	assert.Equal(t, 4, lines[1].Repeated)
	FlushLog(logrus.New()) // one that holds nothing back
}

func TestDebugLeavesOutNothing(t *testing.T) {
	p, log := newPage(t, "debug")
	for i := range 5 {
		fails(log, "crm", i)
	}
	assert.Len(t, p.lines(t), 5)
	log.SetLevel(logrus.InfoLevel)
	fails(log, "crm", 5)
	fails(log, "crm", 6)
	assert.Len(t, p.lines(t), 6, "a level that is changed counts at once")
}

func TestManyDifferentErrorsTakeBoundedMemoryAndNoCountIsLost(t *testing.T) {
	p, log := newPage(t, "info")
	const different, times = 2 * maxRepeats, 3
	for i := range different {
		entry := log.WithError(errors.New(strings.Repeat("x", 1000))).WithField("source", fmt.Sprint("s", i))
		for range times {
			entry.Warn("odd")
		}
	}
	assert.LessOrEqual(t, log.Formatter.(*repeats).seen.Len(), maxRepeats)
	FlushLog(log)
	told := 0
	for _, line := range p.lines(t) {
		told += max(line.Repeated, 1)
	}
	assert.Equal(t, different*times, told)
}

// Who reads the log after the process is gone wants to see why it ended.
func TestWhatEndsTheProcessIsNeverHeldBack(t *testing.T) {
	p, log := newPage(t, "info")
	for range 3 {
		log.Log(logrus.FatalLevel, "no disk")
	}
	assert.Len(t, p.lines(t), 3)
}

func TestRepeatsFromManyGoroutines(t *testing.T) {
	p, log := newPage(t, "info")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			for i := range 100 {
				fails(log, "crm", i)
			}
		})
	}
	group.Wait()
	FlushLog(log)
	lines := p.lines(t)
	require.Len(t, lines, 2)
	assert.Equal(t, 799, lines[1].Repeated)
}
