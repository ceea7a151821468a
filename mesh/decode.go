package mesh

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// decoder fills Go values from a JSON tree by their json tags. It goes on after a mistake, so
// that all are reported at once.
type decoder struct {
	*report
	lookup func(string) (string, bool)
	// places are the offsets of all values that were read, by path.
	places map[string]int64
	// references are the texts that ${references} were expanded in, as they were written, by path.
	references map[string]string
}

// decode reads n into v, which must be settable.
func (d *decoder) decode(n *node, v reflect.Value, path string) {
	d.places[path] = n.at
	switch v.Addr().Interface().(type) {
	case *Secret:
		d.secret(n, v, path)
	case *Duration, *time.Duration:
		d.duration(n, v, path)
	case *time.Time:
		d.time(n, v, path)
	case *Rate:
		d.rate(n, v, path)
	case *Backoff:
		d.backoff(n, v, path)
	case *Target:
		d.target(n, v, path)
	case *Redaction:
		d.redaction(n, v, path)
	case *Selectors:
		d.selectors(n, v, path)
	default:
		if enumValues(v.Type()) != nil {
			d.enum(n, v, path)
		} else {
			d.kind(n, v, path)
		}
	}
}

func (d *decoder) kind(n *node, v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Struct:
		d.object(n, v, path)
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		d.decode(n, v.Elem(), path)
	case reflect.Slice:
		d.list(n, v, path)
	case reflect.Map:
		d.mapping(n, v, path)
	case reflect.String:
		if text, ok := d.text(n, path, "a string"); ok {
			v.SetString(text)
		}
	case reflect.Bool:
		d.bool(n, v, path)
	default:
		d.number(n, v, path)
	}
}

func (d *decoder) object(n *node, v reflect.Value, path string) {
	if n.kind != kindObject {
		d.wrongType(n, path, "an object")
		return
	}
	fields := fieldsOf(v)
	for _, m := range n.members {
		i := slices.IndexFunc(fields, func(f field) bool { return f.name == m.name })
		if i < 0 {
			d.unknown(m, v.Type(), fields, path)
			continue
		}
		d.decode(m.value, fields[i].value, join(path, m.name))
	}
}

// backoff catches NATS's own form, which genmesh doesn't use.
func (d *decoder) backoff(n *node, v reflect.Value, path string) {
	if n.kind == kindArray {
		d.add(n.at, path, "genmesh computes the backoff itself: the server's list replaces ack_wait and a nak skips it",
			`write {"base": "1s", "factor": 2, "max": "60s"}`)
		return
	}
	d.object(n, v, path)
}

// redaction reads an object, or a path alone.
func (d *decoder) redaction(n *node, v reflect.Value, path string) {
	if n.kind != kindString {
		d.object(n, v, path)
		return
	}
	if text, ok := d.text(n, path, "a path or an object"); ok {
		v.Set(reflect.ValueOf(Redaction{Path: text}))
	}
}

// target keeps the URL as it was written, besides what it expands to.
func (d *decoder) target(n *node, v reflect.Value, path string) {
	d.object(n, v, path)
	t := v.Addr().Interface().(*Target)
	if url := n.member("url"); url != nil && url.kind == kindString {
		t.written = url.text
	}
	if proxy := n.member("proxy"); proxy != nil && proxy.kind == kindString {
		t.writtenProxy = proxy.text
	}
	if headers := n.member("headers"); headers != nil {
		t.writtenHeaders = make(map[string]string, len(headers.members))
		for _, m := range headers.members {
			t.writtenHeaders[m.name] = m.value.text
		}
	}
}

func (d *decoder) unknown(m member, owner reflect.Type, fields []field, path string) {
	if d.full() {
		return
	}
	if why := takenField(owner, m.name); why != "" {
		d.add(m.at, join(path, m.name), "is set by genmesh: "+why, "remove it")
		return
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	hint := "see genmesh schema for the fields"
	if best := nearest(m.name, names); best != "" {
		hint = fmt.Sprintf("did you mean %q?", best)
	}
	d.add(m.at, join(path, m.name), "unknown field", hint)
}

// maxElements bounds a list in streams.json.
const maxElements = 256

func (d *decoder) list(n *node, v reflect.Value, path string) {
	if n.kind != kindArray {
		d.wrongType(n, path, "a list")
		return
	}
	if len(n.elements) > maxElements {
		d.add(n.at, path, fmt.Sprintf("%d elements; at most %d are allowed", len(n.elements), maxElements), "")
		return
	}
	v.Set(reflect.MakeSlice(v.Type(), len(n.elements), len(n.elements)))
	for i, e := range n.elements {
		d.decode(e, v.Index(i), index(path, i))
	}
}

func (d *decoder) mapping(n *node, v reflect.Value, path string) {
	if n.kind != kindObject {
		d.wrongType(n, path, "an object")
		return
	}
	v.Set(reflect.MakeMapWithSize(v.Type(), len(n.members)))
	for _, m := range n.members {
		value := reflect.New(v.Type().Elem()).Elem()
		d.decode(m.value, value, join(path, m.name))
		v.SetMapIndex(reflect.ValueOf(m.name), value)
	}
}

// selectors reads a list of them, or a single one that stands without a list.
func (d *decoder) selectors(n *node, v reflect.Value, path string) {
	if n.kind == kindArray {
		d.list(n, v, path)
		return
	}
	if text, ok := d.text(n, path, "a selector or a list of them"); ok {
		v.Set(reflect.ValueOf(Selectors{Selector(text)}))
	}
}
