package genesys

import (
	"strconv"
	"time"
)

// minEpochMillis is the least number that is read as epoch milliseconds; as seconds it is the
// year 5138.
const minEpochMillis = 1e11

// parseSignedTime reads epoch seconds or milliseconds in plain digits, or RFC 3339.
func parseSignedTime(s string) (time.Time, bool) {
	if n, err := strconv.ParseUint(s, 10, 63); err == nil {
		if n >= minEpochMillis {
			return time.UnixMilli(int64(n)), true
		}
		return time.Unix(int64(n), 0), true
	}
	t, err := time.Parse(time.RFC3339Nano, s)
	return t, err == nil
}

// isFresh reports whether two times are no further apart than the tolerance.
func isFresh(signed, now time.Time, tolerance time.Duration) bool {
	return now.Sub(signed).Abs() <= tolerance
}
