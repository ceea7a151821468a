package mesh

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"
)

// A subscriber's layout is how its events are divided among consumers: by how many partitions, and
// whether all processes share one. A change of it must lose nothing, double nothing and keep the
// order: so the consumers before are drained (they deliver nothing new, and what they delivered comes
// to its end), where they were is noted, and the new ones go on from there.

// otherLayout are the subscriber's consumers on the server, in the order of their partitions, if they
// divide its events in another way than is wanted; else nil.
func (p *planner) otherLayout(wanted []Reader, current map[string]*jetstream.ConsumerInfo) []*jetstream.ConsumerInfo {
	var before []*jetstream.ConsumerInfo
	differs := false
	for _, info := range current {
		served, ok := ServedBy(info.Config)
		if !ok || served.Replay != nil || served.Subscriber != wanted[0].Name {
			continue
		}
		before = append(before, info)
		differs = differs || served.Of != len(wanted) || served.Shared != wanted[0].Shared
	}
	if !differs {
		return nil
	}
	slices.SortFunc(before, func(a, b *jetstream.ConsumerInfo) int {
		x, _ := ServedBy(a.Config)
		y, _ := ServedBy(b.Config)
		return x.Partition - y.Partition
	})
	return before
}

func (p *planner) switchStep(s Stream, wanted []Reader, before []*jetstream.ConsumerInfo) Step {
	step := Step{
		Action: Switch, Kind: KindConsumer, Name: s.Name + "/" + wanted[0].Name, replicas: s.Replicas, switched: before,
		Changes: []Change{{Field: "consumers", From: consumerNames(before)}},
	}
	var names []string
	for _, r := range wanted {
		step.wanted = append(step.wanted, markedConfig(r))
		names = append(names, r.Durable)
	}
	step.Changes[0].To = strings.Join(names, ", ")
	step.Changes = append(step.Changes, editedToo(step.wanted[0], before[0].Config)...)
	step.note = p.noted(s.Name, wanted[0].Name)
	if !complete(before) && len(step.note) == 0 {
		step.Loses = "where the missing ones of the consumers " + consumerNames(before) + " were: their events are delivered again"
	}
	return step
}

// editedToo are the changes of a subscriber that come with another layout and are not that itself: what each consumer of a
// layout has of its own is left out, and what a drain that was cut short has set.
func editedToo(wanted, before jetstream.ConsumerConfig) []Change {
	_, changes := compareConsumers(wanted, before)
	return slices.DeleteFunc(visible(changes), func(c Change) bool {
		switch c.Field {
		case "durable_name", "deliver_subject", "deliver_group", "filter_subjects", "description", "pause_until":
			return true
		}
		return c.Field == "max_ack_pending" && c.From == "1" || strings.HasPrefix(c.Field, "metadata.genmesh.")
	})
}

// complete reports whether all partitions of a layout are there.
func complete(before []*jetstream.ConsumerInfo) bool {
	for i, info := range before {
		if served, _ := ServedBy(info.Config); served.Of != len(before) || served.Partition != i+1 {
			return false
		}
	}
	return true
}

func consumerNames(infos []*jetstream.ConsumerInfo) string {
	names := make([]string, len(infos))
	for i, info := range infos {
		names[i] = info.Name
	}
	return strings.Join(names, ", ")
}

// UndrainedError says that a switch of a subscriber's consumers has to wait for the events that they
// delivered. Nothing new is delivered to the subscriber meanwhile; its workers go on with what they hold. Applying again
// goes on with it.
type UndrainedError struct {
	Subscriber string
	// Events are under way, or wait at a worker for their target.
	Events int
	// Paused is true if an operator paused the subscriber, so that they don't move.
	Paused bool
}

func (e *UndrainedError) Error() string {
	events, are := fmt.Sprintf("%d events", e.Events), "are"
	if e.Events == 1 {
		events, are = "1 event", "is"
	}
	if e.Paused {
		return fmt.Sprintf("%s is paused with %s in hand: resume it, then apply again", e.Subscriber, events)
	}
	return fmt.Sprintf("%s: %s %s still under way to its target; apply again once that is settled (workers have to run for it)", e.Subscriber, events, are)
}

