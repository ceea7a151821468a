package shape

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// Shape is what one subscriber gets of an event. It is immutable and safe for concurrent use. A nil Shape changes nothing.
type Shape struct {
	when      *condition
	redact    []redaction
	key       []byte
	transform *program
}

// New compiles what the subscriber says, and reads the key of its hashes by lookup (nil is os.LookupEnv). It fails as Check does, or
// if there is no key where one is needed. The Shape of a subscriber that says nothing is nil.
func New(s mesh.Subscriber, lookup func(string) (string, bool)) (*Shape, error) {
	shape, mistakes := compile(s)
	if len(mistakes) > 0 {
		return nil, fmt.Errorf("subscriber %s: %w", s.Name, mistakes)
	}
	if shape.when == nil && len(shape.redact) == 0 && shape.transform == nil {
		return nil, nil
	}
	if !shape.hashes() {
		return shape, nil
	}
	key, err := s.RedactKey.Resolve(lookup)
	if err == nil && len(key) < leastKeyBytes {
		err = fmt.Errorf("the secret %s: it has %d bytes; a key of at least %d is needed, or hashes of telephone numbers can be guessed",
			s.RedactKey, len(key), leastKeyBytes)
	}
	if err != nil {
		return nil, fmt.Errorf("subscriber %s: redact_key: %w", s.Name, err)
	}
	shape.key = []byte(key)
	return shape, nil
}

// Check compiles what the subscriber says and reads no secret. Its error is a Mistakes with all that is wrong.
func Check(s mesh.Subscriber) error {
	if _, mistakes := compile(s); len(mistakes) > 0 {
		return mistakes
	}
	return nil
}

func compile(s mesh.Subscriber) (*Shape, Mistakes) {
	var shape Shape
	var mistakes, more Mistakes
	if s.When != "" {
		shape.when, more = compileCondition(s.When)
		mistakes = append(mistakes, more...)
	}
	shape.redact, more = compileRedactions(s)
	mistakes = append(mistakes, more...)
	if s.Transform != "" {
		shape.transform, more = compileProgram(s.Transform)
		mistakes = append(mistakes, more...)
	}
	return &shape, mistakes
}

// Apply makes of e what the subscriber gets: a copy with another body, or e itself. It reports false if the event is to be passed by. An error
// means that it must not be handed on, and that no retry helps, unless it is ErrTimeLimit or the end of ctx. It shows no value of the body, for
// it goes to logs and dead letters; Explain tells more.
func (s *Shape) Apply(ctx context.Context, e mesh.Event) (mesh.Event, bool, error) {
	if s == nil {
		return e, true, nil
	}
	r := run{Shape: s, ctx: ctx, event: e}
	return r.all(nil)
}

// Redact is e with its values hidden, without When and Transform: for whoever keeps or shows an event on behalf of the subscriber. If the body
// can't be read it fails, and the event that it returns has no body.
func (s *Shape) Redact(e mesh.Event) (mesh.Event, error) {
	if s == nil || len(s.redact) == 0 {
		return e, nil
	}
	r := run{Shape: s, ctx: context.Background(), event: e}
	err := r.hide(nil)
	return r.event, err
}

// Step is a part of a Shape.
type Step string

// The steps, in their order.
const (
	StepWhen      Step = "when"
	StepRedact    Step = "redact"
	StepTransform Step = "transform"
)

// Explanation tells why a subscriber gets an event, or doesn't, and as what.
type Explanation struct {
	// Delivered reports whether the subscriber gets the event.
	Delivered bool
	// Decided is the step that kept the event from the subscriber; "" if it gets it.
	Decided Step
	// Answer is what the condition came to: "true", "false" or "unknown"; "" if there is none or it failed.
	Answer string
	// Unknown are the parts of the condition that had no answer, with the reason, outermost last; at most 16.
	Unknown []string
	// Redacted are the values that were hidden, by path, at most 64 of them; Hidden counts them all.
	Redacted []RedactedValue
	Hidden   int
	// AfterRedact is the body after redaction; nil if the condition held the event back or redaction failed.
	AfterRedact []byte
	// Event is what the subscriber gets; the zero Event if it gets nothing.
	Event mesh.Event
	// Err is why it is an error.
	Err error
	// Whole is what Err leaves out: the error as the program or a built-in of it wrote it, with values of the body as they are after
	// redaction; "" if that is no more. It is for the terminal of somebody who has the body, and never for a log or a dead letter.
	Whole string
}

