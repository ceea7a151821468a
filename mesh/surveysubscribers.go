package mesh

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

func (v *surveyor) readSubscribers(ctx context.Context, names []string) {
	told, err := readTold(ctx, v.js)
	var chosen []Subscriber
	for _, s := range v.t.Subscribers {
		if len(names) == 0 || slices.Contains(names, s.Name) {
			chosen = append(chosen, s)
		}
	}
	v.all.Subscribers = make([]SurveyedSubscriber, len(chosen))
	group := surveyGroup()
	for i, s := range chosen {
		group.Go(func() error {
			read := v.subscriber(ctx, s)
			read.Err = errors.Join(read.Err, err, told.of(&read.SubscriberState))
			v.all.Subscribers[i] = read
			return nil
		})
	}
	_ = group.Wait() // each says itself what it can't tell
}

func (v *surveyor) subscriber(ctx context.Context, s Subscriber) SurveyedSubscriber {
	read := SurveyedSubscriber{SubscriberState: SubscriberState{
		Name: s.Name, Stream: s.Stream, Order: s.Order, Partitions: max(s.Partitions, 1),
		Consumers: []ConsumerState{}, Replays: []RunningReplay{},
	}}
	own := v.streams[s.Stream]
	read.Err = own.err
	if own.handle != nil && own.err == nil {
		read.Replays = runningReplays(ctx, own.handle, own.consumers[s.Name])
		read.countLive(s.Stream, own.consumers[s.Name])
		var err error
		r := subscriberReader{js: v.js, t: v.t}
		if read.Oldest, err = r.oldest(ctx, own.handle, own.consumers[s.Name]); err != nil {
			read.Err = err
		}
	}
	dead, ok := v.t.Replays(s)
	letters := v.streams[dead.Stream]
	if !ok || letters.handle == nil {
		return read
	}
	if dead.Stream != s.Stream {
		for _, info := range letters.consumers[s.Name] {
			c := consumerState(dead.Stream, info)
			c.Replays = true
			read.Consumers = append(read.Consumers, c)
		}
	}
	n, err := countSubject(ctx, v.js, letters.handle, DeadFilter{Subscriber: s.Name}.subject())
	read.DeadLetters, read.Err = n, errors.Join(read.Err, err)
	return read
}

// told is what processes and operators told of subscribers, by the keys of the state bucket.
type told map[string][]byte

// readTold reads all of it at once. It is empty before the first apply.
func readTold(ctx context.Context, js jetstream.JetStream) (told, error) {
	state, err := OpenState(ctx, js)
	if errors.Is(err, jetstream.ErrBucketNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	keys := []string{PauseKeys + "*", BreakerKeys + "*", WaitKeys + "*"}
	watch, err := state.kv.WatchFiltered(ctx, keys, jetstream.IgnoreDeletes())
	if err != nil {
		return nil, fmt.Errorf("the state bucket: %w", err)
	}
	defer watch.Stop() //nolint:errcheck // it fails only if the connection is closed
	all := told{}
	for {
		select {
		case entry, goesOn := <-watch.Updates():
			if !goesOn {
				return all, errors.New("the state bucket: the connection was closed")
			}
			if entry == nil {
				return all, nil // it has said all
			}
			all[entry.Key()] = entry.Value()
		case <-ctx.Done():
			return all, fmt.Errorf("the state bucket: %w", ctx.Err())
		}
	}
}

// of completes how a subscriber stands by what was told of it.
func (t told) of(s *SubscriberState) error {
	var pause Pause
	var wait Wait
	var breaker BreakerState
	for prefix, into := range map[string]any{PauseKeys: &pause, WaitKeys: &wait, BreakerKeys: &breaker} {
		value, ok := t[prefix+s.Name]
		if !ok {
			continue
		}
		if err := json.Unmarshal(value, into); err != nil {
			return fmt.Errorf("state %s can't be read: %w", prefix+s.Name, err)
		}
	}
	now := time.Now()
	if pause.Holds(now) {
		s.Pause = &pause
	}
	if wait.Holds(now) {
		s.Wait = &wait
	}
	if !breaker.Since.IsZero() {
		s.Breaker = &breaker
	}
	return nil
}
