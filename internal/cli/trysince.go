package cli

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/shape"
)

const (
	defaultTryExamples = 5
	maxTryExamples     = 1000
	// maxTryReasons bounds the reasons of failures that are told for each subscriber.
	maxTryReasons = 5
)

// sinceJSON is what genmesh try --since -o json prints.
type sinceJSON struct {
	Since *time.Time `json:"since,omitempty"`
	Until *time.Time `json:"until,omitempty"`
	// Events is how many stored events were tried.
	Events      int              `json:"events"`
	Subscribers []subscriberDiff `json:"subscribers"`
	// Notes tell of streams that were not there, and of secrets that have stand-ins.
	Notes []string `json:"notes"`
}

// subscriberDiff is what a change of streams.json does to one subscriber's deliveries.
type subscriberDiff struct {
	Subscriber string `json:"subscriber"`
	// Status is changed, unchanged, new or gone. What is unchanged was not counted.
	Status string `json:"status"`
	// Before and After count the events that the subscriber gets.
	Before int `json:"before"`
	After  int `json:"after"`
	// Added and Removed count those that it gets only after or only before; Removed includes those on which the change fails.
	Added   int `json:"added"`
	Removed int `json:"removed"`
	// BodyDiffers counts those that it gets with another body.
	BodyDiffers int `json:"body_differs"`
	// Fails counts the events on which when, redact or transform fails: they would be dead letters. FailedBefore is without the change.
	Fails        int           `json:"fails"`
	FailedBefore int           `json:"failed_before"`
	Reasons      []failReason  `json:"reasons,omitempty"`
	Examples     []diffExample `json:"examples"`
}

// failReason is why events fail, the first of them and how many there are.
type failReason struct {
	Reason   string `json:"reason"`
	Sequence uint64 `json:"sequence"`
	Events   int    `json:"events"`
}

// diffExample is one event that the change means something for.
type diffExample struct {
	Effect      string `json:"effect"` // added, removed, body or fails
	Stream      string `json:"stream"`
	Sequence    uint64 `json:"sequence"`
	Type        string `json:"type,omitempty"`
	Interaction string `json:"interaction,omitempty"`
	// Why is what decides after the change: a step, or the error.
	Why string `json:"why,omitempty"`
}

func (d *subscriberDiff) changes() bool {
	return d.Added+d.Removed+d.BodyDiffers > 0 || d.Fails != d.FailedBefore
}

func (p *program) trySince(cmd *cobra.Command, f *tryFlags, args []string) error {
	since, until, err := f.span.times(time.Now())
	if err != nil {
		return err
	}
	diffs, err := p.differences(cmd, f, args)
	if err != nil {
		return err
	}
	result := &sinceJSON{Since: known(since), Until: known(until), Notes: diffs.notes}
	if streams := diffs.streams(); len(streams) > 0 {
		if err := p.tryStored(cmd.Context(), f, diffs, result, since, until); err != nil {
			return err
		}
	}
	for _, d := range diffs.all {
		result.Subscribers = append(result.Subscribers, d.subscriberDiff)
	}
	if p.wantsJSON() {
		err = writeJSON(cmd.OutOrStdout(), result)
	} else {
		err = result.write(cmd.OutOrStdout(), cmd.ErrOrStderr())
	}
	if err == nil && slices.ContainsFunc(result.Subscribers, func(d subscriberDiff) bool { return d.changes() }) {
		return exitCode(exitChanges)
	}
	return err
}

// differences compares the two files.
func (p *program) differences(cmd *cobra.Command, f *tryFlags, args []string) (*differences, error) {
	if err := f.settleAgainst(p); err != nil {
		return nil, err
	}
	after, err := p.topology(cmd)
	if err != nil {
		return nil, err
	}
	with := *p
	with.streams = f.against
	before, err := with.topology(cmd)
	if err != nil {
		return nil, err
	}
	preview := app.NewPreview(after, p.LookupEnv, p.Version)
	d := &differences{notes: []string{}, limit: f.limit}
	for _, name := range subscriberNames(before, after, args) {
		if err := d.add(name, preview, before, after); err != nil {
			return nil, err
		}
	}
	if len(d.all) == 0 {
		return nil, fmt.Errorf("neither %s nor %s has the subscriber %q", f.against, p.streams, args[0])
	}
	return d, nil
}

