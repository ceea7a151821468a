package pages

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

// fields reads what a form or an address says, strictly: done tells of every value that makes no sense, and of every name that
// nobody asked for.
type fields struct {
	values url.Values
	now    time.Time
	asked  map[string]bool
	wrong  []string
}

// maxFieldBytes bounds a value that has no bound of its own.
const maxFieldBytes = 1 << 10

// newFields reads values. "notice" may always be there; see site.notify.
func newFields(values url.Values, now time.Time) *fields {
	return &fields{values: values, now: now, asked: map[string]bool{noticeField: true}}
}

// done is an admin.ErrInvalid that names all that is wrong, or nil. It comes after all that is asked for.
func (f *fields) done() error {
	for name := range f.values {
		if !f.asked[name] {
			f.refuse(name, "nothing of that name is asked for here")
		}
	}
	if len(f.wrong) == 0 {
		return nil
	}
	slices.Sort(f.wrong)
	return admin.Invalid(strings.Join(f.wrong, "; "))
}

func (f *fields) refuse(name, why string) {
	f.wrong = append(f.wrong, telemetry.Printable(cut(name, 64))+": "+why)
}

// text is a value of at most so many bytes, without the spaces around it; "" if there is none.
func (f *fields) text(name string, most int) string {
	f.asked[name] = true
	switch values := f.values[name]; {
	case len(values) == 0:
		return ""
	case len(values) > 1:
		f.refuse(name, "it is given twice")
	case len(values[0]) > most:
		f.refuse(name, fmt.Sprintf("it has %d bytes, at most %d are taken", len(values[0]), most))
	case !utf8.ValidString(values[0]):
		f.refuse(name, "it is no UTF-8")
	default:
		return strings.TrimSpace(values[0])
	}
	return ""
}

// needed is a text that must be there.
func (f *fields) needed(name string, most int, why string) string {
	text := f.text(name, most)
	if text == "" {
		f.refuse(name, why)
	}
	return text
}

// reason is why somebody does something, on one line, for the audit.
func (f *fields) reason() string {
	return f.needed("reason", mesh.MaxReasonBytes, "say why, for those who come after you")
}

// choice is one of several words, or "".
func (f *fields) choice(name string, of ...string) string {
	text := f.text(name, maxFieldBytes)
	if text != "" && !slices.Contains(of, text) {
		f.refuse(name, fmt.Sprintf("%q is none of %s", telemetry.Printable(cut(text, 64)), strings.Join(of, ", ")))
		return ""
	}
	return text
}

// flag is a checkbox.
func (f *fields) flag(name string) bool { return f.choice(name, "on") == "on" }

// number is a whole number between two bounds, or 0 if there is none.
func (f *fields) number(name string, least, most uint64) uint64 {
	text := f.text(name, maxFieldBytes)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n < least || n > most {
		f.refuse(name, fmt.Sprintf("write a whole number, %d to %d", least, most))
		return 0
	}
	return n
}

// numbers are those of what was chosen from a list, at most a page of them.
func (f *fields) numbers(name string) []uint64 {
	f.asked[name] = true
	values := f.values[name]
	if len(values) > admin.MaxPage {
		f.refuse(name, fmt.Sprintf("at most %d can be chosen at once", admin.MaxPage))
		return nil
	}
	var numbers []uint64
	for _, text := range values {
		n, err := strconv.ParseUint(text, 10, 64)
		if err != nil || n == 0 {
			f.refuse(name, "it must be whole numbers, from 1")
			return nil
		}
		numbers = append(numbers, n)
	}
	slices.Sort(numbers)
	return slices.Compact(numbers)
}

// moment is an RFC 3339 time, or how long ago, such as 2h or 7d; zero if there is none.
func (f *fields) moment(name string) time.Time {
	text := f.text(name, maxFieldBytes)
	if text == "" {
		return time.Time{}
	}
	if at, err := time.Parse(time.RFC3339Nano, text); err == nil {
		return at.UTC()
	}
	ago, err := mesh.ParseDuration(text)
	if err != nil || ago < 0 {
		f.refuse(name, "write a time such as 2026-11-20T08:00:00Z, or how long ago, such as 2h or 7d")
		return time.Time{}
	}
	return f.now.Add(-time.Duration(ago)).UTC()
}

// span is the time between "since" and "until".
func (f *fields) span() (since, until time.Time) {
	since, until = f.moment("since"), f.moment("until")
	if !since.IsZero() && !until.IsZero() && !since.Before(until) {
		f.refuse("until", "it must be later than since")
	}
	return since, until
}

// length is how long something lasts, such as 15m or 2d; 0 if there is none.
func (f *fields) length(name string, most time.Duration) mesh.Duration {
	text := f.text(name, maxFieldBytes)
	if text == "" {
		return 0
	}
	d, err := mesh.ParseDuration(text)
	if err != nil || d <= 0 || time.Duration(d) > most {
		f.refuse(name, fmt.Sprintf("write how long, such as 15m, 2h or 2d, up to %s", duration(most)))
		return 0
	}
	return d
}

// rate is a number of calls per time, such as 50/s; zero if there is none.
func (f *fields) rate(name string) mesh.Rate {
	var rate mesh.Rate
	if text := f.text(name, 16); text != "" {
		if err := rate.UnmarshalJSON([]byte(strconv.Quote(text))); err != nil {
			f.refuse(name, "write a rate such as 50/s, 30/m or 1000/h")
		}
	}
	return rate
}
