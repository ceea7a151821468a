package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
)

const explainHelp = `Tell for one stored event what decided whether a subscriber has it: filters, where the subscriber began, when and transform,
how its delivery ended, and if it did not end yet, what it waits for: a pause, an open breaker, a target that asks for air or
can't be used. It reads only.

Of an event that the stream has no more it tells what may have taken it: limits, or an audited erase.

SEQUENCE is that of the event in its stream, as dead letters, logs, genmesh timeline and the header Genmesh-Sequence have it. when, redact
and transform are tried as streams.json has them now.`

type explainFlags struct {
	cluster    clusterFlags
	subscriber string
	stream     string
}

func newExplain(p *program) *cobra.Command {
	f := new(explainFlags)
	cmd := &cobra.Command{
		Use:     "explain SEQUENCE --subscriber NAME",
		Short:   "Tell why a subscriber has a stored event, or why not",
		Long:    explainHelp,
		Example: "  genmesh explain 1742 --subscriber crm\n  genmesh explain 1742 --subscriber crm --stream INTERACTIONS -o json",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := parseNumbers(args, "stored event", "genmesh timeline INTERACTION")
			if err != nil {
				return err
			}
			return p.explain(cmd, f, numbers[0])
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.subscriber, "subscriber", "", "for the subscriber `NAME`")
	flags.StringVar(&f.stream, "stream", "", "the `NAME` of the event's stream (default: the subscriber's)")
	f.cluster.add(flags)
	p.outputFlag(cmd)
	return cmd
}

func (p *program) explain(cmd *cobra.Command, f *explainFlags, sequence uint64) error {
	if f.subscriber == "" {
		return fmt.Errorf("--subscriber is missing: whose event is %d?", sequence)
	}
	t, err := p.topology(cmd)
	if err != nil {
		return err
	}
	s, err := namedSubscriber(t, f.subscriber)
	if err != nil {
		return err
	}
	if f.stream == "" {
		f.stream = s.Stream
	}
	nc, js, err := p.connect(&f.cluster)
	if err != nil {
		return err
	}
	defer nc.Close()
	standing, err := t.Standing(cmd.Context(), js, s, f.stream, sequence)
	if err != nil {
		return err
	}
	x := &explanation{Standing: standing, subscriber: s, now: time.Now()}
	if err := x.tell(cmd.Context(), app.NewPreview(t, p.LookupEnv, p.Version)); err != nil {
		return err
	}
	if p.wantsJSON() {
		return writeJSON(cmd.OutOrStdout(), x.json())
	}
	x.write(cmd.OutOrStdout())
	return nil
}

// explainJSON is what genmesh explain -o json prints.
type explainJSON struct {
	Subscriber  string             `json:"subscriber"`
	Stream      string             `json:"stream"`
	Sequence    uint64             `json:"sequence"`
	State       mesh.DeliveryState `json:"state"`
	Verdict     string             `json:"verdict"`
	Steps       []explainStep      `json:"steps"`
	Stored      time.Time          `json:"stored"`
	Subject     string             `json:"subject"`
	MessageID   string             `json:"message_id,omitempty"`
	WindowEnds  time.Time          `json:"duplicate_window_ends"`
	Source      string             `json:"source,omitempty"`
	Interaction string             `json:"interaction,omitempty"`
	Type        string             `json:"type,omitempty"`
	Consumer    *consumerJSON      `json:"consumer,omitempty"`
	Deliveries  []mesh.Delivery    `json:"deliveries"`
	DeadLetters []deadJSON         `json:"dead_letters"`
	Pause       *mesh.Pause        `json:"pause,omitempty"`
	Breaker     *mesh.BreakerState `json:"breaker,omitempty"`
	Wait        *mesh.Wait         `json:"wait,omitempty"`
}

type consumerJSON struct {
	Name          string     `json:"name"`
	Created       time.Time  `json:"created"`
	DeliverPolicy string     `json:"deliver_policy"`
	AckFloor      uint64     `json:"ack_floor"`
	Delivered     uint64     `json:"delivered"`
	NumAckPending int        `json:"num_ack_pending"`
	MaxAckPending int        `json:"max_ack_pending"`
	NumPending    uint64     `json:"num_pending"`
	PausedUntil   *time.Time `json:"paused_until,omitempty"`
}

// explainStep is one thing that decided, or that is good to know.
type explainStep struct {
	// Step is one of stored, identity, dedupe, filter, consumer, start, shape, delivery, dead_letter, replay, pause, breaker,
	// wait, max_ack_pending, rate_limit and worker.
	Step string `json:"step"`
	// Result is yes, no, or note for what decides nothing.
	Result string `json:"result"`
	Text   string `json:"text"`
}

const (
	resultYes  = "yes"
	resultNo   = "no"
	resultNote = "note"
)

