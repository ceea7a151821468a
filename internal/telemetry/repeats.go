package telemetry

import (
	"context"
	"fmt"
	"maps"
	"regexp"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/sirupsen/logrus"
)

const (
	// repeatsFor is for how long a warning or an error that was logged is counted when it comes again.
	repeatsFor = 10 * time.Second
	// maxRepeats bounds the different ones that are remembered.
	maxRepeats = 1000
	// fieldRepeated is how often an entry came since it was logged last, itself not counted.
	fieldRepeated = "repeated"
	// maxKeyBytes bounds how much of an error tells it from others.
	maxKeyBytes = 200
)

// repeatFields are the fields that tell a warning from another of the same words. Those that name single events don't, or a target that is down
// would fill the disk.
var repeatFields = []string{"component", "subscriber", "source", "stream", "consumer", "target", "reason", "status", "process", "file"}

// varying is what of an error's text may differ between two that are the same to a person.
var varying = regexp.MustCompile(`[0-9a-fA-F]{8}[0-9a-fA-F-]*|[0-9]+`)

// repeats is a Formatter that leaves out warnings and errors that were logged a moment ago, and logs the newest of them with their number once that
// moment is over. At level debug it leaves out nothing. It has a mutex of its own: logrus formats entries outside of its lock.
type repeats struct {
	logrus.Formatter
	logger *logrus.Logger

	mu        sync.Mutex
	seen      *simplelru.LRU[string, *repeat]
	forgotten []*repeat // for want of room, and not yet told
}

// repeat is an entry that was logged, and what came of its kind since.
type repeat struct {
	until  time.Time
	held   int
	newest *logrus.Entry // of those that were held
	timer  *time.Timer
}

func newRepeats(logger *logrus.Logger, inner logrus.Formatter) *repeats {
	r := &repeats{Formatter: inner, logger: logger}
	// It fails only for a size below 1.
	r.seen, _ = simplelru.NewLRU(maxRepeats, func(_ string, old *repeat) {
		old.stop()
		r.forgotten = append(r.forgotten, old)
	})
	return r
}

// Format is nothing for an entry that is held back: logrus then writes no bytes.
func (r *repeats) Format(entry *logrus.Entry) ([]byte, error) {
	mayBeHeld := entry.Level == logrus.WarnLevel || entry.Level == logrus.ErrorLevel // what ends the process is told at once
	if !mayBeHeld || r.logger.IsLevelEnabled(logrus.DebugLevel) || isTally(entry.Context) {
		return r.Formatter.Format(entry)
	}
	isHeld, forgotten := r.hold(repeatKey(entry), entry)
	for _, old := range forgotten {
		logTally(old.newest, old.held)
	}
	if isHeld {
		return nil, nil
	}
	return r.Formatter.Format(entry)
}

// hold reports whether an entry is held back, and what was forgotten to remember it.
func (r *repeats) hold(key string, entry *logrus.Entry) (isHeld bool, forgotten []*repeat) {
	now := entry.Time
	r.mu.Lock()
	defer r.mu.Unlock()
	known, ok := r.seen.Get(key)
	if !ok || !now.Before(known.until) && known.held == 0 {
		r.seen.Add(key, &repeat{until: now.Add(repeatsFor)})
		forgotten, r.forgotten = r.forgotten, nil
		return false, forgotten
	}
	if known.held++; known.held == 1 {
		known.timer = time.AfterFunc(max(known.until.Sub(now), 0), func() { r.tell(key) })
	}
	known.newest = &logrus.Entry{Logger: r.logger, Level: entry.Level, Message: entry.Message, Data: maps.Clone(entry.Data)}
	return true, nil
}

// tell logs what was held of a kind, which counts as one that was logged.
func (r *repeats) tell(key string) {
	r.mu.Lock()
	known, ok := r.seen.Get(key)
	if !ok || known.held == 0 {
		r.mu.Unlock()
		return
	}
	newest, held := known.newest, known.held
	known.stop()
	known.held, known.newest, known.until = 0, nil, time.Now().Add(repeatsFor)
	r.mu.Unlock()
	logTally(newest, held)
}

// logTally writes the newest of entries that were held back, and their number; nothing if there is none.
func logTally(newest *logrus.Entry, held int) {
	if held == 0 {
		return
	}
	newest.WithContext(context.WithValue(context.Background(), tallyKey{}, true)).
		WithField(fieldRepeated, held).Log(newest.Level, newest.Message)
}

// flush tells all that is held.
func (r *repeats) flush() {
	r.mu.Lock()
	keys := r.seen.Keys()
	r.mu.Unlock()
	for _, key := range keys {
		r.tell(key)
	}
}

func (r *repeat) stop() {
	if r.timer != nil {
		r.timer.Stop()
	}
}

type tallyKey struct{}

// isTally tells what logTally writes.
func isTally(ctx context.Context) bool { return ctx != nil && ctx.Value(tallyKey{}) != nil }

// repeatKey is the same for entries that are the same to a person.
func repeatKey(entry *logrus.Entry) string {
	key := entry.Level.String() + "\x00" + entry.Message
	for _, field := range repeatFields {
		if value, ok := entry.Data[field]; ok {
			key += "\x00" + field + "=" + fmt.Sprint(value)
		}
	}
	if err, ok := entry.Data[logrus.ErrorKey]; ok {
		text := fmt.Sprint(err)
		key += "\x00" + varying.ReplaceAllString(text[:min(len(text), maxKeyBytes)], "#")
	}
	return key
}

// FlushLog logs how often the warnings and errors that were held back came, so that no count is lost when the process ends.
func FlushLog(log *logrus.Logger) {
	if r, ok := log.Formatter.(*repeats); ok {
		r.flush()
	}
}
