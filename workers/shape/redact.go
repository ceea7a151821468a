package shape

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/genmesh/genmesh/mesh"
)

const (
	maxRedactions    = 64
	maxPathBytes     = 512
	maxPathSegments  = 32
	leastKeyBytes    = 16
	hashBytes        = 16 // of HMAC-SHA-256, as RFC 2104 section 5 allows: half of it
	maxListed        = 64
	masked           = "***"
	hashPrefix       = "hmac:"
	everyValue       = "*"
	fieldRedact      = "redact"
	fieldRedactKey   = "redact_key"
	redactionExample = `write such as "data.customer.phone" or "data.participants.*.address"`
)

// redaction is a parsed mesh.Redaction.
type redaction struct {
	path []string
	with mark
}

// mark says what becomes of a value. Where two redactions meet the same value, the greater counts.
type mark uint8

const (
	keep mark = iota
	hash
	mask
	drop
)

var marks = map[mesh.RedactWith]mark{"": mask, mesh.RedactMask: mask, mesh.RedactHash: hash, mesh.RedactDrop: drop}

func (m mark) with() mesh.RedactWith {
	return [...]mesh.RedactWith{hash: mesh.RedactHash, mask: mesh.RedactMask, drop: mesh.RedactDrop}[m]
}

func (s *Shape) hashes() bool {
	return slices.ContainsFunc(s.redact, func(r redaction) bool { return r.with == hash })
}

func compileRedactions(s mesh.Subscriber) ([]redaction, Mistakes) {
	var mistakes Mistakes
	wrong := func(field, problem, hint string) {
		mistakes = append(mistakes, Mistake{Field: field, Problem: problem, Hint: hint})
	}
	if len(s.Redact) > maxRedactions {
		wrong(fieldRedact, fmt.Sprintf("%d redactions; at most %d are allowed", len(s.Redact), maxRedactions), `"*" stands for every member or element`)
		return nil, mistakes
	}
	var redactions []redaction
	hashed := false
	for i, r := range s.Redact {
		at := fmt.Sprintf("%s[%d]", fieldRedact, i)
		with, known := marks[r.With]
		if !known {
			wrong(at+".with", fmt.Sprintf("%q is none of mask, hash, drop", r.With), "")
		}
		path, problem := parsePath(r.Path)
		if problem != "" {
			wrong(at+".path", problem, redactionExample)
		}
		redactions = append(redactions, redaction{path, with})
		hashed = hashed || with == hash
	}
	switch {
	case hashed && s.RedactKey == "":
		wrong(fieldRedactKey, "missing, but a value is to be hashed", `add such as "${REDACT_KEY}"`)
	case !hashed && s.RedactKey != "":
		wrong(fieldRedactKey, "it is for hashes, and no value is to be hashed", `write "with": "hash" where one is wanted, or remove the key`)
	}
	return redactions, mistakes
}

func parsePath(text string) (path []string, problem string) {
	if text == "" || len(text) > maxPathBytes {
		return nil, fmt.Sprintf("a path has 1 to %d bytes", maxPathBytes)
	}
	path = strings.Split(text, ".")
	if slices.Contains(path, "") {
		return nil, fmt.Sprintf("%q has an empty part", text)
	}
	if strings.ContainsAny(text, "[]$") {
		return nil, fmt.Sprintf(`%q has brackets or a "$", which would stand for themselves here; parts are divided by dots`, text)
	}
	if len(path) > maxPathSegments {
		return nil, fmt.Sprintf("%d parts; at most %d are allowed", len(path), maxPathSegments)
	}
	return path, ""
}

// match marks what the redactions hide. It returns nil if that is nothing.
func (d *document) match(redactions []redaction) []mark {
	m := matcher{document: d}
	for _, r := range redactions {
		m.match(0, r.path, r.with)
	}
	return m.marks
}

type matcher struct {
	*document
	marks []mark
}

func (m *matcher) match(i int, path []string, with mark) {
	if len(path) == 0 {
		if m.marks == nil {
			m.marks = make([]mark, len(m.nodes))
		}
		m.marks[i] = max(m.marks[i], with)
		return
	}
	position := 0
	for child := range m.children(i) {
		if m.matches(child, position, path[0]) {
			m.match(child, path[1:], with)
		}
		position++
	}
}

// matches compares names as they are decoded, so that no escape hides one.
func (m *matcher) matches(child, position int, part string) bool {
	if part == everyValue {
		return true
	}
	if m.nodes[child].nameFrom >= 0 {
		return m.nodes[child].name == part
	}
	index, err := strconv.Atoi(part)
	return err == nil && index == position
}

