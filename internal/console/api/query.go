package api

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/telemetry"
	"github.com/genmesh/genmesh/mesh"
)

// query reads the parameters of a request, strictly: done tells of every value that makes no sense, and of every name that nobody asked for.
type query struct {
	values url.Values
	now    time.Time
	asked  []string
	wrong  []string
}

// maxTextBytes bounds the value of a parameter.
const maxTextBytes = 4 << 10

func newQuery(raw string, now time.Time) *query {
	values, err := url.ParseQuery(raw)
	q := &query{values: values, now: now}
	if err != nil {
		q.wrong = append(q.wrong, "the query can't be read: it must be names and values such as since=2h&limit=10, percent-encoded")
	}
	return q
}

// done is an admin.ErrInvalid that names all that is wrong, or nil. It comes after all that is asked for, and before anything is done.
func (q *query) done() error {
	for name := range q.values {
		if !slices.Contains(q.asked, name) {
			q.wrong = append(q.wrong, fmt.Sprintf("there is no parameter %q here; %s", shown(name), nearest(name, q.asked)))
		}
	}
	if len(q.wrong) == 0 {
		return nil
	}
	slices.Sort(q.wrong)
	return admin.Invalid(strings.Join(q.wrong, "; "))
}

func (q *query) refuse(name, why string) { q.wrong = append(q.wrong, name+": "+why) }

// shown is text from outside as an error may show it.
func shown(text string) string {
	const most = 64
	if len(text) > most {
		text = text[:most] + "…"
	}
	return telemetry.Printable(text)
}

// nearest is a hint at the name that somebody may have meant, or else at all that there are.
func nearest(wrong string, known []string) string {
	if len(known) == 0 {
		return "none is taken"
	}
	best := slices.MinFunc(known, func(a, b string) int { return mesh.EditDistance(wrong, a) - mesh.EditDistance(wrong, b) })
	if mesh.EditDistance(wrong, best) <= max(1, len(best)/3) {
		return fmt.Sprintf("did you mean %q?", best)
	}
	return "known are " + strings.Join(known, ", ")
}

// texts are all values of a name.
func (q *query) texts(name string, most int) []string {
	q.asked = append(q.asked, name)
	values := q.values[name]
	if len(values) > most {
		q.refuse(name, fmt.Sprintf("it is given %d times, and may be %d times", len(values), most))
		return nil
	}
	for _, value := range values {
		if len(value) > maxTextBytes || !utf8.ValidString(value) {
			q.refuse(name, fmt.Sprintf("it must be UTF-8 of at most %d bytes", maxTextBytes))
			return nil
		}
	}
	return values
}

// text is a value; "" if there is none.
func (q *query) text(name string) string {
	if values := q.texts(name, 1); len(values) == 1 {
		return values[0]
	}
	return ""
}

// choice is one of several words, or "".
func (q *query) choice(name string, of ...string) string {
	text := q.text(name)
	if text == "" || slices.Contains(of, text) {
		return text
	}
	q.refuse(name, fmt.Sprintf("%q is none; %s", shown(text), nearest(text, of)))
	return ""
}

func (q *query) flag(name string) bool { return q.choice(name, "true", "false") == "true" }

// limit is a number from 1 to most, or 0 if there is none.
func (q *query) limit(most int) int {
	text := q.text("limit")
	if text == "" {
		return 0
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > most {
		q.refuse("limit", fmt.Sprintf("write a whole number from 1 to %d", most))
		return 0
	}
	return n
}

// page is the limit and the cursor of a page.
func (q *query) page() (limit int, cursor string) { return q.limit(admin.MaxPage), q.text("cursor") }

// moment is a time; zero if there is none.
func (q *query) moment(name string) time.Time {
	text := q.text(name)
	if text == "" {
		return time.Time{}
	}
	at, err := parseMoment(text, q.now)
	if err != nil {
		q.refuse(name, err.Error())
	}
	return at
}

// span is the time between "since" and "until".
func (q *query) span() (since, until time.Time) { return q.moment("since"), q.moment("until") }

// parseMoment reads an RFC 3339 time, or how long ago, such as 2h or 7d.
func parseMoment(text string, now time.Time) (time.Time, error) {
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.UTC(), nil
	}
	ago, err := mesh.ParseDuration(text)
	if err != nil || ago < 0 {
		return time.Time{}, admin.Invalid("write a time such as 2026-11-20T08:00:00Z, or how long ago, such as 2h or 7d")
	}
	return now.Add(-time.Duration(ago)).UTC(), nil
}

// name is a parameter of the path, such as a subscriber's name or an interaction's id.
func (c *call) name(parameter string) string {
	text, err := url.PathUnescape(c.params.ByName(parameter))
	if err != nil || text == "" || len(text) > maxTextBytes || !utf8.ValidString(text) {
		c.query.refuse(parameter, fmt.Sprintf("it must be percent-encoded UTF-8 of 1 to %d bytes", maxTextBytes))
	}
	return text
}

// number is a parameter of the path that is a number.
func (c *call) number(parameter string) uint64 {
	n, err := strconv.ParseUint(c.params.ByName(parameter), 10, 64)
	if err != nil || n == 0 {
		c.query.refuse(parameter, fmt.Sprintf("%q is no number; write a whole number from 1", shown(c.params.ByName(parameter))))
	}
	return n
}
