package mesh

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"time"
)

// MarshalJSON is a streams.json that ParseTopology reads as the same topology, with defaults
// and presets filled in. Secrets stay references, and so do target URLs that were written with
// one.
func (t *Topology) MarshalJSON() ([]byte, error) { return encode(reflect.ValueOf(*t)) }

// encode writes what decoder reads. Fields with their zero value are left out.
func encode(v reflect.Value) ([]byte, error) {
	switch own := v.Interface().(type) {
	case Secret:
		return json.Marshal(string(own))
	case time.Duration:
		return Duration(own).MarshalJSON()
	case json.Marshaler:
		return own.MarshalJSON()
	}
	switch v.Kind() {
	case reflect.Struct:
		return encodeStruct(v)
	case reflect.Pointer:
		return encode(v.Elem())
	case reflect.Slice:
		return encodeSlice(v)
	case reflect.Map:
		return encodeMap(v)
	case reflect.String:
		return json.Marshal(escapeReferences(v.String()))
	}
	return json.Marshal(v.Interface())
}

// MarshalJSON keeps the URL, the proxy and the headers as they were written in streams.json: what their
// references stand for may be a password.
func (t Target) MarshalJSON() ([]byte, error) {
	var b object
	if err := b.addWritten("url", t.written, t.URL); err != nil {
		return nil, err
	}
	if t.Proxy != "" {
		if err := b.addWritten("proxy", t.writtenProxy, t.Proxy); err != nil {
			return nil, err
		}
	}
	if t.writtenHeaders != nil && len(t.Headers) > 0 {
		raw, err := json.Marshal(t.writtenHeaders)
		if err != nil {
			return nil, err
		}
		b.add("headers", raw)
		t.Headers = nil
	}
	t.URL, t.Proxy = "", ""
	for _, f := range fieldsOf(reflect.ValueOf(t)) {
		if err := b.addField(f); err != nil {
			return nil, err
		}
	}
	return b.close(), nil
}

// addWritten adds a text as it was written, or as it is with nothing in it that looks like a reference.
func (b *object) addWritten(name, written, value string) error {
	if written == "" {
		written = escapeReferences(value)
	}
	quoted, err := json.Marshal(written)
	if err != nil {
		return err
	}
	b.add(name, quoted)
	return nil
}

func encodeStruct(v reflect.Value) ([]byte, error) {
	var b object
	for _, f := range fieldsOf(v) {
		if err := b.addField(f); err != nil {
			return nil, err
		}
	}
	return b.close(), nil
}

func encodeSlice(v reflect.Value) ([]byte, error) {
	elements := make([]json.RawMessage, v.Len())
	for i := range elements {
		raw, err := encode(v.Index(i))
		if err != nil {
			return nil, err
		}
		elements[i] = raw
	}
	return json.Marshal(elements)
}

func encodeMap(v reflect.Value) ([]byte, error) {
	keys := v.MapKeys()
	slices.SortFunc(keys, func(a, b reflect.Value) int { return bytes.Compare([]byte(a.String()), []byte(b.String())) })
	var b object
	for _, key := range keys {
		raw, err := encode(v.MapIndex(key))
		if err != nil {
			return nil, err
		}
		b.add(key.String(), raw)
	}
	return b.close(), nil
}

// object is a JSON object under construction.
type object struct{ bytes.Buffer }

func (o *object) add(name string, raw []byte) {
	if o.Len() == 0 {
		o.WriteByte('{')
	} else {
		o.WriteByte(',')
	}
	quoted, _ := json.Marshal(name) // a string never fails
	o.Write(quoted)
	o.WriteByte(':')
	o.Write(raw)
}

func (o *object) addField(f field) error {
	if f.value.IsZero() {
		return nil
	}
	raw, err := encode(f.value)
	if err != nil {
		return fmt.Errorf("%s: %w", f.name, err)
	}
	o.add(f.name, raw)
	return nil
}

func (o *object) close() []byte {
	if o.Len() == 0 {
		return []byte("{}")
	}
	o.WriteByte('}')
	return o.Bytes()
}