// write is the text without what is marked; every other byte stays. A hidden value hides what is inside it.
func (d *document) write(marks []mark, key []byte) []byte {
	if marks == nil {
		return []byte(d.text)
	}
	w := redactor{document: d, marks: marks, key: key, out: make([]byte, 0, len(d.text)+256)}
	w.out = append(w.out, d.text[:d.nodes[0].from]...)
	w.value(0)
	w.out = append(w.out, d.text[d.nodes[0].to:]...)
	return w.out
}

type redactor struct {
	*document
	marks []mark
	key   []byte
	out   []byte
}

func (w *redactor) value(i int) {
	n := w.nodes[i]
	switch {
	case w.marks[i] != keep:
		w.out = append(w.out, w.substitute(i, w.marks[i], w.key)...)
	case n.kind == kindObject || n.kind == kindArray:
		w.inside(i)
	default:
		w.out = append(w.out, w.raw(i)...)
	}
}

// inside copies an object or array with what lies between its values. A dropped member takes the comma along that stands before it, or
// the one behind it if there is no member before.
func (w *redactor) inside(i int) {
	n := w.nodes[i]
	end, kept := n.from+1, false
	w.out = append(w.out, w.text[n.from])
	for child := range w.children(i) {
		c := w.nodes[child]
		begin := c.from
		if c.nameFrom >= 0 {
			begin = c.nameFrom
		}
		if n.kind == kindArray || w.marks[child] != drop {
			between := w.text[end:begin]
			if !kept {
				between = strings.Replace(between, ",", "", 1)
			}
			w.out = append(append(w.out, between...), w.text[begin:c.from]...)
			w.value(child)
			kept = true
		}
		end = c.to
	}
	w.out = append(w.out, w.text[end:n.to]...)
}

// substitute is the JSON that stands in the place of a value. A dropped element becomes null, so that the others keep their places.
func (d *document) substitute(i int, with mark, key []byte) string {
	switch with {
	case drop:
		return "null"
	case hash:
		return `"` + d.hash(i, key) + `"`
	default:
		return `"` + masked + `"`
	}
}

// hash is a keyed hash of the value in a canonical form: members by name, without white space, strings and numbers in one way. The same
// value gives the same hash; the text "1" and the number 1 do not.
func (d *document) hash(i int, key []byte) string {
	h := hmac.New(sha256.New, key)
	h.Write(d.canonical(nil, i)) // never fails
	return hashPrefix + hex.EncodeToString(h.Sum(nil)[:hashBytes])
}

func (d *document) canonical(out []byte, i int) []byte {
	switch n := d.nodes[i]; n.kind {
	case kindObject:
		members := slices.Collect(d.children(i))
		slices.SortStableFunc(members, func(a, b int) int { return strings.Compare(d.nodes[a].name, d.nodes[b].name) })
		out = append(out, '{')
		for _, member := range members {
			out, _ = jsontext.AppendQuote(out, d.nodes[member].name) // valid, for it was read
			out = append(d.canonical(append(out, ':'), member), ',')
		}
		return append(out, '}')
	case kindArray:
		out = append(out, '[')
		for element := range d.children(i) {
			out = append(d.canonical(out, element), ',')
		}
		return append(out, ']')
	case kindString:
		out, _ = jsontext.AppendQuote(out, unquote(d.raw(i))) // valid, for it was read
		return out
	case kindNumber:
		return append(out, canonicalNumber(d.raw(i))...)
	default:
		return append(out, d.raw(i)...)
	}
}

// hides reports whether a hidden value is the time at. A source may search the body for the event's time, and so take it from a value that
// a subscriber must not see.
func (d *document) hides(marks []mark, at time.Time) bool {
	if marks == nil || at.IsZero() {
		return false
	}
	var visit func(i int, hidden bool) bool
	visit = func(i int, hidden bool) bool {
		hidden = hidden || marks[i] != keep
		if hidden && d.nodes[i].kind == kindString {
			t, err := time.Parse(time.RFC3339Nano, unquote(d.raw(i)))
			return err == nil && t.Equal(at)
		}
		for child := range d.children(i) {
			if visit(child, hidden) {
				return true
			}
		}
		return false
	}
	return visit(0, false)
}

// list are the hidden values by path, and how many they are. What lies inside a hidden value is not listed.
func (d *document) list(marks []mark) (listed []RedactedValue, hidden int) {
	if marks == nil {
		return nil, 0
	}
	var visit func(i int, path string)
	visit = func(i int, path string) {
		if marks[i] != keep {
			if hidden++; len(listed) < maxListed {
				listed = append(listed, RedactedValue{Path: path, With: marks[i].with()})
			}
			return
		}
		position := 0
		for child := range d.children(i) {
			part := d.nodes[child].name
			if d.nodes[child].nameFrom < 0 {
				part = strconv.Itoa(position)
			}
			visit(child, strings.TrimPrefix(path+"."+part, "."))
			position++
		}
	}
	visit(0, "")
	return listed, hidden
}