// switchConsumers drains the consumers that a subscriber has and puts the wanted ones in their place.
// When it is cut short, the next plan goes on where it was.
func (a *applier) switchConsumers(ctx context.Context, stream, subscriber string, s Step) error {
	if err := a.layoutIsFree(ctx, stream, s.wanted[0], s.switched); err != nil {
		return err
	}
	drained, pauses, err := a.drainAll(ctx, stream, subscriber, s.switched)
	if err != nil {
		return err
	}
	reached := passedBy(s.switched, drained, s.note)
	if err := a.remember(ctx, stream, subscriber, reached); err != nil {
		return err
	}
	for i, info := range s.switched {
		if err := a.staysDrained(ctx, stream, info, drained[i]); err != nil {
			return err
		}
		if err := a.deleteConsumer(ctx, stream, info.Name); err != nil {
			return err
		}
	}
	for _, config := range s.wanted {
		config.Metadata = maps.Clone(config.Metadata)
		goOn(&config, reached)
		if config.PauseUntil == nil {
			config.PauseUntil = pauses
		}
		if err := a.createConsumer(ctx, stream, s, config); err != nil {
			return err
		}
	}
	return a.forget(ctx, stream, subscriber)
}

// layoutIsFree fails if the subscriber of a wanted consumer has others of another layout, beside those that are about
// to be switched: the plan was made while somebody else was in the middle of a switch.
func (a *applier) layoutIsFree(ctx context.Context, stream string, config jetstream.ConsumerConfig, switched []*jetstream.ConsumerInfo) error {
	wanted, ok := ServedBy(config)
	if !ok {
		return nil
	}
	handle, err := a.js.Stream(ctx, stream)
	if err != nil {
		return err
	}
	all, err := ListConsumers(ctx, handle)
	if err != nil {
		return err
	}
	var others []string
	for _, info := range all {
		served, ok := ServedBy(info.Config)
		isOther := ok && served.Subscriber == wanted.Subscriber && served.Replay == nil &&
			(served.Of != wanted.Of || served.Shared != wanted.Shared)
		if isOther && !slices.ContainsFunc(switched, func(s *jetstream.ConsumerInfo) bool { return s.Name == info.Name }) {
			others = append(others, info.Name)
		}
	}
	if len(others) > 0 {
		return fmt.Errorf("%s has other consumers by now, %s: %w", wanted.Subscriber, strings.Join(others, ", "), ErrPlanAgain)
	}
	return nil
}

var errImpatient = errors.New("the events under way did not come to their end in time")

const (
	drainPatience = 15 * time.Second
	drainInterval = 50 * time.Millisecond
	// tellWaitAfter is from when on a drain takes long enough for somebody to wonder.
	tellWaitAfter = 2 * time.Second
	// drainPause is how long a consumer that looks drained is paused: only until it is deleted, or for so long if
	// we don't get to that.
	drainPause = time.Minute
	// drainTry is how long it may stay paused with an event in hand, which only comes again when it isn't.
	drainTry = 2 * time.Second
)

