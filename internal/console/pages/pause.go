package pages

import (
	"fmt"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
)

// maxPause bounds a pause that has an end.
const maxPause = 365 * 24 * time.Hour

// pauseChoices are what the form offers; it takes any other time, too.
func pauseChoices() []choice {
	return []choice{{"15m", "15 minutes"}, {"1h", "1 hour"}, {"4h", "4 hours"}, {"24h", "1 day"}, {"", "until it is resumed"}}
}

func (s *site) pause(v *visit) (string, error) {
	name := v.PathValue("name")
	length, reason := v.fields.length("for", maxPause), v.fields.reason()
	if err := v.fields.done(); err != nil {
		return "", err
	}
	result, err := v.operator.Pause(v.Context(), v.by(reason), name, length)
	if err != nil {
		return "", err
	}
	text := name + " is paused"
	if length > 0 {
		text += " for " + duration(time.Duration(length))
	} else {
		text += " until it is resumed"
	}
	return s.notify(subscriberPath(name), text+". "+afterwards(result)+deletes(result, time.Duration(length))), nil
}

// deletes says what of a paused subscriber's events is gone before it gets them; "" if nothing.
func deletes(r admin.PauseResult, length time.Duration) string {
	if kept := time.Duration(r.MaxAge); kept > 0 && (length == 0 || length > kept) {
		return " Mind that the stream " + r.Stream + " deletes what is older than " + duration(kept) + ", whether it waits or not."
	}
	return ""
}

func (s *site) resume(v *visit) (string, error) {
	name := v.PathValue("name")
	reason := v.fields.text("reason", maxFieldBytes)
	if err := v.fields.done(); err != nil {
		return "", err
	}
	result, err := v.operator.Resume(v.Context(), v.by(reason), name)
	if err != nil {
		return "", err
	}
	return s.notify(subscriberPath(name), name+" goes on. "+afterwards(result)), nil
}

// afterwards says what a pause leaves to be done, and what will undo it.
func afterwards(r admin.PauseResult) string {
	c := r.CatchUp
	text := "Nothing waits."
	if c.Backlog > 0 {
		text = plural(c.Backlog, "event", "events") + " will have waited then"
		switch {
		case c.Never:
			text += fmt.Sprintf("; at %s the backlog only grows, for %s arrive.", c.RateLimit, perSecond(c.Arrivals))
		case c.Takes > 0:
			text += "; at " + c.RateLimit.String() + " it takes " + duration(time.Duration(c.Takes)) + " to catch up."
		default:
			text += "."
		}
	}
	if r.Warning != "" {
		text += " " + r.Warning
	}
	return text
}
