package ingress

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func presetFingerprints() *fingerprints {
	return newFingerprints([]string{"eventTypeId", "timestamp", "data"}, false)
}

func TestFingerprintOfTheSameContent(t *testing.T) {
	want := presetFingerprints().of(bare(`{"id":"1","timestamp":1678886400,"eventTypeId":"interaction","data":{"id":"9","n":[1,{"a":"ä","b":null}]}}`), "")
	assert.Regexp(t, "^[0-9a-f]{32}$", want)
	for name, body := range map[string]string{
		"envelope id":     `{"id":"2","timestamp":1678886400,"eventTypeId":"interaction","data":{"id":"9","n":[1,{"a":"ä","b":null}]}}`,
		"unlisted member": `{"id":"1","x":0,"timestamp":1678886400,"eventTypeId":"interaction","data":{"id":"9","n":[1,{"a":"ä","b":null}]}}`,
		"white space":     " {\n\"id\" : \"1\",\t\"timestamp\" : 1678886400 , \"eventTypeId\":\"interaction\",\"data\":{ \"id\":\"9\" , \"n\":[ 1 , {\"a\":\"ä\",\"b\": null} ] }}\r\n",
		"member order":    `{"data":{"n":[1,{"b":null,"a":"ä"}],"id":"9"},"eventTypeId":"interaction","timestamp":1678886400,"id":"1"}`,
		"escapes":         `{"id":"1","timestamp":1678886400,"eventTypeId":"inter\u0061ction","d\u0061ta":{"\u0069d":"\u0039","n":[1,{"a":"\u00e4","b":null}]}}`,
	} {
		t.Run(name, func(t *testing.T) {
			assert.True(t, isGoodJSON([]byte(body)))
			assert.Equal(t, want, presetFingerprints().of(bare(body), ""))
		})
	}
}

func TestFingerprintsOfOtherContent(t *testing.T) {
	seen := map[string]string{}
	for _, body := range []string{
		`{"timestamp":1,"eventTypeId":"a","data":{"id":"1"}}`,
		`{"timestamp":2,"eventTypeId":"a","data":{"id":"1"}}`,
		`{"timestamp":"1","eventTypeId":"a","data":{"id":"1"}}`,
		`{"timestamp":1.0,"eventTypeId":"a","data":{"id":"1"}}`,
		`{"timestamp":1,"eventTypeId":"b","data":{"id":"1"}}`,
		`{"timestamp":1,"eventTypeId":"a","data":{"id":"2"}}`,
		`{"timestamp":1,"eventTypeId":"a","data":{"id":"1","x":null}}`,
		`{"timestamp":1,"eventTypeId":"a","data":{"id":9007199254740992}}`,
		`{"timestamp":1,"eventTypeId":"a","data":{"id":9007199254740993}}`,
		`{"timestamp":1,"eventTypeId":"a","data":[1,2]}`,
		`{"timestamp":1,"eventTypeId":"a","data":[2,1]}`,
		`{"timestamp":1,"eventTypeId":"a","data":[12]}`,
		`{"timestamp":1,"eventTypeId":"a","data":null}`,
		`{"timestamp":1,"eventTypeId":"a","data":"null"}`,
		`{"timestamp":1,"eventTypeId":"a","data":""}`,
		`{"timestamp":1,"eventTypeId":"a"}`,
		`{"timestamp":null,"eventTypeId":"a"}`,
		`{"timestamp":"a"}`,
		`{"eventTypeId":"a"}`,
		`{}`,
	} {
		sum := presetFingerprints().of(bare(body), "")
		assert.Empty(t, seen[sum], "the same as %s", body)
		seen[sum] = body
	}
}

func TestFingerprintOfTheWholeBody(t *testing.T) {
	whole := newFingerprints(nil, false)
	assert.Equal(t, whole.of(bare(`{"a":1,"b":2}`), ""), whole.of(bare(` {"b":2, "a":1}`), ""))
	assert.NotEqual(t, whole.of(bare(`{"a":1,"b":2}`), ""), whole.of(bare(`{"a":1,"b":3}`), ""))
	assert.NotEqual(t, whole.of(bare(`{}`), ""), rawFingerprint([]byte(`{}`)))
	assert.NotEqual(t, rawFingerprint([]byte(`{`)), rawFingerprint([]byte(`{ `)))
}

func TestFingerprintsOfLargeAndSmallBodiesShareNothing(t *testing.T) {
	f := newFingerprints(nil, false)
	small := f.of(bare(`{"a":1}`), "")
	f.of(bare(`{"a":"`+strings.Repeat("x", 200_000)+`"}`), "")
	assert.Equal(t, small, f.of(bare(`{"a":1}`), ""))
}

// FuzzFingerprint compares with encoding/json, which sorts members and keeps numbers, too.
func FuzzFingerprint(f *testing.F) {
	f.Add([]byte(`{"a":1,"b":[1,2]}`), []byte(`{"b":[1,2],"a":1}`))
	f.Add([]byte(`{"a":"\u00e4<"}`), []byte(`{"a":"ä\u003c"}`))
	f.Add([]byte(`{"a":9007199254740993}`), []byte(`{"a":9007199254740992}`))
	f.Add([]byte(`{"\ud83d\ude00":-0,"z":1e1}`), []byte(`{"z":1e1,"😀":-0}`))
	f.Add([]byte(`{`), []byte("\xff\x00"))
	whole, byPath := newFingerprints(nil, false), newFingerprints([]string{"a", "b.0", "c"}, false)
	f.Fuzz(func(t *testing.T, a, b []byte) {
		if !isGoodJSON(a) || !isGoodJSON(b) {
			assert.Equal(t, bytes.Equal(a, b), rawFingerprint(a) == rawFingerprint(b))
			return
		}
		same := canonical(t, a) == canonical(t, b)
		assert.Equal(t, same, whole.of(bare(string(a)), "") == whole.of(bare(string(b)), ""))
		if same {
			assert.Equal(t, byPath.of(bare(string(a)), ""), byPath.of(bare(string(b)), ""))
		}
		assert.Equal(t, whole.of(bare(string(a)), ""), whole.of(bare(canonical(t, a)), ""))
	})
}

func canonical(t *testing.T, body []byte) string {
	decoder := json.NewDecoder(bytes.NewReader(body))
	decoder.UseNumber()
	var v any
	assert.NoError(t, decoder.Decode(&v))
	out, err := json.Marshal(v)
	assert.NoError(t, err)
	return string(out)
}

// bare is a body that has no headers and no envelope.
func bare(body string) *document { return newDocument(nil, body, nil) }
