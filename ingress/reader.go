package ingress

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/genmesh/genmesh/genesys/schema"
	"github.com/genmesh/genmesh/mesh"
)

// Reader makes events of the bodies of one source's deliveries: it finds what each is about and
// whether it can go on its way. It is safe for concurrent use.
type Reader struct {
	source       mesh.Source
	identity     identity
	eventIDs     map[string]selectors // of event types that have their own, by pattern
	fingerprints *fingerprints
	schemas      *schema.Set
}

// Reading is one event as it was read.
type Reading struct {
	Event mesh.Event
	// Reason is why the event can't go on its way, in one word of a closed set; "" if it can. The event's
	// Detail says more of it, and repeats nothing of the body.
	Reason string
	// Content is what a schema describes, as JSON; "" if the body could not be read.
	Content string
}

// NewReader makes the reader of a source that mesh.ParseTopology made. It fails if a schema can't be
// read.
func NewReader(source mesh.Source) (*Reader, error) {
	r := &Reader{
		source:       source,
		fingerprints: newFingerprints(source.Identity.Fingerprint, len(source.Identity.Content) > 0),
		eventIDs:     make(map[string]selectors),
	}
	if len(source.Identity.Interaction) == 0 && source.WithoutInteraction != mesh.InteractionOptional {
		return nil, errors.New("it needs the place of the interaction id")
	}
	var err error
	if r.identity, err = newIdentity(source.Identity); err != nil {
		return nil, err
	}
	for pattern, t := range source.EventTypes {
		if len(t.EventID) == 0 {
			continue
		}
		if r.eventIDs[pattern], err = newSelectors(t.EventID); err != nil {
			return nil, fmt.Errorf("event_types %q: event_id: %w", pattern, err)
		}
	}
	r.schemas, err = compileSchemas(source)
	return r, err
}

// Read makes events of a delivery's body. They share what envelope has of the delivery, and the
// body. There is at least one, in the order in which they stand in the body.
func (r *Reader) Read(h http.Header, envelope mesh.Event) []Reading {
	if reason, detail := checkJSON(envelope.Body); reason != "" {
		return []Reading{unread(envelope, reason, detail)}
	}
	bodies, reason, detail := split(envelope.Body, r.source.Identity.Events)
	if reason != "" {
		return []Reading{unread(envelope, reason, detail)}
	}
	readings := make([]Reading, len(bodies))
	for i, body := range bodies {
		e := envelope
		e.Body = body
		readings[i] = r.read(h, e)
	}
	return readings
}

// Reread reads a quarantined event once more, as the source and its schemas are now. What came from
// the headers of its request stays as it was.
func (r *Reader) Reread(e mesh.Event) []Reading {
	envelope := e
	envelope.Reason, envelope.Detail = "", ""
	envelope.Subject, envelope.Key = "", ""
	envelope.Stream, envelope.Sequence, envelope.Stored = "", 0, time.Time{}
	return r.Read(nil, envelope)
}

// unread is the reading of a body that can't be read.
func unread(e mesh.Event, reason, detail string) Reading {
	e.Fingerprint = rawFingerprint(e.Body)
	e.Detail = clip(detail, mesh.MaxValueBytes)
	return Reading{Event: e, Reason: reason}
}

// read fills in one event's envelope and judges it.
func (r *Reader) read(h http.Header, e mesh.Event) Reading {
	d := newDocument(h, string(e.Body), r.source.Identity.Content) // one copy that all paths read from
	id := &r.identity
	d.text(&e.Type, id.eventType, mesh.MaxValueBytes)
	pattern, _ := r.source.TypeOf(e.Type)
	e.Fingerprint = r.fingerprints.of(d, e.Type)
	d.text(&e.Interaction, id.interaction, len(d.body)) // the mesh replaces a long one by its hash; cut, two could be one
	d.text(&e.ID, r.eventID(pattern), mesh.MaxValueBytes)
	d.text(&e.Media, id.media, mesh.MaxValueBytes)
	d.text(&e.Organization, id.organization, mesh.MaxValueBytes)
	d.time(&e.Occurred, id.occurred)
	reason, detail := r.judge(&e, pattern, d)
	e.Detail = clip(detail, mesh.MaxValueBytes)
	return Reading{Event: e, Reason: reason, Content: d.content}
}

// eventID is where the id of an event is whose type matches the pattern.
func (r *Reader) eventID(pattern string) selectors {
	if own, ok := r.eventIDs[pattern]; ok {
		return own
	}
	return r.identity.eventID
}

// judge says why the event can't go on its way, or "". What it was read from is only looked at again
// to tell what is wrong with it.
func (r *Reader) judge(e *mesh.Event, pattern string, d *document) (reason, detail string) {
	switch pinned := r.source.Organizations; {
	case strings.HasPrefix(e.Type, mesh.OwnTypes):
		return reasonReservedType, "types that begin with " + mesh.OwnTypes + " are of genmesh's own events"
	case e.Interaction == "" && r.source.WithoutInteraction != mesh.InteractionOptional:
		return reasonNoInteraction, d.lookedFor(r.source.Identity.Interaction, r.identity.interaction)
	case len(pinned) > 0 && !slices.Contains(pinned, e.Organization):
		return reasonOrganization, r.detailOfOrganization(e, d)
	case !r.isFresh(e):
		return reasonEventAge, r.detailOfAge(e, d)
	}
	err := r.schemas.Check(pattern, d.content)
	if err == nil {
		return "", ""
	}
	if v, ok := errors.AsType[*schema.Violation](err); ok {
		return reasonSchema, v.Error()
	}
	return reasonSchema, "it can't be checked"
}

// isFresh reports whether the event is not too old and not from too far ahead. Where an age is
// asked for, an event that does not tell its time has none to show.
func (r *Reader) isFresh(e *mesh.Event) bool {
	limit := time.Duration(r.source.MaxEventAge)
	if limit == 0 {
		return true
	}
	return !e.Occurred.IsZero() && e.Received.Sub(e.Occurred).Abs() <= limit
}

// identity is a source's compiled selectors.
type identity struct {
	interaction, eventID, eventType, media, organization, occurred selectors
}

func newIdentity(from mesh.Identity) (identity, error) {
	var id identity
	for _, v := range []struct {
		name string
		into *selectors
		from mesh.Selectors
	}{
		{"interaction", &id.interaction, from.Interaction}, {"event_id", &id.eventID, from.EventID},
		{"event_type", &id.eventType, from.EventType}, {"media", &id.media, from.Media},
		{"organization", &id.organization, from.Organization}, {"occurred", &id.occurred, from.Occurred},
	} {
		compiled, err := newSelectors(v.from)
		if err != nil {
			return identity{}, fmt.Errorf("identity.%s: %w", v.name, err)
		}
		*v.into = compiled
	}
	return id, nil
}

// compileSchemas reads the schemas of a source's event types.
func compileSchemas(source mesh.Source) (*schema.Set, error) {
	references := make(map[string]string)
	for pattern, t := range source.EventTypes {
		if t.Schema != "" {
			references[pattern] = t.Schema
		}
	}
	set, err := schema.Compile(references, readSchema)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	return set, nil
}
