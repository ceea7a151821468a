package cli

import (
	"fmt"
	"time"

	"github.com/spf13/pflag"

	"github.com/genmesh/genmesh/mesh"
)

// span is a time from and to which something is chosen; either may be open.
type span struct{ since, until string }

// add adds the flags; what says what happened in that time, such as "those buried".
func (s *span) add(flags *pflag.FlagSet, what string) {
	flags.StringVar(&s.since, "since", "", "only "+what+" since `TIME`: RFC 3339, or how long ago, such as 2h or 7d")
	flags.StringVar(&s.until, "until", "", "only "+what+" until `TIME`")
}

func (s *span) given() bool { return s.since != "" || s.until != "" }

// times are the zero time where the span is open.
func (s *span) times(now time.Time) (since, until time.Time, err error) {
	if since, err = parseTime("since", s.since, now); err != nil {
		return since, until, err
	}
	until, err = parseTime("until", s.until, now)
	return since, until, err
}

// parseTime reads a time or how long ago it was; "" is the zero time.
func parseTime(flag, text string, now time.Time) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	if t, err := time.Parse(time.RFC3339, text); err == nil {
		return t, nil
	}
	ago, err := mesh.ParseDuration(text)
	if err != nil || ago < 0 {
		return time.Time{}, fmt.Errorf("--%s %q: write a time as 2026-01-31T12:00:00Z, or how long ago it was as 2h or 7d", flag, text)
	}
	return now.Add(-time.Duration(ago)), nil
}
