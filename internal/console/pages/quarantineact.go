package pages

import (
	"strconv"

	"github.com/genmesh/genmesh/internal/admin"
)

// readQuarantine reads a choice of events in quarantine and what to do to them.
func (s *site) readQuarantine(v *visit) (action string, filter quarantineFilter, numbers []uint64) {
	action = v.fields.choice("action", "release", "discard")
	if action == "" {
		v.fields.refuse("action", "say what to do")
	}
	filter, numbers = readQuarantineFilter(v.fields), v.fields.numbers("number")
	if len(numbers) > 0 && filter != (quarantineFilter{Until: filter.Until}) {
		v.fields.refuse("number", "choose by number or by a filter, not by both")
	}
	return action, filter, numbers
}

func (s *site) confirmQuarantined(v *visit) (*page, error) {
	action, filter, numbers := s.readQuarantine(v)
	if err := v.fields.done(); err != nil {
		return nil, err
	}
	view := confirmView{
		Verb: action, Past: "released", One: "event in quarantine", Many: "events in quarantine", Post: "/quarantine/act", Back: "/quarantine",
		DryRun: action == "release",
		Then: "Each event is read again, as streams.json and its schemas are now. Those that are good go on their way, in the order in " +
			"which they came; what is still not good stays.",
	}
	if action == "discard" {
		view.Danger, view.Past = true, "discarded"
		view.Then = "The events are deleted for good: no subscriber ever gets them."
	}
	confirm := s.confirmQuarantineFilter
	if len(numbers) > 0 {
		confirm = func(v *visit, view *confirmView, _ quarantineFilter) error {
			return s.confirmQuarantineNumbers(v, view, numbers)
		}
	}
	if err := confirm(v, &view, filter); err != nil {
		return nil, err
	}
	view.Hidden = append(view.Hidden, fact{"action", action})
	return &page{Title: confirmTitle(view), Section: "/quarantine", template: "confirm", View: view}, nil
}

func (s *site) confirmQuarantineNumbers(v *visit, view *confirmView, numbers []uint64) error {
	view.Count, view.Exactly = uint64(len(numbers)), true
	words := []string{"quarantine", view.Verb}
	for i, n := range numbers {
		text := strconv.FormatUint(n, 10)
		view.Hidden, words = append(view.Hidden, fact{"number", text}), append(words, text)
		if i >= confirmSample {
			continue
		}
		q, err := v.operator.QuarantinedEvent(v.Context(), n)
		if err != nil {
			return err
		}
		view.Sample = append(view.Sample, quarantineConfirmRow(v, q))
	}
	view.Command = command(append(words, "--because", "…")...)
	return nil
}

func (s *site) confirmQuarantineFilter(v *visit, view *confirmView, filter quarantineFilter) error {
	if filter.Until.IsZero() {
		filter.Until = s.o.Now().UTC() // what is confirmed is what is done
	}
	groups, err := v.operator.QuarantineGroups(v.Context(), filter.query(0, ""))
	if err != nil {
		return err
	}
	events, err := v.operator.Quarantined(v.Context(), filter.query(confirmSample, ""))
	if err != nil {
		return err
	}
	for _, q := range events.Quarantined {
		view.Sample = append(view.Sample, quarantineConfirmRow(v, q))
	}
	view.Count, view.Exactly = groups.Total, groups.Total <= groups.Looked
	view.choose(filter.pairs(), "")
	all := ""
	if filter == (quarantineFilter{Until: filter.Until}) {
		all = "--all"
	}
	view.Command = command("quarantine", view.Verb, all, "--source=", filter.Source, "--reason=", filter.Reason,
		"--since=", stamp(filter.Since), "--until=", stamp(filter.Until), "--because", "…")
	return nil
}

func quarantineConfirmRow(v *visit, q admin.Quarantined) confirmRow {
	return confirmRow{
		Path: quarantinePath(q.Number), Number: strconv.FormatUint(q.Number, 10),
		Cells: []string{q.Source, q.Reason, q.Type, q.Interaction, v.words(q.Detail)},
	}
}

func (s *site) actOnQuarantined(v *visit) (string, error) {
	action, filter, numbers := s.readQuarantine(v)
	dryRun := action == "release" && v.fields.choice("try", "on") == "on"
	reason := ""
	if dryRun {
		reason = v.fields.text("reason", maxFieldBytes)
	} else {
		reason = v.fields.reason()
	}
	if err := v.fields.done(); err != nil {
		return "", err
	}
	chosen := admin.QuarantineSelection{Numbers: numbers, DryRun: dryRun}
	if len(numbers) == 0 {
		chosen = admin.QuarantineSelection{
			Source: filter.Source, Reason: filter.Reason, Since: filter.Since, Until: filter.Until,
			All: filter == (quarantineFilter{Until: filter.Until}), DryRun: dryRun,
		}
	}
	about := "events in quarantine " + chosenText(numbers, filter.pairs())
	if dryRun {
		about = "dry run: " + about
	}
	return s.start(v, quarantineActions+action, about, v.by(reason), func(do doing) (any, error) {
		if action == "release" {
			return v.operator.ReleaseQuarantined(do.ctx, do.by, chosen, do.progress)
		}
		return v.operator.DiscardQuarantined(do.ctx, do.by, chosen, do.progress)
	})
}
