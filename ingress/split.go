package ingress

import (
	"github.com/genmesh/genmesh/mesh"
	"github.com/tidwall/gjson"
)

// maxSplitBytes bounds what the bodies of one delivery's events are together: each has all that
// stands around the list.
const maxSplitBytes = 8 << 20

// split makes a body for each event of a body that brings several at path: the same, byte for byte,
// with the list cut to this one. So whoever knows the sender's format can read it. A body that
// brings one event, or no list, stays as it is.
func split(body []byte, path string) (bodies [][]byte, reason string) {
	if path == "" {
		return [][]byte{body}, ""
	}
	list := gjson.GetBytes(body, path)
	if !list.IsArray() {
		return [][]byte{body}, ""
	}
	elements := list.Array()
	around := len(body) - len(list.Raw)
	switch n := len(elements); {
	case n == 0:
		return nil, reasonNoEvents
	case n == 1:
		return [][]byte{body}, ""
	case n > mesh.MaxEventsAtOnce || n*around+len(list.Raw) > maxSplitBytes:
		return nil, reasonTooManyEvents
	}
	before, after := body[:list.Index], body[list.Index+len(list.Raw):]
	for _, e := range elements {
		cut := make([]byte, 0, around+len(e.Raw)+len("[]"))
		cut = append(append(cut, before...), '[')
		cut = append(append(cut, e.Raw...), ']')
		bodies = append(bodies, append(cut, after...))
	}
	return bodies, ""
}
