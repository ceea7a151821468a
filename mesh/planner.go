package mesh

import (
	"context"
	"fmt"
	"hash/fnv"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

type planner struct {
	t       *Topology
	js      jetstream.JetStream
	streams map[string]*jetstream.StreamInfo // what the server has

	streamSteps, consumerSteps, deletedConsumers, deletedStreams []Step
	notes                                                        []string
}

// readTries is how often the first question to the server is asked: a cluster whose members
// still find each other leaves it without an answer.
const readTries = 3

// calmTries is how often consumers are read that change while they are read, as by somebody else's switch.
const calmTries = 20

func (p *planner) read(ctx context.Context) error {
	for try := 1; ; try++ {
		list := p.js.ListStreams(ctx)
		for info := range list.Info() {
			p.streams[info.Config.Name] = info
		}
		err := list.Err()
		if err == nil {
			return nil
		}
		if try == readTries || !passing(err) || ctx.Err() != nil {
			return fmt.Errorf("list the server's streams: %w", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(interval):
		}
	}
}

func (p *planner) stream(s Stream) {
	wanted := s.Config()
	wanted.Metadata[metadataFields] = setFields(reflect.ValueOf(wanted), wanted.Metadata)
	step := Step{Action: Create, Kind: KindStream, Name: s.Name, stream: &wanted, replicas: s.Replicas}
	info, exists := p.streams[s.Name]
	if !exists {
		step.Changes = setByCreate(reflect.ValueOf(wanted), wanted.Metadata, alwaysInStreams())
		p.streamSteps = append(p.streamSteps, step)
		return
	}
	merged, changes := compareStreams(wanted, info.Config)
	if len(changes) == 0 {
		return
	}
	step.Action, step.Changes, step.created = Update, visible(changes), info.Created
	if refused := refusedByServer(info.Config, merged); refused != "" {
		step.Action = Replace
		step.Loses = fmt.Sprintf("the server can't change %s: the stream is made anew without its %s and without its consumers' positions",
			refused, contents(info.State))
	} else {
		step.stream = &merged
		step.Loses = shrinks(info, merged)
	}
	p.streamSteps = append(p.streamSteps, step)
}

// visible leaves the list of fields out where it changes along with something else.
func visible(changes []Change) []Change {
	rest := slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.Field == "metadata."+metadataFields })
	if len(rest) == 0 {
		return changes
	}
	return rest
}

func (p *planner) consumers(ctx context.Context, s Stream) error {
	current, err := p.readConsumers(ctx, s.Name)
	if err != nil {
		return err
	}
	replaced := slices.ContainsFunc(p.streamSteps, func(step Step) bool { return step.Name == s.Name && step.Action == Replace })
	for _, wanted := range p.readersOf(s.Name) {
		p.subscriber(s, wanted, current, replaced)
	}
	for _, info := range current {
		if _, ours := info.Config.Metadata[MetadataSubscriber]; ours && !replaced && !p.goesOn(info) {
			p.deletedConsumers = append(p.deletedConsumers, Step{
				Action: Delete, Kind: KindConsumer, Name: s.Name + "/" + info.Name, created: info.Created,
				Loses: "the subscriber's position: " + waiting(info),
			})
		}
	}
	slices.SortFunc(p.deletedConsumers, byName)
	return nil
}

// readersOf are the wanted readers of a stream, together those of one subscriber.
func (p *planner) readersOf(stream string) [][]Reader {
	var groups [][]Reader
	for _, r := range p.t.Readers() {
		last := len(groups) - 1
		switch {
		case r.Stream != stream:
		case last >= 0 && groups[last][0].Name == r.Name:
			groups[last] = append(groups[last], r)
		default:
			groups = append(groups, []Reader{r})
		}
	}
	return groups
}

// goesOn reports whether a consumer ends by itself: a replay of a part of the history to a subscriber
// that there still is.
func (p *planner) goesOn(info *jetstream.ConsumerInfo) bool {
	served, ok := ServedBy(info.Config)
	still := func(s Subscriber) bool { return s.Name == served.Subscriber }
	return ok && served.Replay != nil && slices.ContainsFunc(p.t.Subscribers, still)
}

// subscriber plans what one subscriber reads of one stream. What it is done with leaves current.
func (p *planner) subscriber(s Stream, wanted []Reader, current map[string]*jetstream.ConsumerInfo, replaced bool) {
	if note := startNote(wanted[0], current); note != "" && !replaced {
		p.notes = append(p.notes, note)
	}
	if before := p.otherLayout(wanted, current); len(before) > 0 && !replaced {
		p.consumerSteps = append(p.consumerSteps, p.switchStep(s, wanted, before))
		for _, info := range before {
			delete(current, info.Name)
		}
		return
	}
	resumes := -1
	for _, r := range wanted {
		if current[r.Durable] == nil && !replaced && len(p.noted(s.Name, r.Name)) > 0 {
			resumes = len(p.consumerSteps)
		}
		p.consumer(s, r, current[r.Durable], replaced)
		delete(current, r.Durable)
	}
	if resumes >= 0 {
		p.consumerSteps[resumes].forgets = wanted[0].Name
	}
}

func byName(a, b Step) int { return strings.Compare(a.Name, b.Name) }