// settleAgainst names the file in force, if nobody did, and sees to it that it is there and another one than --streams.
func (f *tryFlags) settleAgainst(p *program) error {
	if f.against == "" {
		f.against = p.streamsInForce()
	}
	inForce, err := os.Stat(f.against)
	if err != nil {
		return fmt.Errorf("what --streams is compared with can't be read: %w; name the file in force with --against", err)
	}
	if changed, err := os.Stat(p.streams); err == nil && os.SameFile(changed, inForce) {
		return fmt.Errorf("--streams and --against are both %s: name the changed file with --streams, the one in force with --against", f.against)
	}
	return nil
}

// streamsInForce is the file that commands use without --streams.
func (p *program) streamsInForce() string {
	named, _ := p.LookupEnv("GENMESH_STREAMS")
	return cmp.Or(named, defaultStreams)
}

// subscriberNames are those of either file, in their order, or the one that was named.
func subscriberNames(before, after *mesh.Topology, args []string) []string {
	var names []string
	for _, s := range slices.Concat(before.Subscribers, after.Subscribers) {
		if !slices.Contains(names, s.Name) && (len(args) == 0 || args[0] == s.Name) {
			names = append(names, s.Name)
		}
	}
	return names
}

// differences is how two configurations treat subscribers.
type differences struct {
	all   []*difference
	notes []string
	limit int
}

// difference is one subscriber by both configurations; a side is nil where there is no such subscriber.
type difference struct {
	subscriberDiff
	before, after *trialSide
	limit         int
}

// trialSide is a subscriber by one configuration.
type trialSide struct {
	mesh.Subscriber
	shape *shape.Shape
}

func (d *differences) add(name string, preview app.Preview, before, after *mesh.Topology) error {
	one := &difference{subscriberDiff: subscriberDiff{Subscriber: name, Status: "changed", Examples: []diffExample{}}, limit: d.limit}
	for _, side := range []struct {
		of   *mesh.Topology
		into **trialSide
	}{{before, &one.before}, {after, &one.after}} {
		s, err := namedSubscriber(side.of, name)
		if err != nil {
			continue
		}
		applied, standIn, err := preview.Of(side.of).Shape(s)
		if err != nil {
			return err
		}
		if standIn != "" && !slices.Contains(d.notes, standIn) {
			d.notes = append(d.notes, standIn)
		}
		*side.into = &trialSide{s, applied}
	}
	switch {
	case one.before == nil:
		one.Status = "new"
	case one.after == nil:
		one.Status = "gone"
	case one.before.same(one.after.Subscriber):
		one.Status = "unchanged"
	}
	d.all = append(d.all, one)
	return nil
}

// same reports whether both get the same of each event.
func (t *trialSide) same(s mesh.Subscriber) bool {
	return t.Stream == s.Stream && slices.Equal(subscriberFilters(t.Subscriber), subscriberFilters(s)) &&
		t.When == s.When && slices.Equal(t.Redact, s.Redact) && t.RedactKey == s.RedactKey && t.Transform == s.Transform
}

// streams are those whose events the change may mean something for.
func (d *differences) streams() []string {
	var names []string
	for _, one := range d.all {
		for _, side := range []*trialSide{one.before, one.after} {
			if one.Status != "unchanged" && side != nil && !slices.Contains(names, side.Stream) {
				names = append(names, side.Stream)
			}
		}
	}
	return names
}

// tryStored tries the stored events, one at a time.
func (p *program) tryStored(ctx context.Context, f *tryFlags, d *differences, result *sinceJSON, since, until time.Time) error {
	nc, js, err := p.connect(&f.cluster)
	if err != nil {
		return err
	}
	defer nc.Close()
	for _, name := range d.streams() {
		stream, err := js.Stream(ctx, name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			result.Notes = append(result.Notes, fmt.Sprintf("the server has no stream %s yet: nothing of it was tried", name))
			continue
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", name, err)
		}
		last := stream.CachedInfo().State.LastSeq
		var bar progress
		for e, err := range mesh.StreamEvents(ctx, js, name, since, until) {
			if err != nil {
				bar.end()
				return interruption(ctx, err)
			}
			if result.Events++; bar.bar == nil && e.Sequence <= last {
				bar = newProgress(p.Err, int(last-e.Sequence)+1, "trying "+name)
				last = 0 // the bar was made, or is not worth it
			}
			d.try(ctx, e)
			bar.add()
		}
		bar.end()
	}
	return ctx.Err()
}

