package admin

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// check refuses a selection that chooses nothing, or in two ways.
func (s DeadSelection) check() error {
	chooses := s.Subscriber != "" || s.Reason != "" || s.Cause != "" || !s.Since.IsZero() || !s.Until.IsZero()
	if len(s.Numbers) > 0 == (chooses || s.All) {
		return Invalid("choose dead letters by number, or else by subscriber, reason, cause or time, or all of them")
	}
	return errors.Join(checkMost(s.Limit), checkDeadReason(s.Reason), checkSpan(s.Since, s.Until))
}

// words say what was chosen, without anything that a sender wrote.
func (s DeadSelection) words() string {
	if len(s.Numbers) > 0 {
		return "by number"
	}
	var w words
	w.add("subscriber", s.Subscriber)
	w.add("reason", string(s.Reason))
	w.add("cause", s.Cause)
	w.span(s.Since, s.Until)
	w.limit(s.Limit)
	return w.String()
}

func (s QuarantineSelection) check() error {
	chooses := s.Source != "" || s.Reason != "" || !s.Since.IsZero() || !s.Until.IsZero()
	if len(s.Numbers) > 0 == (chooses || s.All) {
		return Invalid("choose events in quarantine by number, or else by source, reason or time, or all of them")
	}
	return errors.Join(checkMost(s.Limit), checkSpan(s.Since, s.Until))
}

func (s QuarantineSelection) words() string {
	if len(s.Numbers) > 0 {
		return "by number"
	}
	var w words
	w.add("source", s.Source)
	w.add("reason", s.Reason)
	w.span(s.Since, s.Until)
	w.limit(s.Limit)
	return w.String()
}

func checkMost(limit int) error {
	if limit < 0 {
		return Invalid("the limit must not be below zero")
	}
	return nil
}

// words are what a selection asks for, one after another.
type words struct{ parts []string }

func (w *words) add(name, value string) {
	if value != "" {
		w.parts = append(w.parts, fmt.Sprintf("%s %.*s", name, mesh.MaxValueBytes, value))
	}
}

func (w *words) span(since, until time.Time) {
	if !since.IsZero() {
		w.add("since", since.UTC().Format(time.RFC3339))
	}
	if !until.IsZero() {
		w.add("until", until.UTC().Format(time.RFC3339))
	}
}

func (w *words) limit(limit int) {
	if limit > 0 {
		w.add("the first", fmt.Sprint(limit))
	}
}

func (w *words) String() string {
	if len(w.parts) == 0 {
		return "all"
	}
	return strings.Join(w.parts, ", ")
}
