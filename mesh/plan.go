package mesh

import (
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// Plan is the difference between a streams.json and a server, as steps in the order in which
// Apply makes them: streams, then consumers, then what is deleted.
type Plan struct {
	Steps []Step `json:"steps"`
	// Notes say what streams.json asks for in vain: no step can bring it about.
	Notes []string `json:"notes,omitempty"`
	// Draining is how Apply waits for events under way.
	Draining Draining `json:"-"`
}

// Draining is how Apply waits for a subscriber's events under way before it changes its consumers.
type Draining struct {
	// Patience bounds the wait for all of a subscriber; what it ends is an *UndrainedError. Default 15 s.
	Patience time.Duration
	// Waits is called once for each subscriber that is waited for for longer than tellWaitAfter. How
	// many events there are still is as the server counts them. nil tells nobody.
	Waits func(subscriber string, events int)
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
	// forgets is under which name the stream remembers where the consumer goes on, if it does and this is the
	// last step that needs it.
	forgets string
	// switched are the consumers that a switch puts others in the place of, wanted those. note is what one that
	// was cut short left.
	note     Skip
	switched []*jetstream.ConsumerInfo
	wanted   []jetstream.ConsumerConfig
	// replicas says how many servers must agree, and so whether a create may have to wait.
	replicas int
}

// Action is what a step does.
type Action string

// The actions of a step. Replace is delete and create, for what the server can't change. Switch puts
// other consumers in the place of those that a subscriber has, which come to the end of what they
// delivered first.
const (
	Create  Action = "create"
	Update  Action = "update"
	Replace Action = "replace"
	Switch  Action = "switch"
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
	streams := t.AllStreams()
	for _, s := range streams {
		p.stream(s)
	}
	for _, s := range streams {
		if err := p.consumers(ctx, s); err != nil {
			return Plan{}, err
		}
	}
	p.leftStreams()
	steps := []Step{} // not nil: an empty plan is [] in JSON
	for _, more := range [][]Step{p.streamSteps, p.consumerSteps, p.deletedConsumers, p.deletedStreams} {
		steps = append(steps, more...)
	}
	return Plan{Steps: steps, Notes: p.notes}, nil
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
	for _, note := range p.Notes {
		fmt.Fprintf(&b, "note: %s\n", note)
	}
	if n := len(p.Destructive()); n > 0 {
		fmt.Fprintf(&b, "\n%d of %d steps would destroy something: they need --allow-destroy.\n", n, len(p.Steps))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func (s Step) writeText(b *strings.Builder) {
	sign := map[Action]string{Create: "+", Update: "~", Replace: "-/+", Switch: "~>", Delete: "-"}[s.Action]
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
