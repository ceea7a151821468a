package pages

import (
	"fmt"
	"html/template"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/genmesh/genmesh/internal/telemetry"
)

// count writes a number with its thousands apart: 12,400. From ten million on it is rounded: 12.4 M.
func count[T int | int64 | uint64](n T) string {
	if n < 0 {
		return "0"
	}
	if n >= 10_000_000 {
		return scaled(float64(n), []string{"", " k", " M", " G", " T", " P", " E"}, 1000)
	}
	digits := strconv.FormatUint(uint64(n), 10)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

// size writes bytes: 1.2 GiB.
func size[T int | int64 | uint64](n T) string {
	if n < 0 {
		return "0 B"
	}
	return scaled(float64(n), []string{" B", " KiB", " MiB", " GiB", " TiB", " PiB", " EiB"}, 1024)
}

// scaled writes a number with three digits at least and the unit that suits it.
func scaled(n float64, units []string, step float64) string {
	i := 0
	for n >= step && i < len(units)-1 {
		n /= step
		i++
	}
	decimals := 0
	if i > 0 && n < 100 {
		decimals = 1
	}
	return strings.TrimSuffix(strconv.FormatFloat(n, 'f', decimals, 64), ".0") + units[i]
}

// perSecond writes events per second; what is slower than one in ten seconds, per minute.
func perSecond(rate float64) string {
	switch {
	case math.IsNaN(rate) || rate <= 0:
		return "0/s"
	case rate < 0.1:
		return strings.TrimSuffix(strconv.FormatFloat(max(rate*60, 0.1), 'f', 1, 64), ".0") + "/min"
	case rate < 10:
		return strings.TrimSuffix(strconv.FormatFloat(rate, 'f', 1, 64), ".0") + "/s"
	case rate < 10_000:
		return count(int64(math.Round(rate))) + "/s"
	}
	return scaled(rate, []string{"", "k", "M", "G"}, 1000) + "/s"
}

// seconds writes how long something took; "–" for nothing.
func seconds(s float64) string {
	switch {
	case math.IsNaN(s) || s <= 0:
		return "–"
	case s < 0.001:
		return "<1 ms"
	case s < 1:
		return strconv.FormatFloat(s*1000, 'f', 0, 64) + " ms"
	case s < 10:
		return strconv.FormatFloat(s, 'f', 1, 64) + " s"
	case s > math.MaxInt64/float64(time.Second):
		return "∞"
	}
	return duration(time.Duration(s * float64(time.Second)))
}

// duration writes a time by its two largest units: 3 min 12 s, 2 d 4 h.
func duration(d time.Duration) string {
	if d < time.Second {
		return strconv.FormatInt(max(d.Milliseconds(), 0), 10) + " ms"
	}
	units := []struct {
		length time.Duration
		name   string
	}{{24 * time.Hour, "d"}, {time.Hour, "h"}, {time.Minute, "min"}, {time.Second, "s"}}
	for i, u := range units {
		if d < u.length {
			continue
		}
		text := fmt.Sprintf("%d %s", d/u.length, u.name)
		if i+1 < len(units) {
			if rest := d % u.length / units[i+1].length; rest > 0 {
				text += fmt.Sprintf(" %d %s", rest, units[i+1].name)
			}
		}
		return text
	}
	return "0 s"
}

// ago writes how long ago something was, or how far ahead it is. It rounds to one unit, so that it seldom changes.
func ago(at, now time.Time) string {
	d := now.Sub(at)
	ahead := d < 0
	if ahead {
		d = -d
	}
	if d < time.Second {
		return "now"
	}
	text := duration(d)
	if parts := strings.Fields(text); len(parts) > 2 {
		text = parts[0] + " " + parts[1]
	}
	if ahead {
		return "in " + text
	}
	return text + " ago"
}

// clock writes a time of the day, with the day where it is not today; always UTC.
func clock(at, now time.Time) string {
	at, now = at.UTC(), now.UTC()
	if at.Year() == now.Year() && at.YearDay() == now.YearDay() {
		return at.Format("15:04:05")
	}
	return at.Format("2006-01-02 15:04:05")
}

// moment is a time for people and for programs.
func moment(at, now time.Time) template.HTML {
	if at.IsZero() {
		return "–"
	}
	return template.HTML(fmt.Sprintf(`<time datetime="%s">%s UTC</time>`, stamp(at), clock(at, now))) //nolint:gosec // digits only
}

// since is a moment and how long ago it was.
func since(at, now time.Time) template.HTML {
	if at.IsZero() {
		return "–"
	}
	//nolint:gosec // digits and our own words
	return moment(at, now) + template.HTML(` <span class="age">`+ago(at, now)+`</span>`)
}

// stamp writes a time as forms and addresses have it.
func stamp(at time.Time) string {
	if at.IsZero() {
		return ""
	}
	return at.UTC().Format(time.RFC3339Nano)
}

// said is text from outside: what can't be printed is escaped visibly, and it can't change the direction of what stands around it.
func said(text string) template.HTML {
	if text == "" {
		return ""
	}
	//nolint:gosec // escaped
	return template.HTML("<bdi>" + template.HTMLEscapeString(telemetry.Printable(cut(text, maxWords))) + "</bdi>")
}

// cut bounds a text in bytes, at the end of a character.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	end := most
	for end > 0 && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "…"
}

// plural writes a number with its noun, or another form of it where it is not one.
func plural[T int | int64 | uint64](n T, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return count(n) + " " + many
}
