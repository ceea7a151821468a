package ingress

import (
	"math"
	"strconv"
	"time"
)

// minEpochMillis is the least number that is read as epoch milliseconds; as seconds it is the
// year 5138.
const minEpochMillis = 1e11

// parseTime reads epoch seconds or milliseconds, with or without a fraction, or RFC 3339. What
// it can't read is the zero time, as is what lies before 1970 or after 9999.
func parseTime(s string) time.Time {
	t, ok := parseEpoch(s)
	if !ok {
		t, _ = time.Parse(time.RFC3339Nano, s) // the zero time if it fails
	}
	if t = t.UTC(); t.Unix() <= 0 || t.Year() > 9999 {
		return time.Time{}
	}
	return t
}

func parseEpoch(s string) (time.Time, bool) {
	if n, err := strconv.ParseInt(s, 10, 64); err == nil {
		if n >= minEpochMillis {
			return time.UnixMilli(n), true
		}
		return time.Unix(n, 0), true
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(seconds) || math.Abs(seconds) > math.MaxInt64/1e6 {
		return time.Time{}, false
	}
	if seconds >= minEpochMillis {
		seconds /= 1000
	}
	return time.UnixMicro(int64(math.Round(seconds * 1e6))), true // a float64 holds no more
}
