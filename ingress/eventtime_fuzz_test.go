package ingress

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// FuzzEventTime: a time that is read can be written and read again, and plain seconds and RFC 3339 mean what they mean everywhere.
func FuzzEventTime(f *testing.F) {
	for _, text := range []string{
		"", "0", "1", "-1", "1678886400", "1678886400.123456", "1678886400123", "99999999999", "100000000000", "1e10", "1e400", "NaN", "Inf", "-0",
		"9223372036854775807", "2026-01-01T00:00:00Z", "2026-01-01T00:00:00.999999999+14:00", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00Z", "0x1p40",
	} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got := parseTime(text)
		if got.IsZero() {
			return
		}
		require.True(t, got.Unix() > 0 && got.Year() <= 9999, "%s", got)
		written, err := time.Parse(time.RFC3339Nano, got.Format(time.RFC3339Nano))
		require.NoError(t, err)
		require.True(t, got.Equal(written))
		require.True(t, got.Equal(parseTime(got.Format(time.RFC3339Nano))))
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n < minEpochMillis {
			require.Equal(t, n, got.Unix())
		}
		if meant, err := time.Parse(time.RFC3339Nano, text); err == nil {
			require.True(t, got.Equal(meant))
		}
	})
}