// explanation is the story of one event and one subscriber.
type explanation struct {
	*mesh.Standing
	subscriber mesh.Subscriber
	now        time.Time
	steps      []explainStep
	passes     string // the step that would pass the event by now; "" if none
	fails      bool   // a step would fail on it now
}

func (x *explanation) step(name, result, format string, args ...any) {
	x.steps = append(x.steps, explainStep{name, result, fmt.Sprintf(format, args...)})
}

// tell goes through what decides, in the order in which it does.
func (x *explanation) tell(ctx context.Context, preview app.Preview) error {
	x.tellStored()
	if !x.tellFilter() {
		return nil
	}
	if x.tellConsumer(); x.Consumer != nil {
		x.tellStart()
	}
	if err := x.tellShape(ctx, preview); err != nil {
		return err
	}
	x.tellOutcome()
	if x.State == mesh.StateWaiting || x.State == mesh.StateInHand || len(x.Replays) > 0 {
		x.tellWaiting()
	}
	return nil
}

func (x *explanation) tellStored() {
	e := x.Event
	x.step("stored", resultYes, "stored %s as %d of stream %s, under %s", at(e.Stored), e.Sequence, e.Stream, e.Subject)
	if x.NotEvent {
		x.step("identity", resultNo, "it is no event: genmesh did not publish it; a subscriber gets no such message, it becomes a dead letter")
		return
	}
	if x.isNotice() {
		x.step("identity", resultNote, "genmesh's own word that interaction %s of the source %s was erased, idempotency key %s",
			orNone(e.Interaction), e.Source, e.IdempotencyKey())
		return
	}
	x.step("identity", resultNote, "interaction %s, type %s, from the source %s, idempotency key %s",
		orNone(e.Interaction), orNone(e.Type), e.Source, e.IdempotencyKey())
	x.tellDedupe()
}

// isNotice reports whether it is an erasure event: no sender has sent it, and none repeats it.
func (x *explanation) isNotice() bool { return x.Event.Notice != "" }

func (x *explanation) tellDedupe() {
	switch first, fingerprint, later := strings.Cut(x.MessageID, "#"); {
	case x.MessageID == "":
		x.step("dedupe", resultNote, "it has no Nats-Msg-Id: nothing keeps it from being stored again")
	case x.now.After(x.WindowEnds):
		x.step("dedupe", resultNote, "its Nats-Msg-Id %s was remembered until %s: redelivered now, it may be stored again under the same idempotency key",
			x.MessageID, at(x.WindowEnds))
	case later:
		x.step("dedupe", resultNote, "a later event of %s (fingerprint %s): redelivered, it is answered \"duplicate\" until %s",
			first, fingerprint, at(x.WindowEnds))
	default:
		x.step("dedupe", resultNote, "the first event of its Nats-Msg-Id %s: redelivered, it is answered \"duplicate\" until %s", first, at(x.WindowEnds))
	}
}

func (x *explanation) tellFilter() bool {
	s, filters := x.subscriber, subscriberFilters(x.subscriber)
	switch {
	case s.Stream != x.Event.Stream:
		x.step("filter", resultNo, "%s reads the stream %s", s.Name, s.Stream)
	case !x.Matches:
		x.step("filter", resultNo, "its filter_subjects don't take that subject: %s", strings.Join(filters, ", "))
	case len(filters) == 0:
		x.step("filter", resultYes, "%s has no filter_subjects: it takes every subject", s.Name)
	default:
		x.step("filter", resultYes, "its filter_subjects take that subject")
	}
	return x.Matches
}

func (x *explanation) tellConsumer() {
	info := x.Consumer
	if info == nil {
		x.step("consumer", resultNo, "the server has no consumer of %s for it: run genmesh apply", x.subscriber.Name)
		return
	}
	which := ""
	if served, ok := mesh.ServedBy(info.Config); ok && served.Of > 1 {
		which = fmt.Sprintf(" (%d of %d)", served.Partition, served.Of)
	}
	x.step("consumer", resultYes, "the consumer %s%s reads it: everything up to %d is settled, up to %d was handed out, %s",
		info.Name, which, info.AckFloor.Stream, info.Delivered.Stream, plural(int(info.NumPending), "event")+" more to come")
}

func (x *explanation) tellStart() {
	info := x.Consumer
	switch {
	case x.Skipped:
		x.step("start", resultNote, "the consumers before this one had handed it out")
	case x.BeforeStart:
		x.step("start", resultNo, "%s begins behind it: deliver_policy %s, made %s", x.subscriber.Name, startOf(info), at(info.Created))
	default:
		x.step("start", resultYes, "deliver_policy %s, made %s: it is not before the subscriber's start", startOf(info), at(info.Created))
	}
}