// interruption is the end of ctx, if that has ended, whatever it led to.
func interruption(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (d *differences) try(ctx context.Context, e mesh.Event) {
	for _, one := range d.all {
		if one.Status != "unchanged" {
			one.try(ctx, e)
		}
	}
}

// treated is what one configuration makes of an event.
type treated struct {
	gets bool
	body []byte
	err  error
}

func (t *trialSide) treat(ctx context.Context, e mesh.Event) treated {
	if t == nil || t.Stream != e.Stream || !t.Matches(e.Subject) {
		return treated{}
	}
	if e.Notice != "" { // genmesh's own, which when, redact and transform leave alone
		return treated{gets: true, body: e.Body}
	}
	shaped, gets, err := t.shape.Apply(ctx, e)
	return treated{gets, shaped.Body, err}
}

func (d *difference) try(ctx context.Context, e mesh.Event) {
	before, after := d.before.treat(ctx, e), d.after.treat(ctx, e)
	d.Before += count(before.gets)
	d.After += count(after.gets)
	d.FailedBefore += count(before.err != nil)
	d.Added += count(after.gets && !before.gets)
	d.Removed += count(before.gets && !after.gets)
	differs := before.gets && after.gets && !bytes.Equal(before.body, after.body)
	d.BodyDiffers += count(differs)
	if after.err != nil {
		d.Fails++
		d.noteReason(e, after.err.Error())
	}
	switch {
	case after.err != nil && before.err == nil:
		d.example(e, "fails", after.err.Error())
	case after.gets && !before.gets:
		d.example(e, "added", "")
	case before.gets && !after.gets:
		d.example(e, "removed", d.why(ctx, e))
	case differs:
		d.example(e, "body", "")
	}
}

func count(is bool) int {
	if is {
		return 1
	}
	return 0
}

func (d *difference) noteReason(e mesh.Event, reason string) {
	for i := range d.Reasons {
		if d.Reasons[i].Reason == reason {
			d.Reasons[i].Events++
			return
		}
	}
	if len(d.Reasons) < maxTryReasons {
		d.Reasons = append(d.Reasons, failReason{reason, e.Sequence, 1})
	}
}

func (d *difference) example(e mesh.Event, effect, why string) {
	if len(d.Examples) == d.limit {
		return
	}
	d.Examples = append(d.Examples, diffExample{
		Effect: effect, Stream: e.Stream, Sequence: e.Sequence, Type: e.Type, Interaction: e.Interaction, Why: why,
	})
}

// why is what keeps an event from the subscriber after the change.
func (d *difference) why(ctx context.Context, e mesh.Event) string {
	switch {
	case len(d.Examples) == d.limit:
		return "" // nobody would see it
	case d.after == nil:
		return "the subscriber is gone"
	case d.after.Stream != e.Stream:
		return "stream"
	case !d.after.Matches(e.Subject):
		return "filter_subjects"
	}
	return string(d.after.shape.Explain(ctx, e).Decided)
}

func (r *sinceJSON) write(w, notes io.Writer) error {
	var t table
	t.row("SUBSCRIBER", "STATUS", "BEFORE", "AFTER", "ADDED", "REMOVED", "BODY DIFFERS", "FAILS")
	for _, d := range r.Subscribers {
		row := []string{d.Subscriber, d.Status}
		for _, n := range []int{d.Before, d.After, d.Added, d.Removed, d.BodyDiffers, d.Fails} {
			if d.Status == "unchanged" {
				row = append(row, "-")
				continue
			}
			row = append(row, strconv.Itoa(n))
		}
		t.row(row...)
	}
	if err := t.write(w); err != nil {
		return err
	}
	for _, d := range r.Subscribers {
		if err := d.writeExamples(w); err != nil {
			return err
		}
	}
	say(w, "\ntried %s", plural(r.Events, "stored event"))
	for _, text := range r.Notes {
		say(notes, "note: %s", text)
	}
	return nil
}

func failing(events int) string {
	if events == 1 {
		return "1 event fails"
	}
	return fmt.Sprintf("%d events fail", events)
}

func (d *subscriberDiff) writeExamples(w io.Writer) error {
	for _, r := range d.Reasons {
		say(w, "\n%s: %s, the first is %d: %s", d.Subscriber, failing(r.Events), r.Sequence, short(r.Reason, 200))
	}
	if len(d.Examples) == 0 {
		return nil
	}
	say(w, "\n%s, such as", d.Subscriber)
	var t table
	for _, e := range d.Examples {
		t.row("  "+e.Effect, e.Stream+" "+strconv.FormatUint(e.Sequence, 10), short(e.Type, 40), short(e.Interaction, 40), short(e.Why, 80))
	}
	return t.write(w)
}
