package admin

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"

	"github.com/genmesh/genmesh/ingress"
	"github.com/genmesh/genmesh/mesh"
)

// triage is what a quarantined delivery is made of.
type triage struct {
	events, free int
	behind       *held  // the interactions of those that are not free
	trouble      string // of the first of them
}

// triage reads a quarantined delivery, as its source is now, and calls take, if there is one, for each of
// its events, with why it is not free to go: "" if it is.
func (r *releaser) triage(q mesh.Quarantined, take func(reading ingress.Reading, why string) error) (triage, error) {
	t := triage{behind: newHeld()}
	parts, err := r.parts(q)
	if err != nil {
		return t, err
	}
	waits := r.held.has(laneOf(q.Event))
	for reading := range parts {
		why := ""
		switch l := laneOf(reading.Event); {
		case reading.Reason != "":
			why = strings.TrimSpace("still not good: " + reading.Reason + " " + reading.Event.Detail)
		case waits || r.held.has(l) || t.behind.has(l):
			why = fmt.Sprintf("held back: an earlier event of its interaction %s stays in quarantine", reading.Event.Interaction)
		}
		t.note(reading, why)
		if take == nil {
			continue
		}
		if err := take(reading, why); err != nil {
			return t, err
		}
	}
	return t, nil
}

func (t *triage) note(reading ingress.Reading, why string) {
	t.events++
	if why == "" {
		t.free++
		return
	}
	t.behind.add(laneOf(reading.Event))
	if t.trouble == "" {
		t.trouble = why
	}
}

// parts are the events of what is in quarantine, as its source is now.
func (r *releaser) parts(q mesh.Quarantined) (iter.Seq[ingress.Reading], error) {
	if q.Reason == mesh.QuarantineUnreadable {
		return nil, errors.New("the message is no event; discard it")
	}
	reader := r.readers[q.Source]
	if reader == nil {
		source, err := sourceOf(r.topology, q.Source)
		if err != nil {
			return nil, err
		}
		if reader, err = ingress.NewReader(source); err != nil {
			return nil, fmt.Errorf("source %s: %w", q.Source, err)
		}
		r.readers[q.Source] = reader
	}
	e := q.Event
	e.CutFrom = 0
	return reader.Parts(e), nil
}

func sourceOf(t *mesh.Topology, name string) (mesh.Source, error) {
	i := slices.IndexFunc(t.Sources, func(s mesh.Source) bool { return s.Name == name })
	if i < 0 {
		return mesh.Source{}, fmt.Errorf("streams.json has no source %q any more", name)
	}
	return t.Sources[i], nil
}
