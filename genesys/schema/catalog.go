package schema

import (
	"cmp"
	"maps"
	"slices"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
	"github.com/tidwall/gjson"
)

// Catalog is what the events of a source look like: the fields of each event type, learned from the
// events. It notices when they change. It is not safe for concurrent use.
//
// A type has settled once it has had enough events, and no new field over the second half of them, nor
// for some minutes: calls that begin together are connected together, and what they bring then is no
// news. What a settled type has anew is a change. A field has vanished when it has been missing for so
// long that chance hardly explains it, considering how often it was there before.
type Catalog struct {
	types  map[string]*eventType
	events uint64
	began  time.Time // the first of them
}

// Change is a change of what events of a type look like. It names places and kinds and no values;
// names that are data, such as those of a participant's attributes, are "*".
type Change struct {
	EventType string     `json:"event_type"`
	Kind      ChangeKind `json:"change"`
	// Pointer is the place in the content (RFC 6901), with "*" for the elements of a list; "" is
	// the event type itself.
	Pointer string `json:"field"`
	// Was and Is are the kinds of values before and now, such as "string or null"; "" for none.
	Was string `json:"was"`
	Is  string `json:"is"`
}

// ChangeKind is one of a closed set of single words.
type ChangeKind string

// The kinds of changes.
const (
	New      ChangeKind = "new"
	Vanished ChangeKind = "vanished"
	Retyped  ChangeKind = "retyped"
)

// ChangeKinds lists all kinds of changes.
func ChangeKinds() []ChangeKind { return []ChangeKind{New, Vanished, Retyped} }

const (
	// settleEvents is the least number of events after which a type, and a source, has settled.
	settleEvents = 100
	// settleTime is the least time for the same, and for which a field must have been missing.
	settleTime = 10 * time.Minute
	// A field of which fewer than minSeen events were seen is too rare to be missed.
	minSeen = 20
	// A field is missed after missFactor times its usual distance, and at least missEvents.
	missFactor = 20
	missEvents = 100
	// sweepEvery is how often a type's fields are looked through for missing ones, in events.
	sweepEvery = 64

	maxTypes  = 128
	maxFields = 2000 // of a type
	// What is known of shapes bounds the work, not what is noticed: others are looked at again.
	knownShapes    = 256 // of a type
	maxShapeFields = 512
	maxLookDepth   = 64
)

// eventType is what is known of one type.
type eventType struct {
	name    string
	root    *field
	fields  int
	shapes  *lru.Cache[uint64, []*field] // the fields that an event of the shape has
	events  uint64
	began   time.Time // the first of them
	changed uint64    // the number of the event that brought the latest new field
	since   time.Time // its time
	settled bool
}

// NewCatalog makes an empty catalog.
func NewCatalog() *Catalog { return &Catalog{types: make(map[string]*eventType)} }

// Look learns from one event, which came at that time, and tells what it changes. Content is valid JSON
// without a name twice.
func (c *Catalog) Look(eventType, content string, at time.Time) []Change {
	if c.events++; c.events == 1 {
		c.began = at
	}
	t, changes := c.typeOf(eventType, at)
	if t == nil {
		return nil // more types than anybody could keep apart
	}
	t.events++
	shape := shapeOf(content).hash
	known, ok := t.shapes.Get(shape)
	if !ok {
		look := &look{eventType: t, at: at}
		look.value(t.root, gjson.Parse(content), 0, false)
		known = look.touched()
		if look.opened {
			t.shapes.Purge() // they have fields that are no more
		}
		if len(known) <= maxShapeFields {
			t.shapes.Add(shape, known)
		}
		changes = append(changes, look.changes...)
	}
	for _, f := range known {
		f.events++
		f.last, f.lastAt = t.events, at
		if f.first == 0 {
			f.first = t.events
		}
	}
	if t.events%sweepEvery == 0 {
		changes = append(changes, t.sweep(at)...)
	}
	t.settle(at)
	return changes
}

// typeOf is what is known of an event type, a new one included.
func (c *Catalog) typeOf(name string, at time.Time) (*eventType, []Change) {
	if t := c.types[name]; t != nil {
		return t, nil
	}
	if len(c.types) >= maxTypes {
		return nil, nil
	}
	shapes, err := lru.New[uint64, []*field](knownShapes)
	if err != nil {
		panic("schema: " + err.Error()) // it only refuses a size below one
	}
	c.types[name] = &eventType{name: name, root: new(field), shapes: shapes, began: at, since: at}
	if c.events <= settleEvents || at.Sub(c.began) < settleTime {
		return c.types[name], nil
	}
	return c.types[name], []Change{{EventType: name, Kind: New}}
}

// settle finds out whether new fields are news by now.
func (t *eventType) settle(at time.Time) {
	events, lasted := t.events-t.changed, at.Sub(t.since)
	t.settled = t.settled || events >= settleEvents && events >= t.events/2 && lasted >= settleTime && lasted >= at.Sub(t.began)/2
}