// RedactedValue is where a value was, and what stands there now.
type RedactedValue struct {
	Path string
	With mesh.RedactWith
}

// Explain does what Apply does, and tells why. It costs more.
func (s *Shape) Explain(ctx context.Context, e mesh.Event) Explanation {
	var x Explanation
	if s == nil {
		s = &Shape{}
	}
	r := run{Shape: s, ctx: ctx, event: e}
	event, delivered, err := r.all(&x)
	if x.Delivered, x.Err = delivered, err; delivered {
		x.Event, x.Decided = event, ""
	}
	return x
}

// ErrTimeLimit means that a program took too long: by itself, or because the machine was busy. Another try may help.
var ErrTimeLimit = errors.New("the time limit")

// run is one event on its way through a Shape.
type run struct {
	*Shape
	ctx      context.Context
	event    mesh.Event
	document *document // of the body as it came; nil until it is needed
	hidden   []mark    // by node of the document; nil if nothing is hidden
}

// all takes the steps in their order. x, if not nil, is told why.
func (r *run) all(x *Explanation) (mesh.Event, bool, error) {
	for _, step := range []struct {
		name Step
		take func(*Explanation) (bool, error)
	}{{StepWhen, r.chosen}, {StepRedact, r.redacted}, {StepTransform, r.transformed}} {
		if x != nil {
			x.Decided = step.name
		}
		if goesOn, err := step.take(x); err != nil {
			return mesh.Event{}, false, fmt.Errorf("%s: %w", step.name, err)
		} else if !goesOn {
			return mesh.Event{}, false, nil
		}
	}
	return r.event, true, nil
}

func (r *run) chosen(x *Explanation) (bool, error) {
	if r.when == nil {
		return true, nil
	}
	answer, err := r.when.evaluate(r, x)
	if err == nil && x != nil {
		x.Answer = answer.String()
	}
	return answer == yes, err
}

func (r *run) redacted(x *Explanation) (bool, error) {
	err := r.hide(x)
	if err == nil && x != nil {
		x.AfterRedact = r.event.Body
	}
	return true, err
}

// hide replaces the event's body by one without the values that are redacted. Where that fails the body is gone.
func (r *run) hide(x *Explanation) error {
	if len(r.redact) == 0 {
		return nil
	}
	d, err := r.read()
	if err != nil {
		r.event.Body = nil
		return err
	}
	r.hidden = d.match(r.redact)
	r.event.Body = d.write(r.hidden, r.key)
	if d.hides(r.hidden, r.event.Occurred) {
		r.event.Occurred = time.Time{} // it would travel in the envelope
	}
	if x != nil {
		x.Redacted, x.Hidden = d.list(r.hidden)
	}
	return nil
}

func (r *run) transformed(x *Explanation) (bool, error) {
	if r.transform == nil {
		return true, nil
	}
	d, err := r.read()
	if err != nil {
		return false, err
	}
	input, err := d.value(r.hidden, r.key)
	if err != nil {
		return false, err
	}
	body, goesOn, err := r.transform.run(r.ctx, input, envelope(r.event), x)
	if err != nil || !goesOn {
		return false, err
	}
	r.event.Body = body
	return true, nil
}

// read indexes the body as it came, once.
func (r *run) read() (*document, error) {
	if r.document != nil {
		return r.document, nil
	}
	d, err := parseDocument(r.event.Body)
	r.document = d
	return d, err
}

