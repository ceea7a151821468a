package ingress

import (
	"fmt"
	"iter"

	"github.com/genmesh/genmesh/mesh"
	"github.com/tidwall/gjson"
)

const (
	// maxSplitBytes bounds what the bodies of one delivery's events are together: each has all that
	// stands around the list.
	maxSplitBytes = 8 << 20
	// maxPartsBytes bounds the same where one is looked at after another.
	maxPartsBytes = 256 << 20
)

// split makes a body for each event of a body that brings several at path: the same, byte for byte,
// with the list cut to this one. So whoever knows the sender's format can read it. A body that
// brings one event, or no list, stays as it is.
func split(body []byte, path string) (bodies [][]byte, reason, detail string) {
	if path == "" {
		return [][]byte{body}, "", ""
	}
	list := gjson.GetBytes(body, path)
	if !list.IsArray() {
		return [][]byte{body}, "", ""
	}
	n := 0 // counted before any is kept: a body may have a hundred thousand
	list.ForEach(func(_, _ gjson.Result) bool { n++; return true })
	around := len(body) - len(list.Raw)
	switch size := n*around + len(list.Raw); {
	case n == 0:
		return nil, reasonNoEvents, fmt.Sprintf("the list at %s is empty", path)
	case n == 1:
		return [][]byte{body}, "", ""
	case n > mesh.MaxEventsAtOnce:
		return nil, reasonTooManyEvents, fmt.Sprintf("%d events are at %s; at most %d go at once", n, path, mesh.MaxEventsAtOnce)
	case size > maxSplitBytes:
		return nil, reasonTooManyEvents, fmt.Sprintf("%d events are at %s, and %d bytes together, each with all that stands around it; at most %d go at once",
			n, path, size, maxSplitBytes)
	}
	for _, e := range list.Array() {
		bodies = append(bodies, cut(body, list, e))
	}
	return bodies, "", ""
}

// cut is the body with its list cut to one element.
func cut(body []byte, list, element gjson.Result) []byte {
	around := len(body) - len(list.Raw)
	b := make([]byte, 0, around+len(element.Raw)+len("[]"))
	b = append(append(b, body[:list.Index]...), '[')
	b = append(append(b, element.Raw...), ']')
	return append(b, body[list.Index+len(list.Raw):]...)
}

// Parts reads a quarantined event once more, as Reread does, and yields what it brings one after the
// other. What is too much for one commit is not too much here: each has a body of its own only while
// it is looked at, so whoever releases them in several commits needs no more room than for one.
func (r *Reader) Parts(e mesh.Event) iter.Seq[Reading] {
	return func(yield func(Reading) bool) {
		list, n := r.listIn(e.Body)
		if n < 2 || n*(len(e.Body)-len(list.Raw))+len(list.Raw) > maxPartsBytes {
			for _, reading := range r.Reread(e) {
				if !yield(reading) {
					return
				}
			}
			return
		}
		list.ForEach(func(_, element gjson.Result) bool {
			part := e
			part.Body = cut(e.Body, list, element)
			return yield(r.Reread(part)[0]) // it brings one
		})
	}
}

// listIn is the list of events in a body, and how many it has; none if there is no such list.
func (r *Reader) listIn(body []byte) (list gjson.Result, n int) {
	path := r.source.Identity.Events
	if path == "" {
		return list, 0
	}
	if reason, _ := checkJSON(body); reason == "" {
		list = gjson.GetBytes(body, path)
	}
	if list.IsArray() {
		list.ForEach(func(_, _ gjson.Result) bool { n++; return true })
	}
	return list, n
}
