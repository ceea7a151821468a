package mesh

import (
	"context"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Plan is the difference between a streams.json and a server, as steps in the order in which
// Apply makes them: streams, then consumers, then what is deleted.
type Plan struct {
	Steps []Step `json:"steps"`
}

// Step is one thing that Apply does.
type Step struct {
	Action Action `json:"action"`
	// Kind is "stream" or "consumer".
	Kind Kind `json:"kind"`
	// Name is the stream's name, or "<stream>/<consumer>".
	Name    string   `json:"name"`
	Changes []Change `json:"changes,omitempty"`
	// Loses says what the step would destroy, in numbers from the server; "" if nothing.
	Loses string `json:"loses,omitempty"`

	stream   *jetstream.StreamConfig   // wanted, for a stream's step
	consumer *jetstream.ConsumerConfig // wanted, for a consumer's step
	// created is when the server made what the step changes; zero for a create.
	created time.Time
	// needs is a stream whose replacement makes the step necessary, or "".
	needs string
	// resumes says that the consumer goes on where one was that is being replaced.
	resumes bool
	// replicas says how many servers must agree, and so whether a create may have to wait.
	replicas int
}

// Action is what a step does.
type Action string

// The actions of a step. Replace is delete and create, for what the server can't change.
const (
	Create  Action = "create"
	Update  Action = "update"
	Replace Action = "replace"
	Delete  Action = "delete"
)

// Kind is what a step is done to.
type Kind string

// The kinds of steps.
const (
	KindStream   Kind = "stream"
	KindConsumer Kind = "consumer"
)

// Empty reports whether the server is as streams.json wants it.
func (p Plan) Empty() bool { return len(p.Steps) == 0 }

// Destructive are the steps that lose something, which Apply refuses without allowDestroy.
func (p Plan) Destructive() []Step {
	var steps []Step
	for _, s := range p.Steps {
		if s.Loses != "" {
			steps = append(steps, s)
		}
	}
	return steps
}

// Plan compares the topology with the server. It only reads.
//
// It sees the streams and subscribers of streams.json, and what carries genmesh's mark and is
// no longer in it. Whatever else is on the server is not touched; a stream or consumer of the
// same name is adopted.
func (t *Topology) Plan(ctx context.Context, js jetstream.JetStream) (Plan, error) {
	p := planner{t: t, js: js, streams: map[string]*jetstream.StreamInfo{}}
	if err := p.read(ctx); err != nil {
		return Plan{}, err
	}
	for _, s := range t.Streams {
		p.stream(s)
	}
	for _, s := range t.Streams {
		if err := p.consumers(ctx, s); err != nil {
			return Plan{}, err
		}
	}
	p.leftStreams()
	steps := []Step{} // not nil: an empty plan is [] in JSON
	for _, more := range [][]Step{p.streamSteps, p.consumerSteps, p.deletedConsumers, p.deletedStreams} {
		steps = append(steps, more...)
	}
	return Plan{Steps: steps}, nil
}

type planner struct {
	t       *Topology
	js      jetstream.JetStream
	streams map[string]*jetstream.StreamInfo // what the server has

	streamSteps, consumerSteps, deletedConsumers, deletedStreams []Step
}

func (p *planner) read(ctx context.Context) error {
	list := p.js.ListStreams(ctx)
	for info := range list.Info() {
		p.streams[info.Config.Name] = info
	}
	if err := list.Err(); err != nil {
		return fmt.Errorf("list the server's streams: %w", err)
	}
	return nil
}

func (p *planner) stream(s Stream) {
	wanted := s.Config(p.t)
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
	for _, sub := range p.t.Subscribers {
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
	wanted := sub.ConsumerConfig(s)
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

// WriteText writes the plan for people.
func (p Plan) WriteText(w io.Writer) error {
	var b strings.Builder
	if p.Empty() {
		b.WriteString("Nothing to do: the server is as streams.json wants it.\n")
	}
	for _, s := range p.Steps {
		s.writeText(&b)
	}
	if n := len(p.Destructive()); n > 0 {
		fmt.Fprintf(&b, "\n%d of %d steps would destroy something: they need --allow-destroy.\n", n, len(p.Steps))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Step) writeText(b *strings.Builder) {
	sign := map[Action]string{Create: "+", Update: "~", Replace: "-/+", Delete: "-"}[s.Action]
	fmt.Fprintf(b, "%s %s %s %s\n", sign, s.Action, s.Kind, s.Name)
	width := 0
	for _, c := range s.Changes {
		width = max(width, len(c.Field))
	}
	for _, c := range s.Changes {
		if s.Action == Create {
			fmt.Fprintf(b, "    %-*s  %s\n", width, c.Field, c.To)
		} else {
			fmt.Fprintf(b, "    %-*s  %s → %s\n", width, c.Field, shown(c.From), shown(c.To))
		}
	}
	if s.Loses != "" {
		fmt.Fprintf(b, "    ! loses: %s\n", s.Loses)
	}
}

func shown(value string) string {
	if value == "" {
		return "(unset)"
	}
	return value
}