// envelope is what a program gets as $event. A value that the event has not is null.
func envelope(e mesh.Event) map[string]any {
	values := map[string]any{"sequence": nil, "occurred": nil, "received": nil}
	for name, value := range envelopeText(&e) {
		if values[name] = value; value == "" {
			values[name] = nil
		}
	}
	if e.Sequence > 0 {
		values["sequence"] = int(e.Sequence)
	}
	if !e.Occurred.IsZero() {
		values["occurred"] = e.Occurred.UTC().Format(time.RFC3339Nano)
	}
	if !e.Received.IsZero() {
		values["received"] = e.Received.UTC().Format(time.RFC3339Nano)
	}
	return values
}

// envelopeText yields the envelope's text values, by the names that conditions and programs have for them.
func envelopeText(e *mesh.Event) map[string]string {
	return map[string]string{
		"source": e.Source, "organization": e.Organization, "interaction": e.Interaction, "id": e.ID, "type": e.Type,
		"media": e.Media, "subject": e.Subject, "stream": e.Stream,
	}
}

// Mistake is one thing that is wrong in what a subscriber says.
type Mistake struct {
	// Field is the field of the subscriber, such as "when" or "redact[1].path".
	Field string
	// Line and Column are the place in the field's text, from 1; Column counts bytes. They are 0 if it is the text as a whole.
	Line, Column int
	Problem      string
	// Hint says what to write instead; it may be "".
	Hint string
}

func (m Mistake) Error() string {
	var b strings.Builder
	b.WriteString(m.Field)
	if where := m.place(); where != "" {
		b.WriteString(" (" + where + ")")
	}
	b.WriteString(": " + m.Problem)
	if m.Hint != "" {
		b.WriteString("; " + m.Hint)
	}
	return b.String()
}

// place is "" if it is the text as a whole.
func (m Mistake) place() string {
	switch m.Line {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("column %d", m.Column)
	default:
		return fmt.Sprintf("line %d, column %d", m.Line, m.Column)
	}
}

// Mistakes are all that is wrong in what a subscriber says, field by field.
type Mistakes []Mistake

func (m Mistakes) Error() string {
	lines := make([]string, len(m))
	for i, mistake := range m {
		lines[i] = mistake.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap are the mistakes in the terms of streams.json, each a *mesh.FieldError. Where in its text a field is wrong stands in
// the Problem, for a text of several lines is one line in JSON.
func (m Mistakes) Unwrap() []error {
	errs := make([]error, len(m))
	for i, mistake := range m {
		problem := mistake.Problem
		if where := mistake.place(); where != "" {
			problem = where + ": " + problem
		}
		errs[i] = &mesh.FieldError{Field: mistake.Field, Problem: problem, Hint: mistake.Hint}
	}
	return errs
}

// place is the line and column of a byte offset of a text.
func place(text string, offset int) (line, column int) {
	before := text[:min(max(offset, 0), len(text))]
	return strings.Count(before, "\n") + 1, len(before) - strings.LastIndexByte(before, '\n')
}

// maxNamed is how many known names a hint holds at most if none of them is near, maxNear if some are.
const (
	maxNamed = 12
	maxNear  = 3
)

// suggest is a hint at the name that was most likely meant, at those that are near, or at all of them if they are few.
func suggest(wrong string, known []string) string {
	for _, name := range known {
		if strings.EqualFold(name, wrong) || len(wrong) > 2 && mesh.EditDistance(wrong, name) <= 1 {
			return fmt.Sprintf("did you mean %q?", name)
		}
	}
	if len(known) <= maxNamed {
		return "known are " + strings.Join(known, ", ")
	}
	if near := nearest(wrong, known); len(near) > 0 {
		return "the nearest are " + strings.Join(near, ", ")
	}
	return `see "when" and "transform" in docs/delivery.md`
}

// nearest are the known names that a third of the wrong one's letters makes of it, the nearest first.
func nearest(wrong string, known []string) []string {
	distances := map[string]int{}
	var near []string
	for _, name := range known {
		if distances[name] = mesh.EditDistance(wrong, name); distances[name] <= (len(wrong)+2)/3 {
			near = append(near, name)
		}
	}
	slices.SortStableFunc(near, func(a, b string) int { return distances[a] - distances[b] })
	return near[:min(len(near), maxNear)]
}
