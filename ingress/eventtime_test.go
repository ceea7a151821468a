package ingress

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
)

func TestParseTime(t *testing.T) {
	want := time.Date(2023, 3, 15, 13, 20, 0, 0, time.UTC)
	for text, at := range map[string]time.Time{
		"1678886400":                want,
		"1678886400000":             want,
		"1678886400.25":             want.Add(250 * time.Millisecond),
		"1678886400123":             want.Add(123 * time.Millisecond),
		"1678886400123.5":           want.Add(123*time.Millisecond + 500*time.Microsecond),
		"1.6788864e9":               want,
		"2023-03-15T13:20:00Z":      want,
		"2023-03-15T14:20:00+01:00": want,
		"2023-03-15T13:20:00.123Z":  want.Add(123 * time.Millisecond),
		"99999999999":               time.Unix(99999999999, 0).UTC(),
		"":                          {},
		"yesterday":                 {},
		"0":                         {},
		"-1":                        {},
		"NaN":                       {},
		"+Inf":                      {},
		"1e300":                     {},
		"9223372036854775807":       {},
		"99999999999999999999":      {},
		"1678886400000000":          {}, // microseconds are not understood
		"0001-01-01T00:00:00Z":      {},
		"9999-12-31T23:59:59-10:00": {},
		"2023-03-15":                {},
	} {
		assert.Equal(t, at, parseTime(text), text)
	}
}