// drainAll drains consumers and tells up to where each has delivered, and until when an operator paused them.
func (a *applier) drainAll(ctx context.Context, stream, subscriber string, infos []*jetstream.ConsumerInfo) (reached []uint64, pauses *time.Time, err error) {
	ctx, cancel := context.WithTimeoutCause(ctx, cmp.Or(a.draining.Patience, drainPatience), errImpatient)
	defer cancel()
	left := map[string]int{}
	for _, info := range infos {
		now, err := a.throttle(ctx, stream, info)
		if err != nil {
			return nil, nil, err
		}
		left[info.Name] = now.NumAckPending
	}
	tell := a.tellWait(subscriber, left)
	reached = make([]uint64, len(infos))
	group, ctx := errgroup.WithContext(ctx)
	for i, info := range infos {
		d := drain{js: a.js, stream: stream, name: info.Name, created: info.Created, subscriber: subscriber, waits: tell, limbo: a.limbo(info)}
		now, err := d.info(ctx)
		if err != nil {
			group.Go(func() error { return fmt.Errorf("drain consumer %s: %w", info.Name, err) })
			break
		}
		// A shorter one is that of a drain that was cut short, or as good as over.
		if until := now.Config.PauseUntil; now.Paused && until != nil && until.After(time.Now().Add(drainPause)) {
			d.paused, pauses = true, until
		}
		group.Go(func() (err error) {
			reached[i], err = d.run(ctx)
			return err
		})
	}
	return reached, pauses, group.Wait()
}

// passedBy is what the consumers that come after some that were drained pass by: what those delivered, passed by themselves, and
// what is noted of a switch that was cut short.
func passedBy(infos []*jetstream.ConsumerInfo, drained []uint64, note Skip) Skip {
	before := []Skip{note}
	for _, info := range infos {
		if served, ok := ServedBy(info.Config); ok {
			before = append(before, served.Skip)
		}
	}
	return Skip{passed(infos, drained)}.and(before...)
}

// staysDrained fails with ErrPlanAgain if a consumer was let go on since it was drained, as by somebody who ended a pause that he
// did not know of: what it has delivered since would be delivered again.
func (a *applier) staysDrained(ctx context.Context, stream string, info *jetstream.ConsumerInfo, drained uint64) error {
	d := drain{js: a.js, stream: stream, name: info.Name, created: info.Created}
	now, err := d.info(ctx)
	if err != nil {
		return fmt.Errorf("look at consumer %s: %w", info.Name, err)
	}
	if !now.Paused || now.NumAckPending > 0 || now.Delivered.Stream != drained {
		return fmt.Errorf("consumer %s was resumed while it was drained: %w", info.Name, ErrPlanAgain)
	}
	return nil
}

// limbo is how long an event may wait for the rate of a consumer, when it counts as neither pending nor delivered, and no pause keeps it back
// any more (nats-server 2.15.2, server/consumer.go, loopAndGatherMsgs).
func (a *applier) limbo(info *jetstream.ConsumerInfo) time.Duration {
	if info.Config.RateLimit == 0 {
		return 0
	}
	seconds := float64(a.js.Conn().MaxPayload()) * 8 / float64(info.Config.RateLimit)
	return min(time.Duration(seconds*float64(time.Second)), drainPatience/2)
}

// tellWait tells once that a drain takes long, as soon as it does. left is how many events each of the consumers had under way.
func (a *applier) tellWait(subscriber string, left map[string]int) func(consumer string, events int) {
	began, told := time.Now(), a.draining.Waits == nil
	var mu sync.Mutex
	return func(consumer string, events int) {
		mu.Lock()
		defer mu.Unlock()
		left[consumer] = events
		if told || events == 0 || time.Since(began) < tellWaitAfter {
			return
		}
		told = true
		all := 0
		for _, n := range left {
			all += n
		}
		a.draining.Waits(subscriber, all)
	}
}

// passed is up to where the events were delivered, by the partitions of the consumers; where some of those
// are gone by each partition that there is: what the others did the note of the switch that was cut short tells.
func passed(infos []*jetstream.ConsumerInfo, reached []uint64) []uint64 {
	if complete(infos) {
		return reached
	}
	all := make([]uint64, Partitions)
	for p := range all {
		for i, info := range infos {
			if served, _ := ServedBy(info.Config); p%served.Of == served.Partition-1 {
				all[p] = max(all[p], reached[i])
			}
		}
	}
	return all
}

