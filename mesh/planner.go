package mesh

import (
	"context"
	"fmt"
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
}

// readTries is how often the first question to the server is asked: a cluster whose members
// still find each other leaves it without an answer.
const readTries = 3

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
	for _, sub := range p.t.Readers() {
		if sub.Stream == s.Name {
			p.consumer(s, sub, current[sub.Name], replaced)
			delete(current, sub.Name)
		}
	}
	for _, info := range current {
		if info.Config.Metadata[MetadataSubscriber] != "" && !replaced {
			p.deletedConsumers = append(p.deletedConsumers, Step{
				Action: Delete, Kind: KindConsumer, Name: s.Name + "/" + info.Name, created: info.Created,
				Loses: "the subscriber's position: " + waiting(info),
			})
		}
	}
	slices.SortFunc(p.deletedConsumers, byName)
	return nil
}

func byName(a, b Step) int { return strings.Compare(a.Name, b.Name) }

func (p *planner) readConsumers(ctx context.Context, stream string) (map[string]*jetstream.ConsumerInfo, error) {
	if p.streams[stream] == nil {
		return nil, nil
	}
	handle, err := p.js.Stream(ctx, stream)
	if err != nil {
		return nil, fmt.Errorf("read the stream %s: %w", stream, err)
	}
	consumers := map[string]*jetstream.ConsumerInfo{}
	list := handle.ListConsumers(ctx)
	for info := range list.Info() {
		consumers[info.Name] = info
	}
	if err := list.Err(); err != nil {
		return nil, fmt.Errorf("list the consumers of %s: %w", stream, err)
	}
	return consumers, nil
}

// consumer plans one subscriber. info is nil if the server has no such consumer.
func (p *planner) consumer(s Stream, sub Subscriber, info *jetstream.ConsumerInfo, replaced bool) {
	wanted := sub.ConsumerConfig()
	wanted.Metadata[metadataFields] = setFields(reflect.ValueOf(wanted), wanted.Metadata)
	step := Step{Action: Create, Kind: KindConsumer, Name: s.Name + "/" + sub.Name, consumer: &wanted, replicas: s.Replicas}
	if info == nil || replaced {
		if at := p.resumeAt(s.Name, sub.Name); at > 0 && !replaced {
			startAt(&wanted, at)
			step.resumes = true
		}
		step.Changes = setByCreate(reflect.ValueOf(wanted), wanted.Metadata, []string{"deliver_policy"})
		if replaced {
			step.needs = s.Name
		}
		p.consumerSteps = append(p.consumerSteps, step)
		return
	}
	merged, changes := compareConsumers(wanted, info.Config)
	if len(changes) == 0 {
		return
	}
	step.Action, step.Changes, step.created = Update, visible(changes), info.Created
	if immutable := immutableChanges(changes); len(immutable) > 0 {
		step.Action = Replace
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

// resumeAt is where a consumer goes on that was deleted and not made anew, or 0.
func (p *planner) resumeAt(stream, consumer string) uint64 {
	info := p.streams[stream]
	if info == nil {
		return 0
	}
	at, err := strconv.ParseUint(info.Config.Metadata[metadataResume+consumer], 10, 64)
	if err != nil {
		return 0
	}
	return at
}

// startAt makes a new consumer begin at a stream sequence.
func startAt(config *jetstream.ConsumerConfig, sequence uint64) {
	config.DeliverPolicy = jetstream.DeliverByStartSequencePolicy
	config.OptStartSeq, config.OptStartTime = sequence, nil
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
		if _, named := p.t.stream(name); named || info.Config.Metadata[MetadataManaged] == "" {
			continue
		}
		p.deletedStreams = append(p.deletedStreams, Step{
			Action: Delete, Kind: KindStream, Name: name, created: info.Created,
			Loses: "the stream's " + contents(info.State),
		})
	}
	slices.SortFunc(p.deletedStreams, byName)
}