func startOf(info *jetstream.ConsumerInfo) string {
	policy := info.Config.DeliverPolicy.String()
	switch {
	case info.Config.OptStartTime != nil:
		policy += " " + at(*info.Config.OptStartTime)
	case info.Config.OptStartSeq > 0:
		policy += fmt.Sprintf(" %d", info.Config.OptStartSeq)
	}
	return policy
}

// tellShape tries when, redact and transform.
func (x *explanation) tellShape(ctx context.Context, preview app.Preview) error {
	if x.NotEvent {
		return nil
	}
	if x.isNotice() {
		x.step("shape", resultYes, "when, redact and transform leave an erasure event alone: who has had the interaction has to hear of it")
		return nil
	}
	applied, standIn, err := preview.Shape(x.subscriber)
	if err != nil || applied == nil {
		return err
	}
	if standIn != "" {
		x.step("shape", resultNote, "%s", standIn)
	}
	shaped := applied.Explain(ctx, x.Event)
	if shaped.Answer != "" {
		result := resultNo
		if shaped.Answer == "true" {
			result = resultYes
		}
		x.step("shape", result, "when is %s: %s", shaped.Answer, strings.Join(append([]string{oneLine(x.subscriber.When)}, shaped.Unknown...), "; "))
	}
	switch {
	case shaped.Err != nil:
		x.fails = true
		x.step("shape", resultNo, "%v", shaped.Err)
	case !shaped.Delivered:
		x.passes = string(shaped.Decided)
		if shaped.Answer == "" || shaped.Answer == "true" {
			x.step("shape", resultNo, "%s makes nothing of it", x.passes)
		}
	case shaped.Answer == "":
		x.step("shape", resultYes, "redact and transform take it")
	}
	return nil
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), " ") }

// tellOutcome tells how its deliveries ended.
func (x *explanation) tellOutcome() {
	for _, d := range x.Deliveries {
		result, what := resultYes, "delivered"
		switch d.Outcome {
		case mesh.OutcomeDead:
			result, what = resultNo, "given up ("+d.Reason+")"
		case mesh.OutcomePassed:
			result, what = resultNo, "passed by, by "+orNone(d.Reason)
		}
		if d.Replay {
			what = "a replay of it was " + what
		}
		took := d.Ended.Sub(d.Began).Round(time.Millisecond)
		x.step("delivery", result, "%s %s after %s in %s, of which it waited %s", what, at(d.Ended), plural(d.Attempts, "attempt"), took,
			time.Duration(d.Waited).Round(time.Millisecond))
	}
	if len(x.Deliveries) == 0 && !x.Recorded {
		x.step("delivery", resultNote, `how deliveries ended is not recorded: streams.json has no stream that takes "deliveries.>"`)
	}
	for _, d := range x.DeadLetters {
		x.step("dead_letter", resultNo, "dead letter %d since %s: %s, %s: %s; look at it with genmesh dead show %d",
			d.Number, at(d.Buried), d.Reason, plural(d.Attempts, "attempt"), short(d.Error, 200), d.Number)
	}
}

// tellWaiting tells what keeps it from being delivered now, as far as anybody but its worker knows.
func (x *explanation) tellWaiting() {
	for _, r := range x.Replays {
		x.step("replay", resultNote, "the replay %s of the history will hand it out (again), at %s", r.ID, r.Rate)
	}
	info := x.Consumer
	if info == nil {
		return
	}
	if until := x.pausedUntil(); until != nil {
		x.step("pause", resultNo, "its consumer is paused until %s", at(*until))
	}
	if x.Pause.Holds(x.now) {
		x.step("pause", resultNo, "%s", pauseStory(x.subscriber.Name, x.Pause))
	}
	if b := x.Breaker; b.Open {
		x.step("breaker", resultNo, "the breaker is open since %s: %s; the next event tries %s",
			at(b.Since), short(b.Error, 200), at(b.Until))
	}
	if x.Wait.Holds(x.now) {
		x.step("wait", resultNo, "%s waits for its target since %s, and no attempt is spent meanwhile: %s; the next event tries %s",
			x.subscriber.Name, at(x.Wait.Since), short(orNone(x.Wait.Reason), 200), at(x.Wait.Until))
	}
	if info.NumAckPending >= info.Config.MaxAckPending && info.Config.MaxAckPending > 0 && x.State == mesh.StateWaiting {
		x.step("max_ack_pending", resultNo, "%s in hand, as many as max_ack_pending allows: it comes when one is settled", plural(info.NumAckPending, "event"))
	}
	if x.subscriber.RateLimit.Events > 0 {
		x.step("rate_limit", resultNote, "rate_limit lets %s through", x.subscriber.RateLimit)
	}
	if x.State == mesh.StateInHand {
		x.step("worker", resultNote, "whether it is being tried, waits behind an earlier event of its interaction, "+
			"or is settled while an event before it is not, its worker knows and logs")
	}
}