// throttle keeps a consumer from delivering anything new while something is in hand: with
// max_ack_pending 1 the server still delivers again what was delivered, and nothing else.
func (a *applier) throttle(ctx context.Context, stream string, info *jetstream.ConsumerInfo) (*jetstream.ConsumerInfo, error) {
	d := drain{js: a.js, stream: stream, name: info.Name, created: info.Created}
	now, err := d.info(ctx)
	if err != nil {
		return nil, fmt.Errorf("drain consumer %s: %w", info.Name, err)
	}
	if now.Config.MaxAckPending == 1 {
		return now, nil
	}
	config := now.Config
	config.MaxAckPending = 1
	if _, err := a.js.UpdatePushConsumer(ctx, stream, config); err != nil {
		return nil, fmt.Errorf("drain consumer %s: %w", info.Name, err)
	}
	return now, nil
}

// drain brings one throttled consumer to the end of what it delivered.
type drain struct {
	js                       jetstream.JetStream
	stream, name, subscriber string
	created                  time.Time
	limbo                    time.Duration // how long the server may keep an event that it does not tell of
	paused                   bool          // by an operator
	ours                     bool          // paused by us
	until                    time.Time     // the end of our pause
	waits                    func(consumer string, events int)
	since                    time.Time
}

// run returns the stream sequence up to which everything was delivered and settled.
func (d *drain) run(ctx context.Context) (uint64, error) {
	left := 0
	for {
		info, err := d.info(ctx)
		if err == nil {
			left = info.NumAckPending
			d.waits(d.name, left)
			var done bool
			if done, err = d.step(ctx, info); done {
				return info.Delivered.Stream, nil
			}
		}
		if err != nil && ctx.Err() == nil {
			return 0, fmt.Errorf("drain consumer %s: %w", d.name, err)
		}
		select {
		case <-ctx.Done():
			d.resume(context.WithoutCancel(ctx))
			if cause := context.Cause(ctx); !errors.Is(cause, errImpatient) {
				return 0, fmt.Errorf("drain consumer %s: %w", d.name, cause)
			}
			return 0, &UndrainedError{Subscriber: d.subscriber, Events: left, Paused: d.paused}
		case <-time.After(drainInterval):
		}
	}
}

// step takes the next step; true means that the consumer is drained: it is paused, so that it
// delivers nothing, and has nothing in hand.
func (d *drain) step(ctx context.Context, info *jetstream.ConsumerInfo) (bool, error) {
	switch {
	case d.paused && info.NumAckPending > 0:
		return false, &UndrainedError{Subscriber: d.subscriber, Events: info.NumAckPending, Paused: true}
	case d.paused || d.ours:
		if info.NumAckPending == 0 && info.Paused && time.Since(d.since) >= d.limbo { // in a cluster the answer comes before the pause
			return true, nil
		}
		if time.Since(d.since) > drainTry+d.limbo {
			d.resume(ctx)
		}
	case info.NumAckPending <= 1 && time.Since(d.since) > drainTry/2:
		d.until = time.Now().Add(drainPause)
		if _, err := d.js.PauseConsumer(ctx, d.stream, d.name, d.until); err != nil {
			return false, err
		}
		d.ours, d.since = true, time.Now()
	}
	return false, nil
}

// resume lets what is in hand come again, unless somebody else has paused the consumer since.
func (d *drain) resume(ctx context.Context) {
	if !d.ours {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, drainTry)
	defer cancel()
	info, err := d.info(ctx)
	if err != nil {
		return
	}
	if until := info.Config.PauseUntil; until != nil && until.After(d.until) {
		d.ours, d.paused = false, true
		return
	}
	if _, err := endPause(ctx, d.js, d.stream, d.name); err == nil {
		d.ours, d.since = false, time.Now()
	}
}

func (d *drain) info(ctx context.Context) (*jetstream.ConsumerInfo, error) {
	consumer, err := d.js.PushConsumer(ctx, d.stream, d.name)
	if errors.Is(err, jetstream.ErrConsumerNotFound) {
		return nil, errChanged
	}
	if err != nil {
		return nil, err
	}
	info := consumer.CachedInfo()
	if !info.Created.Equal(d.created) {
		return nil, errChanged
	}
	return info, nil
}
