package ingress

import (
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/go-json-experiment/json/jsontext"
	"github.com/tidwall/gjson"
)

// fingerprints tell the contents of a source's events apart: equal for a redelivery however it
// was encoded again, different as soon as any value that counts differs.
//
// A fingerprint is the first 16 bytes of a SHA-256 in hex, over each configured path and the
// value there in canonical JSON: members sorted, no whitespace, strings in their shortest form.
// It is RFC 8785 but for numbers, which keep their digits: as float64, different ids beyond
// 2^53 would be the same.
type fingerprints struct {
	paths   []string // the content if there are none
	typed   bool     // the type counts, for the content does not tell it
	format  []jsontext.Options
	buffers sync.Pool // *[]byte
}

func newFingerprints(paths []string, hasContent bool) *fingerprints {
	return &fingerprints{
		paths: paths,
		typed: hasContent && len(paths) == 0,
		format: []jsontext.Options{
			jsontext.ReorderRawObjects(true),
			jsontext.CanonicalizeRawInts(false),
			jsontext.CanonicalizeRawFloats(false),
		},
		buffers: sync.Pool{New: func() any { return new([]byte) }},
	}
}

// of is the fingerprint of an event of the given type.
func (f *fingerprints) of(d *document, eventType string) string {
	buffer := f.buffers.Get().(*[]byte)
	defer f.buffers.Put(buffer)
	canonical := (*buffer)[:0]
	if f.typed {
		canonical = append(append(canonical, eventType...), 0)
	}
	canonical = f.appendCanonical(canonical, d)
	if cap(canonical) <= maxPooledBytes {
		*buffer = canonical
	}
	return hash(canonical)
}

// maxPooledBytes bounds the buffers that are kept for the next event.
const maxPooledBytes = 64 << 10

// appendCanonical writes what the fingerprint is over. NUL stands in no canonical JSON and in
// no path, so it divides them; a missing value is empty, which no JSON value is.
func (f *fingerprints) appendCanonical(b []byte, d *document) []byte {
	if len(f.paths) == 0 {
		return f.appendValue(b, d.content)
	}
	for _, path := range f.paths {
		b = append(append(b, path...), 0)
		if v := gjson.Get(d.body, path); v.Exists() {
			b = f.appendValue(b, v.Raw)
		}
		b = append(b, 0)
	}
	return b
}

// appendValue can't fail on what checkJSON found good; if it did, the value would count as sent.
func (f *fingerprints) appendValue(b []byte, value string) []byte {
	b, _ = jsontext.AppendFormat(b, value, f.format...)
	return b
}

// rawFingerprint is the fingerprint of a body that is no good JSON. No other begins with a NUL.
func rawFingerprint(body []byte) string {
	return hash(append([]byte{0}, body...))
}

func hash(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:16])
}