func (x *explanation) pausedUntil() *time.Time {
	if x.Consumer == nil || !x.Consumer.Paused {
		return nil
	}
	until := x.now.Add(x.Consumer.PauseRemaining)
	return &until
}

func pauseStory(subscriber string, p mesh.Pause) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s is paused since %s", subscriber, at(p.Since))
	if p.By != "" {
		fmt.Fprintf(&b, " by %s", p.By)
	}
	if p.Reason != "" {
		fmt.Fprintf(&b, " (%s)", p.Reason)
	}
	if p.Until.IsZero() {
		return b.String() + ", until it is resumed"
	}
	return b.String() + ", until " + at(p.Until)
}

// verdict is the end of the story in one line.
func (x *explanation) verdict() string {
	name := x.subscriber.Name
	switch x.State {
	case mesh.DeliveryState(mesh.OutcomeDelivered):
		return name + " has it"
	case mesh.DeliveryState(mesh.OutcomeDead):
		return name + " does not have it: it is a dead letter, or was one"
	case mesh.DeliveryState(mesh.OutcomePassed):
		return name + " does not get it: it was passed by"
	case mesh.StateNotMatched:
		return name + " does not get it: it is not among its subjects"
	case mesh.StateNoConsumer:
		return name + " does not get it: the server has no consumer for it"
	case mesh.StateBeforeStart:
		return name + " does not get it: it begins behind it"
	case mesh.StateSettled:
		return name + " is through with it; how that ended was not recorded" + x.unrecorded()
	case mesh.StateInHand:
		return "a worker of " + name + " has it" + x.keptBy()
	}
	return name + " will get it" + x.keptBy()
}

// unrecorded guesses from what streams.json says now.
func (x *explanation) unrecorded() string {
	switch {
	case x.passes != "":
		return ", but " + x.passes + " would pass it by"
	case x.fails:
		return ", but it would fail now"
	}
	return ", and it is no dead letter"
}

// keptBy is what keeps the event, in one word each.
func (x *explanation) keptBy() string {
	var kept []string
	for _, s := range x.steps {
		if s.Result == resultNo && !slices.Contains(kept, s.Step) && slices.Contains([]string{"pause", "breaker", "wait", "max_ack_pending"}, s.Step) {
			kept = append(kept, s.Step)
		}
	}
	switch {
	case len(kept) > 0:
		return ", once this allows it: " + strings.Join(kept, ", ")
	case x.passes != "":
		return " offered, but " + x.passes + " will pass it by"
	case x.fails:
		return " offered, but it will be a dead letter"
	}
	return ""
}

func (x *explanation) write(w io.Writer) {
	for _, s := range x.steps {
		mark := map[string]string{resultYes: markGood, resultNo: markBad, resultNote: markNote}[s.Result]
		say(w, "%s %s", mark, s.Text)
	}
	say(w, "\n%s: %s", x.State, x.verdict())
}

func (x *explanation) json() explainJSON {
	e := x.Event
	j := explainJSON{
		Subscriber: x.subscriber.Name, Stream: e.Stream, Sequence: e.Sequence, State: x.State, Verdict: x.verdict(), Steps: x.steps,
		Stored: e.Stored.UTC(), Subject: e.Subject, MessageID: x.MessageID, WindowEnds: x.WindowEnds.UTC(), Source: e.Source,
		Interaction: e.Interaction, Type: e.Type, Deliveries: append([]mesh.Delivery{}, x.Deliveries...), DeadLetters: []deadJSON{},
	}
	for _, d := range x.DeadLetters {
		j.DeadLetters = append(j.DeadLetters, summary(admin.DeadLetterOf(d)))
	}
	if info := x.Consumer; info != nil {
		j.Consumer = &consumerJSON{
			Name: info.Name, Created: info.Created.UTC(), DeliverPolicy: info.Config.DeliverPolicy.String(), AckFloor: info.AckFloor.Stream,
			Delivered: info.Delivered.Stream, NumAckPending: info.NumAckPending, MaxAckPending: info.Config.MaxAckPending,
			NumPending: info.NumPending, PausedUntil: x.pausedUntil(),
		}
	}
	if x.Pause.Holds(x.now) {
		j.Pause = &x.Pause
	}
	if !x.Breaker.Since.IsZero() {
		j.Breaker = &x.Breaker
	}
	if x.Wait.Holds(x.now) {
		j.Wait = &x.Wait
	}
	return j
}

func at(t time.Time) string { return t.Local().Format(momentOfDay) }

func orNone(text string) string {
	if text == "" {
		return "(none)"
	}
	return text
}
