package mesh

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ParseDuration reads "90s", "1h30m", "7d" or "1d12h". A day is 24 hours.
func ParseDuration(text string) (Duration, error) {
	days, rest, found := strings.Cut(text, "d")
	if !found {
		days, rest = "", text
	}
	var total time.Duration
	if found {
		n, err := strconv.ParseUint(days, 10, 64)
		if err != nil || n > maxDays {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
		total = time.Duration(n) * 24 * time.Hour
	}
	if rest != "" {
		d, err := time.ParseDuration(rest)
		if err != nil || found && (d < 0 || d > 24*time.Hour) {
			return 0, fmt.Errorf("%q is not a duration", text)
		}
		total += d
	}
	if !found && rest == "" {
		return 0, fmt.Errorf("%q is not a duration", text)
	}
	return Duration(total), nil
}

// maxDays keeps a duration in days within the nanoseconds that it is kept in.
const maxDays = 100_000

// String is the duration as it is written in streams.json, such as "168h" or "1h30m".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// MarshalJSON writes the duration as String does.
func (d Duration) MarshalJSON() ([]byte, error) { return json.Marshal(d.String()) }

// UnmarshalJSON reads "24h" or nanoseconds.
func (d *Duration) UnmarshalJSON(data []byte) (err error) {
	var text string
	if json.Unmarshal(data, &text) != nil {
		return json.Unmarshal(data, (*int64)(d))
	}
	*d, err = ParseDuration(text)
	return err
}

// parseRate reads a number of events per second, minute or hour: "500/s", "30/m", "1000/h".
func parseRate(text string) (Rate, error) {
	count, unit, _ := strings.Cut(text, "/")
	n, err := strconv.Atoi(count)
	per := map[string]time.Duration{"s": time.Second, "m": time.Minute, "h": time.Hour}[unit]
	if err != nil || n < 1 || n > maxRateEvents || per == 0 {
		return Rate{}, fmt.Errorf(`%q is not a rate such as "500/s", "30/m" or "1000/h" (1 to %d events)`,
			text, maxRateEvents)
	}
	return Rate{Events: n, Per: per}, nil
}

const maxRateEvents = 1_000_000

// String is the rate as it is written in streams.json; the zero Rate is "".
func (r Rate) String() string {
	switch r.Per {
	case 0:
		return ""
	case time.Minute:
		return strconv.Itoa(r.Events) + "/m"
	case time.Hour:
		return strconv.Itoa(r.Events) + "/h"
	}
	return strconv.Itoa(r.Events) + "/s"
}

// PerSecond is the rate in events per second; 0 is no limit.
func (r Rate) PerSecond() float64 {
	if r.Per == 0 {
		return 0
	}
	return float64(r.Events) / r.Per.Seconds()
}

// MarshalJSON writes the rate as String does.
func (r Rate) MarshalJSON() ([]byte, error) { return json.Marshal(r.String()) }

// UnmarshalJSON reads a rate as parseRate does.
func (r *Rate) UnmarshalJSON(data []byte) error {
	var text string
	err := json.Unmarshal(data, &text)
	if err == nil && text != "" {
		*r, err = parseRate(text)
	}
	return err
}