// readConsumers reads a stream's consumers and, behind them, what the stream remembers of where they go on. A switch by another process
// notes that before it deletes the first and forgets it behind the last that it makes: a note that was read before would seem to be missing
// in the middle of it. It is all read again until no subscriber's consumers have changed meanwhile.
func (p *planner) readConsumers(ctx context.Context, stream string) (map[string]*jetstream.ConsumerInfo, error) {
	if p.streams[stream] == nil {
		return nil, nil
	}
	handle, err := p.js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("read the stream %s: %w", stream, err)
	}
	before, err := consumersByName(ctx, handle)
	if err != nil {
		return nil, err
	}
	for try := 1; ; try++ {
		info, err := handle.Info(ctx)
		if err != nil {
			return nil, fmt.Errorf("read the stream %s: %w", stream, err)
		}
		now, err := consumersByName(ctx, handle)
		if err != nil {
			return nil, err
		}
		if maps.EqualFunc(layoutsIn(before), layoutsIn(now), time.Time.Equal) {
			p.streams[stream] = info
			return now, nil
		}
		if try == calmTries {
			return nil, fmt.Errorf("the consumers of %s change while they are read: %w", stream, ErrPlanAgain)
		}
		before = now
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(interval):
		}
	}
}

func consumersByName(ctx context.Context, stream jetstream.Stream) (map[string]*jetstream.ConsumerInfo, error) {
	all, err := ListConsumers(ctx, stream)
	if err != nil {
		return nil, err
	}
	consumers := map[string]*jetstream.ConsumerInfo{}
	for _, info := range all {
		consumers[info.Name] = info
	}
	return consumers, nil
}

// layoutsIn are the consumers that serve subscribers live, and when each was made.
func layoutsIn(consumers map[string]*jetstream.ConsumerInfo) map[string]time.Time {
	made := map[string]time.Time{}
	for name, info := range consumers {
		if served, ok := ServedBy(info.Config); ok && served.Replay == nil {
			made[name] = info.Created
		}
	}
	return made
}

// consumer plans one consumer. info is nil if the server has no such consumer.
func (p *planner) consumer(s Stream, r Reader, info *jetstream.ConsumerInfo, replaced bool) {
	wanted := markedConfig(r)
	step := Step{Action: Create, Kind: KindConsumer, Name: s.Name + "/" + r.Durable, consumer: &wanted, replicas: s.Replicas}
	if info == nil || replaced {
		if skip := p.noted(s.Name, r.Durable); len(skip) > 0 && !replaced {
			goOn(&wanted, skip)
			step.forgets = r.Durable
		} else if skip := p.noted(s.Name, r.Name); len(skip) > 0 && !replaced {
			goOn(&wanted, skip)
		}
		step.Changes = setByCreate(reflect.ValueOf(wanted), wanted.Metadata, []string{"deliver_policy"})
		if replaced {
			step.needs = s.Name
		}
		p.consumerSteps = append(p.consumerSteps, step)
		return
	}
	base := wanted.DeliverSubject
	if strings.HasPrefix(info.Config.DeliverSubject, base+".") { // see goOn
		wanted.DeliverSubject = info.Config.DeliverSubject
	}
	merged, changes := compareConsumers(wanted, info.Config)
	if len(changes) == 0 {
		return
	}
	step.Action, step.Changes, step.created = Update, visible(changes), info.Created
	if immutable := immutableChanges(changes); len(immutable) > 0 {
		step.Action = Replace
		wanted.DeliverSubject = base // for goOn
		step.Loses = fmt.Sprintf("a change of %s needs a new consumer: the attempts of %d unacknowledged messages are forgotten, "+
			"and what was acknowledged above stream sequence %d is delivered again",
			strings.Join(immutable, ", "), info.NumAckPending, info.AckFloor.Stream)
		if wanted.PauseUntil == nil {
			wanted.PauseUntil = info.Config.PauseUntil
		}
	} else {
		step.consumer = &merged
	}
	p.consumerSteps = append(p.consumerSteps, step)
}

// markedConfig is the consumer with genmesh's marks.
func markedConfig(r Reader) jetstream.ConsumerConfig {
	wanted := r.ConsumerConfig()
	wanted.Metadata[metadataFields] = setFields(reflect.ValueOf(wanted), wanted.Metadata)
	return wanted
}

// noted is where a consumer goes on whose like was deleted and not made anew, or nil. It is noted by the
// consumer's name, or by the subscriber's where all of its consumers were replaced.
func (p *planner) noted(stream, name string) Skip {
	info := p.streams[stream]
	if info == nil {
		return nil
	}
	skip, err := parseSkip(info.Config.Metadata[metadataResume+name])
	if err != nil {
		return nil
	}
	return skip
}

// goOn makes a new consumer begin where others were.
func goOn(config *jetstream.ConsumerConfig, skip Skip) {
	config.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
	config.OptStartSeq, config.OptStartTime = skip.start(), nil
	config.Metadata[MetadataSkip] = skip.String()
	// Whoever still listens for the one before must not hear this one, of which he does not know what to pass by.
	h := fnv.New64a()
	_, _ = h.Write([]byte(skip.String())) // a hash never fails
	config.DeliverSubject += "." + strconv.FormatUint(h.Sum64(), 36)
}

// immutableChanges are the changes that a consumer can't live through: the server refuses
// them or, for the group, accepts them and stops delivering.
func immutableChanges(changes []Change) []string {
	var fields []string
	for _, c := range changes {
		switch c.Field {
		case "durable_name", "deliver_subject", "deliver_group", "ack_policy", "replay_policy", "flow_control", "idle_heartbeat",
			"mem_storage", "max_waiting":
			fields = append(fields, c.Field)
		}
	}
	return fields
}

// leftStreams plans the end of the streams that genmesh made and streams.json no longer names.
func (p *planner) leftStreams() {
	for name, info := range p.streams {
		if _, named := p.t.stream(name); named || name == stateStream || info.Config.Metadata[MetadataManaged] == "" {
			continue
		}
		p.deletedStreams = append(p.deletedStreams, Step{
			Action: Delete, Kind: KindStream, Name: name, created: info.Created,
			Loses: "the stream's " + contents(info.State),
		})
	}
	slices.SortFunc(p.deletedStreams, byName)
}
