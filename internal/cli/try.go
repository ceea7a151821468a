package cli

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/shape"
)

const tryHelp = `Show what a configuration does with events. Nothing is sent, stored or acknowledged.

With --event, one delivery is tried, without a server: its body is read as its source would read it, and what the
subscriber gets of it is shown step by step, up to the request that its target would get. The file may be what a sender
posts, or the body of a stored event. Without --source it comes through the first source of the subscriber's stream;
its signature is not looked at. Secrets are not shown; those that are not set have stand-ins. Why a step failed is shown
in full, with values of the event, which logs and dead letters leave out.

With --since, the stored events of that time are tried with two configurations: --streams names the changed file,
--against the one to compare it with, which is the one in force if it is left out. For each subscriber it shows what the change would add to its deliveries and take
away, which bodies would differ, and on which events when, redact or transform would fail, as if either file had been
in force all the time: where a subscriber begins is not looked at.

Exit codes: 0 the subscriber gets every event of the delivery, or the change changes nothing; 2 there is an event that it
does not get, or something that changes; 1 an error or wrong usage.`

const tryExample = `  genmesh try crm --event call.json
  genmesh dead show 17 -o json | jq .body | genmesh try crm --event -
  genmesh try --since 7d --streams new.json
  genmesh try billing --since 2026-01-31T00:00:00Z --streams new.json --against streams.json -o json`

type tryFlags struct {
	event   string
	source  string
	headers []string
	cluster clusterFlags
	span    span
	against string
	limit   int
}

