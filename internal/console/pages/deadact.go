package pages

import (
	"strconv"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// confirmView asks whether to do something to what was chosen, and says exactly to what.
type confirmView struct {
	Verb, Past string
	// One and Many name what it is done to.
	One, Many string
	Count     uint64
	// About is how they were chosen; Exactly is false where the count is that of what was looked at.
	About   []fact
	Exactly bool
	Then    string // what happens
	Danger  bool
	Post    string
	Hidden  []fact
	Sample  []confirmRow
	Back    string
	Command string
	DryRun  bool // it can be tried
}

// Rest is how many are chosen beside the sample.
func (v confirmView) Rest() uint64 { return v.Count - min(v.Count, uint64(len(v.Sample))) }

// confirmRow is one of what was chosen.
type confirmRow struct {
	Path, Number string
	Cells        []string
}

// confirmSample is how many of what was chosen are shown.
const confirmSample = 10

// deadActions and quarantineActions begin the names, in the audit, of what is done to dead letters and to the quarantine.
const (
	deadActions       = "dead-"
	quarantineActions = "quarantine-"
)

// choose keeps how a filter has chosen, for the form to send and for people to read.
func (v *confirmView) choose(pairs []string, cause string) {
	for i := 0; i+1 < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			v.Hidden = append(v.Hidden, fact{pairs[i], pairs[i+1]})
		}
	}
	v.About = chosenFacts(pairs, cause)
}

// readDead reads a choice of dead letters and what to do to them.
func (s *site) readDead(v *visit) (action string, filter deadFilter, numbers []uint64) {
	action = v.fields.choice("action", "replay", "discard")
	if action == "" {
		v.fields.refuse("action", "say what to do")
	}
	filter, numbers = readDeadFilter(v.fields), v.fields.numbers("number")
	if len(numbers) > 0 && filter != (deadFilter{Until: filter.Until}) {
		v.fields.refuse("number", "choose by number or by a filter, not by both")
	}
	return action, filter, numbers
}

func (s *site) confirmDead(v *visit) (*page, error) {
	action, filter, numbers := s.readDead(v)
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	view := confirmView{
		Verb: action, Past: "replayed", One: "dead letter", Many: "dead letters", Post: "/dead-letters/act", Back: "/dead-letters",
		Then: "Each event is handed to its subscriber again, and to no other. Its attempts begin anew, and its dead letter is gone; what it can't take comes back as a new one.",
	}
	if action == "discard" {
		view.Danger, view.Past = true, "discarded"
		view.Then = "The dead letters are deleted for good. The events themselves stay in their streams."
	}
	confirm := s.confirmDeadFilter
	if len(numbers) > 0 {
		confirm = func(v *visit, view *confirmView, _ deadFilter) error { return s.confirmDeadNumbers(v, view, numbers) }
	}
	if err := confirm(v, &view, filter); err != nil {
		return nil, err
	}
	view.Hidden = append(view.Hidden, fact{"action", action})
	return &page{Title: confirmTitle(view), Section: "/dead-letters", template: "confirm", View: view}, nil
}

func confirmTitle(view confirmView) string {
	return map[string]string{"replay": "Replay ", "discard": "Discard ", "release": "Release "}[view.Verb] +
		plural(view.Count, view.One, view.Many)
}

func (s *site) confirmDeadNumbers(v *visit, view *confirmView, numbers []uint64) error {
	view.Count, view.Exactly = uint64(len(numbers)), true
	words := []string{"dead", view.Verb}
	for _, n := range numbers {
		text := strconv.FormatUint(n, 10)
		view.Hidden, words = append(view.Hidden, fact{"number", text}), append(words, text)
	}
	for _, n := range numbers[:min(len(numbers), confirmSample)] {
		d, err := v.operator.DeadLetter(v.Context(), n)
		if err != nil {
			return err
		}
		view.Sample = append(view.Sample, deadConfirmRow(v, d))
	}
	view.Command = command(append(words, "--because", "…")...)
	return nil
}

// confirmDeadFilter fixes the end of what is chosen, so that what is confirmed is what is done.
func (s *site) confirmDeadFilter(v *visit, view *confirmView, filter deadFilter) error {
	if filter.Until.IsZero() {
		filter.Until = s.o.Now().UTC()
	}
	groups, err := v.operator.DeadGroups(v.Context(), filter.query(0, ""))
	if err != nil {
		return err
	}
	letters, err := v.operator.DeadLetters(v.Context(), filter.query(confirmSample, ""))
	if err != nil {
		return err
	}
	for _, d := range letters.DeadLetters {
		view.Sample = append(view.Sample, deadConfirmRow(v, d))
	}
	view.Count, view.Exactly = groups.Total, groups.Total <= groups.Looked
	cause := ""
	if len(groups.Groups) > 0 {
		cause = v.words(groups.Groups[0].Error)
	}
	view.choose(filter.pairs(), cause)
	all := ""
	if filter == (deadFilter{Until: filter.Until}) {
		all = "--all"
	}
	view.Command = command("dead", view.Verb, all, "--subscriber=", filter.Subscriber, "--reason=", filter.Reason,
		"--cause=", filter.Cause, "--since=", stamp(filter.Since), "--until=", stamp(filter.Until), "--because", "…")
	return nil
}

func deadConfirmRow(v *visit, d admin.DeadLetter) confirmRow {
	return confirmRow{
		Path: deadLetterPath(d.Number), Number: strconv.FormatUint(d.Number, 10),
		Cells: []string{d.Subscriber, deadCause(d.Reason, d.Status), d.Type, d.Interaction, v.words(d.Error)},
	}
}

// deadCause is why, in a word and the target's status.
func deadCause(reason string, status int) string {
	if status > 0 {
		return reason + " " + strconv.Itoa(status)
	}
	return reason
}

func (s *site) actOnDead(v *visit) (string, error) {
	action, filter, numbers := s.readDead(v)
	reason := v.fields.reason()
	if err := v.fields.done(); err != nil {
		return "", err
	}
	chosen := admin.DeadSelection{Numbers: numbers}
	if len(numbers) == 0 {
		chosen = admin.DeadSelection{
			Subscriber: filter.Subscriber, Reason: mesh.DeadReason(filter.Reason), Cause: filter.Cause, Since: filter.Since,
			Until: filter.Until, All: filter == (deadFilter{Until: filter.Until}),
		}
	}
	about := "dead letters " + chosenText(numbers, filter.pairs())
	return s.start(v, deadActions+action, about, v.by(reason), func(do doing) (any, error) {
		if action == "replay" {
			return v.operator.ReplayDeadLetters(do.ctx, do.by, chosen, do.progress)
		}
		return v.operator.DiscardDeadLetters(do.ctx, do.by, chosen, do.progress)
	})
}
