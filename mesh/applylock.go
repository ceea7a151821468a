package mesh

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Two runs of apply with different configurations must not take turns in the middle of a switch: one would
// drain what the other has just made. So a run holds a key of the state bucket, as long as it renews it.

const (
	applyKey = "apply"
	// applyLease is after how long without a renewal a run is taken for dead.
	applyLease = 3 * time.Second
	// applyPatience is how long a run waits for another: longer than a switch takes that waits for its drain.
	applyPatience = 30 * time.Second
	applyInterval = 200 * time.Millisecond
)

// applying is who runs apply.
type applying struct {
	By    string    `json:"by"` // host and process
	Since time.Time `json:"since"`
}

var errApplyTaken = fmt.Errorf("another process took this run of apply for dead: %w", ErrPlanAgain)

// lockApply waits until no other process applies. The context that it returns ends when another takes over all the same,
// because this one could not renew in time. Where somebody has just deleted the bucket there is nothing to hold. Whatever consumers
// a run makes are younger than BornKey.
func lockApply(ctx context.Context, js jetstream.JetStream) (context.Context, func(), error) {
	kv, err := js.KeyValue(ctx, StateBucket)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return ctx, func() {}, nil
	}
	if err != nil {
		return nil, nil, err
	}
	host, _ := os.Hostname()
	mine, err := json.Marshal(applying{By: fmt.Sprintf("%s, process %d", host, os.Getpid()), Since: time.Now().UTC()})
	if err != nil {
		return nil, nil, err
	}
	revision, err := takeApply(ctx, kv, mine)
	if err != nil {
		return nil, nil, err
	}
	held, drop := context.WithCancelCause(ctx)
	released, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		keepApply(ctx, kv, mine, revision, released, drop)
	}()
	release := func() { close(released); <-ended; drop(nil) }
	if _, err := kv.Create(held, BornKey, nil); err != nil && !IsConflict(err) {
		cause := context.Cause(held)
		release()
		return nil, nil, errors.Join(cause, fmt.Errorf("mark the state bucket %s: %w", StateBucket, err))
	}
	return held, release, nil
}

// takeApply writes the key, if nobody has it or who has it is dead.
func takeApply(ctx context.Context, kv jetstream.KeyValue, mine []byte) (uint64, error) {
	began := time.Now()
	var seen uint64     // the revision of who has it
	var since time.Time // when we saw that first
	for {
		revision, err := kv.Create(ctx, applyKey, mine)
		if !IsConflict(err) {
			return revision, err
		}
		entry, err := kv.Get(ctx, applyKey)
		switch {
		case errors.Is(err, jetstream.ErrKeyNotFound):
			continue // it has just ended
		case err != nil:
			return 0, err
		case entry.Revision() != seen:
			seen, since = entry.Revision(), time.Now()
		case time.Since(since) > applyLease:
			revision, err := kv.Update(ctx, applyKey, mine, seen)
			if err == nil {
				return revision, nil
			}
		}
		if time.Since(began) > applyPatience {
			var other applying
			_ = json.Unmarshal(entry.Value(), &other) // what can't be read is nobody
			return 0, fmt.Errorf("another apply is under way (%s, since %s), which takes long; try again once it has ended", other.By, other.Since.Format(time.RFC3339))
		}
		select {
		case <-time.After(applyInterval):
		case <-ctx.Done():
			return 0, context.Cause(ctx)
		}
	}
}

// keepApply renews the key until it is released, and deletes it then. Who can't renew it for most of the lease stops, for another
// may have taken it over.
func keepApply(ctx context.Context, kv jetstream.KeyValue, mine []byte, revision uint64, released <-chan struct{}, drop context.CancelCauseFunc) {
	ctx = context.WithoutCancel(ctx)
	ticker := time.NewTicker(applyLease / 5)
	defer ticker.Stop()
	renewed := time.Now()
	for {
		select {
		case <-ticker.C:
			sent := time.Now()
			now, err := renewApply(ctx, kv, mine, revision)
			switch {
			case err == nil:
				revision, renewed = now, sent
			case errors.Is(err, errApplyTaken), time.Since(renewed) > applyLease*3/4:
				drop(errApplyTaken)
				<-released
				return
			}
		case <-released:
			_ = kv.Delete(ctx, applyKey, jetstream.LastRevision(revision)) // else it ends with its lease
			return
		}
	}
}

func renewApply(ctx context.Context, kv jetstream.KeyValue, mine []byte, revision uint64) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, applyLease/3)
	defer cancel()
	now, err := kv.Update(ctx, applyKey, mine, revision)
	if !IsConflict(err) {
		return now, err
	}
	entry, err := kv.Get(ctx, applyKey)
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), err == nil && !bytes.Equal(entry.Value(), mine):
		return 0, errApplyTaken
	case err != nil:
		return 0, err
	}
	return kv.Update(ctx, applyKey, mine, entry.Revision()) // the answer to an earlier renewal was lost
}

// IsConflict reports whether a write to a bucket failed because its key has another revision by now. It looks at the codes too:
// nats.go does not name each of them in each case, and replicated streams have one of their own.
func IsConflict(err error) bool {
	var answer *jetstream.APIError
	if errors.As(err, &answer) {
		switch answer.ErrorCode {
		case jetstream.JSErrCodeStreamWrongLastSequence, jetstream.JSErrCodeStreamWrongLastSequenceConstant:
			return true
		}
	}
	return errors.Is(err, jetstream.ErrKeyExists) || errors.Is(err, jetstream.ErrKeyRevisionMismatch)
}
