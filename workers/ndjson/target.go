// Package ndjson is the file target: one line of JSON for each event, on disk before the event
// is acknowledged.
package ndjson

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// Scheme is the scheme of the target's URL: "file:relative/path.ndjson", "file:/absolute" or
// "file:///absolute".
const Scheme = "file"

const (
	defaultTimeout     = 10 * time.Second
	defaultRotateBytes = 100 << 20
	// maxCommitBytes bounds the lines of one commit, which holds at least one line.
	maxCommitBytes = 4 << 20
)

// Target appends events to a file. Its methods are safe for concurrent use.
//
// Writes are committed in groups: the lines of all calls that wait while one commit is under
// way are written and fsynced together by the next. There is no timer; a lone event is
// committed at once. What waits is bounded by the calls under way.
type Target struct {
	timeout time.Duration

	mu         sync.Mutex
	waiting    []*write
	committing bool // a goroutine runs commit
	closed     bool
	idle       sync.Cond // committing became false

	fileMu sync.Mutex // taken after mu, if both are
	file   *file
}

// write is one call's line and, once it is settled, its outcome.
type write struct {
	line    []byte
	settled chan error // has room for one
}

var errClosed = errors.New("the file target is closed")

// New opens the file of a subscriber's target, and makes it and its folder where they don't
// exist. A torn last line, which a crash left and nobody was promised, is cut off.
//
// A file has one writer at a time, which holds the lock "<file>.lock". If that is another
// process, New succeeds all the same and events wait until it lets go: so a new process can
// start before the old one has ended.
func New(target mesh.Target, subscriber string, log logrus.FieldLogger) (*Target, error) {
	path, err := parsePath(target)
	if err != nil {
		return nil, fmt.Errorf("target of subscriber %s: %w", subscriber, err)
	}
	log = log.WithFields(logrus.Fields{"subscriber": subscriber, "file": path})
	f := newFile(path, cmp.Or(target.RotateBytes, defaultRotateBytes), log)
	if err := f.ready(); errors.Is(err, errLocked) {
		log.Warn("another process writes the target's file; events wait until it ends")
	} else if err != nil {
		return nil, fmt.Errorf("target of subscriber %s: %w", subscriber, errors.Join(err, f.close()))
	}
	t := &Target{file: f, timeout: cmp.Or(time.Duration(target.Timeout), defaultTimeout)}
	t.idle.L = &t.mu
	return t, nil
}

// Check finds what New would refuse whatever is on the disk. Its error is a *mesh.FieldError.
func Check(target mesh.Target) error {
	_, err := parsePath(target)
	return mesh.Within("url", err)
}

func parsePath(target mesh.Target) (string, error) {
	u, err := url.Parse(target.URL)
	if err != nil {
		return "", errors.New("it can't be read as a URL") // whose error would quote it
	}
	path := u.Path
	if u.Opaque != "" {
		if path, err = url.PathUnescape(u.Opaque); err != nil {
			return "", fmt.Errorf("the path of %s: %w", target.Display(), err)
		}
	}
	if u.Scheme != Scheme || u.Host != "" || u.RawQuery != "" || u.Fragment != "" ||
		path == "" || strings.HasSuffix(path, "/") || strings.ContainsRune(path, 0) {
		return "", fmt.Errorf(`%s is not of the form "file:path/to/name.ndjson"`, target.Display())
	}
	return filepath.Clean(path), nil
}

// Handle returns nil once the event's line is on disk. Every failure is the file's and not the
// event's, so the subscriber waits and no attempt is spent. A call that was given up may have
// written its line: readers tell repeated lines by their idempotency_key.
func (t *Target) Handle(ctx context.Context, event mesh.Event) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("write to %s: %w", t.file.path, err)
	}
	w := &write{line: encodeLine(event), settled: make(chan error, 1)}
	if err := t.enqueue(w); err != nil {
		return err
	}
	timeout := time.NewTimer(t.timeout)
	defer timeout.Stop()
	select {
	case err := <-w.settled:
		return err
	case <-ctx.Done():
		t.withdraw(w)
		return fmt.Errorf("write to %s: %w", t.file.path, ctx.Err())
	case <-timeout.C:
		t.withdraw(w)
		return workers.RetryAfter(0, fmt.Errorf("%s did not take the event within %s", t.file.path, t.timeout))
	}
}

func (t *Target) enqueue(w *write) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed {
		return errClosed
	}
	t.waiting = append(t.waiting, w)
	if !t.committing {
		t.committing = true
		go t.commit()
	}
	return nil
}

// withdraw takes back a write that no commit has begun.
func (t *Target) withdraw(w *write) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.waiting = slices.DeleteFunc(t.waiting, func(other *write) bool { return other == w })
}

// commit writes group after group until nobody waits.
func (t *Target) commit() {
	for {
		group := t.take()
		if len(group) == 0 {
			return
		}
		err := t.write(group)
		for _, w := range group {
			w.settled <- err
		}
	}
}

// take is the next group: the writes that wait, as far as they fit into one commit. An empty
// group ends the committing.
func (t *Target) take() []*write {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.waiting) == 0 {
		t.committing = false
		t.idle.Broadcast()
		return nil
	}
	n, size := 0, 0
	for n < len(t.waiting) && (n == 0 || size+len(t.waiting[n].line) <= maxCommitBytes) {
		size += len(t.waiting[n].line)
		n++
	}
	group := t.waiting[:n:n]
	t.waiting = slices.Clone(t.waiting[n:])
	return group
}

func (t *Target) write(group []*write) error {
	lines := group[0].line
	if len(group) > 1 {
		lines = nil
		for _, w := range group {
			lines = append(lines, w.line...)
		}
	}
	t.fileMu.Lock()
	defer t.fileMu.Unlock()
	if err := t.file.append(lines); err != nil {
		return workers.RetryAfter(0, err)
	}
	return nil
}

// Reopen closes the file and opens its path anew: for logrotate, after it moved the file.
func (t *Target) Reopen() error {
	t.mu.Lock()
	closed := t.closed
	t.mu.Unlock()
	if closed {
		return errClosed
	}
	t.fileMu.Lock()
	defer t.fileMu.Unlock()
	return t.file.reopen()
}

// Close waits for the writes under way and closes the file.
func (t *Target) Close() error {
	t.mu.Lock()
	t.closed = true
	for t.committing {
		t.idle.Wait()
	}
	t.mu.Unlock()

	t.fileMu.Lock()
	defer t.fileMu.Unlock()
	return t.file.close()
}
