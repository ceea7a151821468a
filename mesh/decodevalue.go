package mesh

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"
)

// text is a string with its references to the environment expanded.
func (d *decoder) text(n *node, path, expected string) (string, bool) {
	if n.kind != kindString {
		d.wrongType(n, path, expected)
		return "", false
	}
	text, _, ok := d.expanded(n, path)
	return text, ok
}

func (d *decoder) expanded(n *node, path string) (text string, referenced, ok bool) {
	text, referenced, err := expand(n.text, d.lookup)
	if err != nil {
		d.add(n.at, path, err.Error(), "set it, or write ${NAME:-default}")
		return "", referenced, false
	}
	if referenced {
		d.references[path] = n.text
	}
	return text, referenced, true
}

func (d *decoder) wrongType(n *node, path, expected string) {
	hint := ""
	if n.kind == kindNull {
		hint = "leave the field out for its default"
	}
	d.add(n.at, path, fmt.Sprintf("expected %s, found %s", expected, n.describe()), hint)
}

func (d *decoder) secret(n *node, v reflect.Value, path string) {
	const hint = `write "${ENV_NAME}", "${ENV_NAME:-}" (may be unset) or "file:/absolute/path"`
	if n.kind != kindString {
		d.wrongType(n, path, "a reference to a secret")
		return
	}
	if !Secret(n.text).isReference() {
		d.add(n.at, path, "a secret is never written in this file, only a reference to it", hint)
		return
	}
	v.SetString(n.text)
}

func (d *decoder) duration(n *node, v reflect.Value, path string) {
	const expected = `a duration such as "30s", "24h" or "7d"`
	if n.kind == kindNumber {
		d.integer(n, n.text, v, path, expected+", or whole nanoseconds")
		return
	}
	text, ok := d.text(n, path, expected)
	if !ok {
		return
	}
	parsed, err := ParseDuration(text)
	if err != nil {
		d.add(n.at, path, fmt.Sprintf("expected %s, found %q", expected, n.text), "")
		return
	}
	v.SetInt(int64(parsed))
}

func (d *decoder) time(n *node, v reflect.Value, path string) {
	const expected = `a time such as "2026-01-31T12:00:00Z"`
	text, ok := d.text(n, path, expected)
	if !ok {
		return
	}
	parsed, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		d.add(n.at, path, fmt.Sprintf("expected %s, found %q", expected, n.text), "")
		return
	}
	v.Set(reflect.ValueOf(parsed.UTC()))
}

func (d *decoder) rate(n *node, v reflect.Value, path string) {
	text, ok := d.text(n, path, `a rate such as "500/s"`)
	if !ok {
		return
	}
	parsed, err := parseRate(text)
	if err != nil {
		d.add(n.at, path, err.Error(), "")
		return
	}
	v.Set(reflect.ValueOf(parsed))
}

// enum reads one of few values by the type's own UnmarshalJSON, where it has one.
func (d *decoder) enum(n *node, v reflect.Value, path string) {
	values := enumValues(v.Type())
	text, ok := d.text(n, path, "one of "+strings.Join(values, ", "))
	if !ok {
		return
	}
	own, hasOwn := v.Addr().Interface().(json.Unmarshaler)
	switch {
	case !slices.Contains(values, text):
		d.add(n.at, path, fmt.Sprintf("%q is none of %s", n.text, strings.Join(values, ", ")), hintNearest(text, values))
	case !hasOwn:
		v.SetString(text)
	default:
		if err := own.UnmarshalJSON([]byte(strconv.Quote(text))); err != nil {
			d.add(n.at, path, err.Error(), "")
		}
	}
}

func hintNearest(wrong string, candidates []string) string {
	if best := nearest(wrong, candidates); best != "" {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return ""
}

func (d *decoder) bool(n *node, v reflect.Value, path string) {
	switch n.kind {
	case kindTrue, kindFalse:
		v.SetBool(n.kind == kindTrue)
		return
	case kindString:
		if text, referenced, ok := d.expanded(n, path); !ok {
			return
		} else if referenced && (text == "true" || text == "false") {
			v.SetBool(text == "true")
			return
		}
	}
	d.wrongType(n, path, "true or false")
}

// number reads a number, or a string that is one after expanding its ${references}: so that
// one file serves a laptop and a cluster.
func (d *decoder) number(n *node, v reflect.Value, path string) {
	text, expected := n.text, "a whole number"
	if v.Kind() == reflect.Float64 {
		expected = "a number"
	}
	switch n.kind {
	case kindNumber:
	case kindString:
		var referenced, ok bool
		if text, referenced, ok = d.expanded(n, path); !ok {
			return
		}
		if !referenced {
			d.wrongType(n, path, expected)
			return
		}
	default:
		d.wrongType(n, path, expected)
		return
	}
	if v.Kind() == reflect.Float64 {
		d.float(n, text, v, path)
	} else {
		d.integer(n, text, v, path, expected)
	}
}

func (d *decoder) integer(n *node, text string, v reflect.Value, path, expected string) {
	var err error
	if v.CanUint() {
		var u uint64
		u, err = strconv.ParseUint(text, 10, v.Type().Bits())
		v.SetUint(u)
	} else {
		var i int64
		i, err = strconv.ParseInt(text, 10, v.Type().Bits())
		v.SetInt(i)
	}
	if err != nil {
		v.SetZero()
		d.add(n.at, path, fmt.Sprintf("expected %s, found %s", expected, n.text), "")
	}
}

func (d *decoder) float(n *node, text string, v reflect.Value, path string) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f != f {
		d.add(n.at, path, fmt.Sprintf("expected a number, found %s", n.text), "")
		return
	}
	v.SetFloat(f)
}
