package mesh

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/nats-io/nats.go/jetstream"
)

// place is a stream that may have copies, and what was found there.
type place struct {
	stream  string
	filters []string               // of the subjects that copies lie under
	config  jetstream.StreamConfig // as the server has it
	found   map[uint64]stored      // all that were ever there, by sequence
	left    map[uint64]bool        // those of them that are there still
	// refused is why the server did not delete something, lagging that the stream had not caught up.
	refused, lagging string
}

// stored is a copy.
type stored struct{ source, subject string }

// copies reports whether the stream fills itself from others.
func (p *place) copies() bool { return p.config.Mirror != nil || len(p.config.Sources) > 0 }

// findPlaces lists where copies may lie. Streams that fill themselves from others come last: what they
// have not copied by then, they never will.
func (e *Erasure) findPlaces(ctx context.Context) error {
	var copying []place
	for _, s := range e.t.Streams {
		filters := e.t.copiesIn(s, e.trace, len(e.t.Streams))
		if len(filters) == 0 {
			continue
		}
		handle, err := e.js.Stream(ctx, s.Name)
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			continue // not applied yet, so it has nothing
		}
		if err != nil {
			return fmt.Errorf("stream %s: %w", s.Name, err)
		}
		p := place{
			stream: s.Name, filters: filters, config: handle.CachedInfo().Config,
			found: map[uint64]stored{}, left: map[uint64]bool{},
		}
		if p.copies() {
			copying = append(copying, p)
		} else {
			e.places = append(e.places, p)
		}
	}
	e.places = append(e.places, copying...)
	return e.findElsewhere(ctx)
}

// findElsewhere names the streams that copy ours without being in streams.json.
func (e *Erasure) findElsewhere(ctx context.Context) error {
	list := e.js.ListStreams(ctx)
	for info := range list.Info() {
		if _, ours := e.t.stream(info.Config.Name); ours {
			continue
		}
		origins := slices.Clone(info.Config.Sources)
		if info.Config.Mirror != nil {
			origins = append(origins, info.Config.Mirror)
		}
		copiesOurs := func(o *jetstream.StreamSource) bool {
			return slices.ContainsFunc(e.places, func(p place) bool { return p.stream == o.Name })
		}
		if slices.ContainsFunc(origins, copiesOurs) {
			e.Elsewhere = append(e.Elsewhere, info.Config.Name)
		}
	}
	slices.Sort(e.Elsewhere)
	if err := list.Err(); err != nil {
		return fmt.Errorf("list the server's streams: %w", err)
	}
	return nil
}

// copiesIn are the subjects of a stream under which copies may lie, each to be read by itself: the
// server takes no filters that overlap. depth bounds how far it follows streams that copy others.
func (t *Topology) copiesIn(s Stream, tr trace, depth int) []string {
	var filters []string
	for _, subject := range s.Subjects {
		filters = append(filters, t.copiesUnder(s, subject, tr)...)
	}
	origins := slices.Clone(s.Sources)
	if s.Mirror != nil {
		origins = append(origins, s.Mirror)
	}
	for _, o := range origins {
		origin, known := t.stream(o.Name)
		if !known || depth == 0 || len(o.SubjectTransforms) > 0 {
			filters = []string{">"}
			break
		}
		filters = append(filters, t.copiesIn(origin, tr, depth-1)...)
	}
	if s.SubjectTransform != nil && len(filters) > 0 {
		filters = []string{">"}
	}
	slices.Sort(filters)
	return slices.Compact(filters)
}

// copiesUnder narrows one subject of a stream to what may be of the interaction. Of a source's events
// only the partition counts: where in the subject the interaction stands may have changed since.
func (t *Topology) copiesUnder(s Stream, subject string, tr trace) []string {
	source := "*"
	if tr.source != "" {
		source = Token(tr.source)
	}
	partition := Partition(tr.interaction)
	for _, own := range []string{deliveriesSubjects, auditSubjects, "$JS.>"} {
		if SubjectCovers(own, subject) {
			return nil // these name no interaction
		}
	}
	first, _, _ := strings.Cut(subject, ".")
	feeds := func(src Source) bool { return src.Stream == s.Name && Token(src.Name) == first }
	switch {
	case SubjectCovers(deadSubjects, subject):
		return append(deadFilters(tr.interaction), replayPrefix+"*."+source+"."+partition+".>")
	case SubjectCovers(quarantineSubjects, subject):
		return []string{QuarantineFilter{Source: tr.source}.subject()}
	case slices.ContainsFunc(t.Sources, feeds) && tr.source != "" && source != first:
		return nil
	case slices.ContainsFunc(t.Sources, feeds):
		return []string{first + "." + partition + ".>"}
	}
	return []string{subject}
}

// refuses says why the server would delete nothing from the stream, or is "".
func (p *place) refuses() string {
	switch {
	case p.config.Sealed:
		return "the stream is sealed: nothing can be deleted from it"
	case p.config.DenyDelete:
		return "the stream has deny_delete: nothing can be deleted from it"
	}
	return ""
}
