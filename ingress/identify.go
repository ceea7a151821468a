package ingress

import (
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/genmesh/genmesh/mesh"
	"github.com/tidwall/gjson"
)

// identify reads the envelope's values out of the body of e. It returns why the event can't go
// on its way, or "".
func (s *receiver) identify(e *mesh.Event) (reason string) {
	if reason := checkJSON(e.Body); reason != "" {
		e.Fingerprint = rawFingerprint(e.Body)
		return reason
	}
	body, at := string(e.Body), s.source.Identity // one copy that all paths read from
	e.Fingerprint = s.fingerprints.of(body)
	e.Interaction = strings.Clone(textAt(body, at.Interaction))
	e.ID = clip(textAt(body, at.EventID), mesh.MaxValueBytes)
	e.Type = clip(textAt(body, at.EventType), mesh.MaxValueBytes)
	e.Media = clip(textAt(body, at.Media), mesh.MaxValueBytes)
	e.Organization = clip(textAt(body, at.Organization), mesh.MaxValueBytes)
	e.Occurred = parseTime(textAt(body, at.Occurred))
	switch {
	case e.Interaction == "":
		return reasonNoInteraction
	case !s.isFresh(e):
		return reasonEventAge
	}
	return ""
}

// isFresh reports whether the event is not too old and not from too far ahead. Where an age is
// asked for, an event that does not tell its time has none to show.
func (s *receiver) isFresh(e *mesh.Event) bool {
	limit := time.Duration(s.source.MaxEventAge)
	if limit == 0 {
		return true
	}
	return !e.Occurred.IsZero() && e.Received.Sub(e.Occurred).Abs() <= limit
}

// textAt is the string or number at a path of a checked body; "" if there is none. A number
// keeps its digits as they were sent, so it is the same id as a string of these digits.
func textAt(body, path string) string {
	if path == "" {
		return ""
	}
	switch v := gjson.Get(body, path); v.Type {
	case gjson.String:
		return v.Str
	case gjson.Number:
		return v.Raw
	}
	return ""
}

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