// sweep finds the fields that have vanished, and forgets them: should they come back, they are new.
func (t *eventType) sweep(at time.Time) []Change {
	gone := t.vanished(t.root, at, nil)
	if len(gone) > 0 {
		t.shapes.Purge()
		t.fields = t.root.count()
	}
	return gone
}

func (t *eventType) vanished(f *field, at time.Time, into []Change) []Change {
	if f.open {
		return into
	}
	for _, name := range slices.Sorted(maps.Keys(f.fields)) {
		below := f.fields[name]
		if name == anyName {
			continue
		}
		if !t.misses(below, at) {
			into = t.vanished(below, at, into)
			continue
		}
		into = append(into, Change{EventType: t.name, Kind: Vanished, Pointer: below.pointer, Was: below.kinds.String()})
		delete(f.fields, name)
	}
	if f.elements != nil {
		into = t.vanished(f.elements, at, into)
	}
	return into
}

// misses reports whether a field has been away for longer than chance explains.
func (t *eventType) misses(f *field, at time.Time) bool {
	if f.events < minSeen || at.Sub(f.lastAt) < settleTime {
		return false
	}
	distance := (f.last - f.first + 1) / f.events // between two events that had it
	return t.events-f.last >= max(missEvents, missFactor*max(distance, 1))
}

// look is one walk through an event that has a shape that was not seen before.
type look struct {
	*eventType
	at      time.Time
	changes []Change
	seen    map[*field]struct{}
	opened  bool
}

// value learns what stands at a field. Under a new field, or one whose names are data, all is new and
// nothing of it is told.
func (l *look) value(f *field, v gjson.Result, depth int, quiet bool) {
	kind := kindOf(v)
	if !quiet && l.settled && kind != kindNull && f.kinds&^kindNull != 0 && f.kinds&kind == 0 {
		l.changes = append(l.changes, Change{
			EventType: l.name, Kind: Retyped, Pointer: f.pointer, Was: f.kinds.String(), Is: kind.String(),
		})
		quiet = true
	}
	f.kinds |= kind
	if kind != kindNull {
		l.touch(f)
	}
	switch {
	case depth >= maxLookDepth:
	case kind == kindObject:
		l.object(f, v, depth, quiet)
	case kind == kindArray:
		if f.elements == nil {
			f.elements = &field{pointer: f.pointer + "/" + anyName}
			quiet = true
		}
		v.ForEach(func(_, element gjson.Result) bool {
			l.value(f.elements, element, depth+1, quiet)
			return true
		})
	}
}

func (l *look) object(f *field, v gjson.Result, depth int, quiet bool) {
	l.openIfData(f, v)
	has := make(map[*field]bool)
	v.ForEach(func(key, member gjson.Result) bool {
		name := key.Str
		isData := f.open || !isName(name)
		if isData {
			name = anyName
		}
		if f.fields[name] == nil && l.fields >= maxFields {
			return true
		}
		below, isNew := f.below(name)
		has[below] = true
		if isNew {
			l.fields++
			l.changed, l.since = l.events, l.at
		}
		tell := isNew && !quiet && !isData && l.settled
		l.value(below, member, depth+1, quiet || isNew || isData)
		if tell {
			l.changes = append(l.changes, Change{EventType: l.name, Kind: New, Pointer: below.pointer, Is: below.kinds.String()})
		}
		return true
	})
	for _, below := range f.fields {
		if !has[below] {
			below.sometimes = true
		}
	}
	f.objects++
}

// openIfData finds out whether the names of an object are data: most of those of one event are, or there
// are more than any format has. One odd name among others is data by itself.
func (l *look) openIfData(f *field, v gjson.Result) {
	if f.open {
		return
	}
	names, odd := 0, 0
	v.ForEach(func(key, _ gjson.Result) bool {
		names++
		if !isName(key.Str) {
			odd++
		}
		return true
	})
	if 2*odd > names || len(f.fields) > maxNames {
		f.openUp()
		l.fields = l.root.count()
		l.opened = true
	}
}

func (l *look) touch(f *field) {
	if l.seen == nil {
		l.seen = make(map[*field]struct{})
	}
	l.seen[f] = struct{}{}
}

func (l *look) touched() []*field { return slices.Collect(maps.Keys(l.seen)) }

// TypeCount is an event type and how many events of it were looked at.
type TypeCount struct {
	Name   string `json:"event_type"`
	Events uint64 `json:"events"`
}

// Types lists the event types, those of the most events first.
func (c *Catalog) Types() []TypeCount {
	var all []TypeCount
	for name, t := range c.types {
		all = append(all, TypeCount{name, t.events})
	}
	slices.SortFunc(all, func(a, b TypeCount) int {
		return cmp.Or(cmp.Compare(b.Events, a.Events), cmp.Compare(a.Name, b.Name))
	})
	return all
}