func newTry(p *program) *cobra.Command {
	f := new(tryFlags)
	cmd := &cobra.Command{
		Use:     "try [SUBSCRIBER]",
		Short:   "Show what a subscriber would get of an event, or what a changed streams.json would change",
		Long:    tryHelp,
		Example: tryExample,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(args); err != nil {
				return err
			}
			if f.event != "" {
				return p.tryEvent(cmd, f, args[0])
			}
			return p.trySince(cmd, f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.event, "event", "", "try the delivery in `FILE`, \"-\" is stdin")
	flags.StringVar(&f.source, "source", "", "the source `NAME` that the event comes through (default: the first of the subscriber's stream)")
	flags.StringArrayVar(&f.headers, "header", nil, "a `NAME: VALUE` that the delivery came with, for sources that read headers; may be repeated")
	flags.StringVar(&f.against, "against", "", "the `FILE` that --streams is compared with (default: the one that commands use without --streams, $GENMESH_STREAMS or "+defaultStreams+")")
	flags.IntVar(&f.limit, "limit", defaultTryExamples, "at most `N` examples for each subscriber")
	f.span.add(flags, "events stored")
	f.cluster.add(flags)
	p.outputFlag(cmd)
	return cmd
}

func (f *tryFlags) check(args []string) error {
	switch {
	case f.event == "" && !f.span.given():
		return errors.New("say what to try: --event FILE, or the stored events by --since TIME")
	case f.event != "" && f.span.given():
		return errors.New("--event tries one delivery, --since and --until stored ones: give one of them")
	case f.event != "" && len(args) == 0:
		return errors.New("name the subscriber that --event is tried for")
	case f.limit < 0 || f.limit > maxTryExamples:
		return fmt.Errorf("--limit must be 0 to %d", maxTryExamples)
	}
	return nil
}

// namedSubscriber finds a subscriber by its name.
func namedSubscriber(t *mesh.Topology, name string) (mesh.Subscriber, error) {
	var names []string
	for _, s := range t.Subscribers {
		if s.Name == name {
			return s, nil
		}
		names = append(names, s.Name)
	}
	return mesh.Subscriber{}, fmt.Errorf("streams.json has no subscriber %q; it has %q", name, names)
}

// tryJSON is what genmesh try --event -o json prints.
type tryJSON struct {
	Subscriber string `json:"subscriber"`
	Source     string `json:"source"`
	// StandIns say which secrets could not be read, and what stands in their place.
	StandIns []string     `json:"stand_ins"`
	Events   []triedEvent `json:"events"`
}

// triedEvent is one event of a delivery and what becomes of it.
type triedEvent struct {
	Event eventJSON `json:"event"`
	// Quarantined is why ingress would put the event into quarantine.
	Quarantined *whyQuarantined `json:"quarantined,omitempty"`
	// Matches tells whether the filters take the subject; none take all.
	Matches bool      `json:"filter_matches"`
	Filters []string  `json:"filter_subjects"`
	When    *whenJSON `json:"when,omitempty"`
	// Redacted are the first 64 values that were hidden, Hidden counts all.
	Redacted []redactedJSON `json:"redacted,omitempty"`
	Hidden   int            `json:"hidden,omitempty"`
	// Transformed is there if there is a transform and it made a body.
	Transformed *transformedJSON `json:"transformed,omitempty"`
	// Delivered tells whether the subscriber gets it; Decided is what kept it: quarantine, filter_subjects, when, redact or transform.
	Delivered bool   `json:"delivered"`
	Decided   string `json:"decided,omitempty"`
	// Error is why a step failed: the event would be a dead letter, and this be with it. ErrorInFull is what is not, for it has values of
	// the body.
	Error       string    `json:"error,omitempty"`
	ErrorInFull string    `json:"error_in_full,omitempty"`
	Sent        *sentJSON `json:"sent,omitempty"`
}

type eventJSON struct {
	Source         string     `json:"source"`
	Organization   string     `json:"organization,omitempty"`
	Interaction    string     `json:"interaction,omitempty"`
	EventID        string     `json:"event_id,omitempty"`
	Type           string     `json:"type,omitempty"`
	Media          string     `json:"media,omitempty"`
	Occurred       *time.Time `json:"occurred,omitempty"`
	Fingerprint    string     `json:"fingerprint"`
	IdempotencyKey string     `json:"idempotency_key"`
	Stream         string     `json:"stream"`
	Subject        string     `json:"subject"`
	MessageID      string     `json:"message_id"`
	// LaterMessageID names it if another event of its key came before within the duplicate window.
	LaterMessageID string `json:"later_message_id"`
}

type whyQuarantined struct {
	Reason string `json:"reason"`
	Detail string `json:"detail,omitempty"`
}

type whenJSON struct {
	Condition string `json:"condition"`
	// Answer is true, false or unknown; "" if it failed.
	Answer  string   `json:"answer,omitempty"`
	Unknown []string `json:"unknown,omitempty"`
}

type redactedJSON struct {
	Path string          `json:"path"`
	With mesh.RedactWith `json:"with"`
}

type transformedJSON struct {
	BytesBefore int `json:"bytes_before"`
	BytesAfter  int `json:"bytes_after"`
}

type sentJSON struct {
	app.Sent
	Body any `json:"body"`
}

func (p *program) tryEvent(cmd *cobra.Command, f *tryFlags, name string) error {
	t, err := p.topology(cmd)
	if err != nil {
		return err
	}
	subscriber, err := namedSubscriber(t, name)
	if err != nil {
		return err
	}
	readings, source, err := p.readDelivery(f, t, subscriber)
	if err != nil {
		return err
	}
	trial, err := newTrial(app.NewPreview(t, p.LookupEnv, p.Version), subscriber)
	if err != nil {
		return err
	}
	result := tryJSON{Subscriber: name, Source: source.Name, Events: []triedEvent{}}
	for _, reading := range readings {
		tried, err := trial.event(cmd.Context(), &source, reading)
		if err != nil {
			return err
		}
		result.Events = append(result.Events, tried)
	}
	result.StandIns = trial.standIns
	if p.wantsJSON() {
		err = writeJSON(cmd.OutOrStdout(), result)
	} else {
		err = result.write(cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	if err != nil {
		return err
	}
	if slices.ContainsFunc(result.Events, func(e triedEvent) bool { return !e.Delivered }) {
		return exitCode(exitChanges)
	}
	return nil
}

// readDelivery makes events of the file as ingress does.
func (p *program) readDelivery(f *tryFlags, t *mesh.Topology, s mesh.Subscriber) ([]ingress.Reading, mesh.Source, error) {
	source, err := f.sourceFor(t, s)
	if err != nil {
		return nil, source, err
	}
	header, err := parseHeaders(f.headers)
	if err != nil {
		return nil, source, err
	}
	body, err := p.readEvent(f.event)
	switch {
	case err != nil:
		return nil, source, err
	case len(body) == 0:
		return nil, source, fmt.Errorf("%s is empty; its sender would be answered 400", f.event)
	case int64(len(body)) > int64(source.MaxBodyBytes):
		return nil, source, fmt.Errorf("%s has %d bytes; the source %s takes at most %d and would answer 413",
			f.event, len(body), source.Name, source.MaxBodyBytes)
	}
	reader, err := ingress.NewReader(source)
	if err != nil {
		return nil, source, fmt.Errorf("source %s: %w", source.Name, err)
	}
	return reader.Read(header, mesh.Event{
		Source: source.Name, Received: time.Now(), Body: body,
		DeliveryID: header.Get(source.Identity.DeliveryIDHeader), DeliveryType: header.Get(source.Identity.DeliveryTypeHeader),
	}), source, nil
}

func (f *tryFlags) sourceFor(t *mesh.Topology, s mesh.Subscriber) (mesh.Source, error) {
	if f.source != "" {
		return sourceOf(t, f.source)
	}
	for _, source := range t.Sources {
		if source.Stream == s.Stream {
			return source, nil
		}
	}
	return mesh.Source{}, fmt.Errorf("no source feeds the stream %s of %s; name one with --source", s.Stream, s.Name)
}

func parseHeaders(texts []string) (http.Header, error) {
	header := http.Header{}
	for _, text := range texts {
		name, value, found := strings.Cut(text, ":")
		if name = strings.TrimSpace(name); !found || name == "" {
			return nil, fmt.Errorf(`--header %q: write it as "Name: value"`, text)
		}
		header.Add(name, strings.TrimSpace(value))
	}
	return header, nil
}

// trial is a subscriber and what it makes of events.
type trial struct {
	preview    app.Preview
	subscriber mesh.Subscriber
	shape      *shape.Shape
	standIns   []string
}

func newTrial(preview app.Preview, s mesh.Subscriber) (*trial, error) {
	t := &trial{preview: preview, subscriber: s, standIns: []string{}}
	applied, standIn, err := preview.Shape(s)
	if err != nil {
		return nil, err
	}
	t.shape = applied
	t.note(standIn)
	return t, nil
}

func (t *trial) note(standIns ...string) {
	for _, text := range standIns {
		if text != "" && !slices.Contains(t.standIns, text) {
			t.standIns = append(t.standIns, text)
		}
	}
}

// event follows one event of a delivery on its way.
func (t *trial) event(ctx context.Context, source *mesh.Source, reading ingress.Reading) (triedEvent, error) {
	e := source.Addressed(reading.Event)
	s := t.subscriber
	x := triedEvent{Event: identityOf(e), Filters: subscriberFilters(s), Matches: s.Stream == e.Stream && s.Matches(e.Subject)}
	if reading.Reason != "" {
		x.Quarantined, x.Decided = &whyQuarantined{reading.Reason, e.Detail}, "quarantine"
		return x, nil
	}
	if !x.Matches {
		x.Decided = "filter_subjects"
		return x, nil
	}
	shaped := t.shape.Explain(ctx, e)
	x.explained(s, shaped)
	if !x.Delivered {
		return x, nil
	}
	sent, err := t.preview.Sent(s, shaped.Event)
	if err != nil {
		return x, err
	}
	t.note(sent.StandIns...)
	x.Sent = &sentJSON{sent, bodyJSON(sent.Body)}
	return x, nil
}

// explained takes over what the subscriber's steps came to.
func (x *triedEvent) explained(s mesh.Subscriber, shaped shape.Explanation) {
	x.Delivered, x.Decided, x.Hidden = shaped.Delivered, string(shaped.Decided), shaped.Hidden
	if shaped.Err != nil {
		x.Error, x.ErrorInFull = shaped.Err.Error(), shaped.Whole
	}
	if s.When != "" {
		x.When = &whenJSON{s.When, shaped.Answer, shaped.Unknown}
	}
	for _, r := range shaped.Redacted {
		x.Redacted = append(x.Redacted, redactedJSON(r))
	}
	if s.Transform != "" && shaped.Delivered {
		x.Transformed = &transformedJSON{len(shaped.AfterRedact), len(shaped.Event.Body)}
	}
}

func identityOf(e mesh.Event) eventJSON {
	first, later := e.MessageIDs()
	return eventJSON{
		Source: e.Source, Organization: e.Organization, Interaction: e.Interaction, EventID: e.ID, Type: e.Type, Media: e.Media,
		Occurred: known(e.Occurred), Fingerprint: e.Fingerprint, IdempotencyKey: e.IdempotencyKey(), Stream: e.Stream, Subject: e.Subject,
		MessageID: first, LaterMessageID: later,
	}
}

// subscriberFilters are the subjects that a subscriber takes; none are all.
func subscriberFilters(s mesh.Subscriber) []string {
	if s.FilterSubject != "" {
		return []string{s.FilterSubject}
	}
	return append([]string{}, s.FilterSubjects...)
}

// The marks of a step.
const (
	markGood = "✓"
	markBad  = "✗"
	markNote = "·"
)

func (r tryJSON) write(w, notes io.Writer) error {
	for i, x := range r.Events {
		if i > 0 {
			say(w, "\n")
		}
		say(w, "event %d of %d, as the source %s reads it", i+1, len(r.Events), r.Source)
		if err := x.Event.write(w); err != nil {
			return err
		}
		x.writeSteps(w, r.Subscriber)
		x.writeSent(w, r.Subscriber)
	}
	for _, text := range r.StandIns {
		say(notes, "note: %s", text)
	}
	return nil
}

func (e eventJSON) write(w io.Writer) error {
	var t table
	for _, field := range [][2]string{
		{"interaction", e.Interaction}, {"type", e.Type}, {"media", e.Media}, {"event id", e.EventID}, {"organization", e.Organization},
		{"fingerprint", e.Fingerprint}, {"idempotency key", e.IdempotencyKey}, {"stream", e.Stream}, {"subject", e.Subject},
		{"Nats-Msg-Id", e.MessageID}, {"", e.LaterMessageID + " if another event of this key came before"},
	} {
		if field[1] != "" {
			t.row("  "+field[0], field[1])
		}
	}
	return t.write(w)
}

func (x triedEvent) writeSteps(w io.Writer, subscriber string) {
	if q := x.Quarantined; q != nil {
		say(w, "%s it goes to quarantine: %s", markBad, strings.TrimSpace(q.Reason+" "+q.Detail))
		return
	}
	switch {
	case !x.Matches:
		say(w, "%s filter_subjects do not take its subject: %s", markBad, strings.Join(x.Filters, ", "))
		say(w, "%s does not get it", subscriber)
		return
	case len(x.Filters) > 0:
		say(w, "%s filter_subjects take its subject", markGood)
	default:
		say(w, "%s %s has no filter_subjects: it takes every subject", markGood, subscriber)
	}
	x.writeWhen(w)
	x.writeRedacted(w)
	switch {
	case x.Error != "":
		say(w, "%s %s", markBad, x.Error)
		if x.ErrorInFull != "" {
			say(w, "    in full, which no log and no dead letter has: %s", x.ErrorInFull)
		}
		say(w, "%s does not get it: it would be a dead letter", subscriber)
	case !x.Delivered:
		if x.Decided == string(shape.StepTransform) {
			say(w, "%s transform makes nothing of it", markBad)
		}
		say(w, "%s does not get it: %s passes it by", subscriber, x.Decided)
	case x.Transformed != nil:
		say(w, "%s transform made %d bytes of %d", markGood, x.Transformed.BytesAfter, x.Transformed.BytesBefore)
	}
}

func (x triedEvent) writeWhen(w io.Writer) {
	if x.When == nil || x.When.Answer == "" {
		return
	}
	mark := markBad
	if x.When.Answer == "true" {
		mark = markGood
	}
	say(w, "%s when is %s: %s", mark, x.When.Answer, strings.Join(strings.Fields(x.When.Condition), " "))
	for _, part := range x.When.Unknown {
		say(w, "    unknown: %s", part)
	}
}

func (x triedEvent) writeRedacted(w io.Writer) {
	if x.Hidden == 0 {
		return
	}
	var paths []string
	for _, r := range x.Redacted {
		paths = append(paths, fmt.Sprintf("%s (%s)", r.Path, cmp.Or(r.With, mesh.RedactMask)))
	}
	if more := x.Hidden - len(paths); more > 0 {
		paths = append(paths, fmt.Sprintf("and %d more", more))
	}
	say(w, "%s redact hides %s: %s", markNote, plural(x.Hidden, "value"), strings.Join(paths, ", "))
}

func (x triedEvent) writeSent(w io.Writer, subscriber string) {
	if x.Sent == nil {
		return
	}
	say(w, "\n%s gets this %s", subscriber, x.Sent.Kind)
	say(w, "  %s", strings.TrimSpace(x.Sent.Method+" "+x.Sent.To))
	writeHeaders(w, x.Sent.Header)
	say(w, "\n")
	body := string(x.Sent.Sent.Body)
	if x.Sent.Kind != "line" {
		body = pretty(x.Sent.Sent.Body)
	}
	writeLines(w, shifted(body))
}

func writeHeaders(w io.Writer, h http.Header) {
	for _, name := range slices.Sorted(maps.Keys(h)) {
		say(w, "  %s: %s", name, strings.Join(h[name], ", "))
	}
}

// shifted moves text two columns in.
func shifted(text string) string {
	var b strings.Builder
	for line := range strings.Lines(text) {
		b.WriteString("  " + line)
	}
	return b.String()
}
