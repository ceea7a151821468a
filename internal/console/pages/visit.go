package pages

import (
	"cmp"
	"context"
	"errors"
	"mime"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
	"github.com/genmesh/genmesh/internal/telemetry"
	"github.com/genmesh/genmesh/mesh"
)

// visit is one look at a page, or one thing that is asked for: by whom, and who answers.
type visit struct {
	*http.Request
	who      access.Identity
	operator admin.Operator
	glances  *glances
	fields   *fields
	theme    string
	// masked hides the values of bodies, for who shares a screen.
	masked bool
	// toRemember are the cookies of the answer.
	toRemember []*http.Cookie
}

func (s *site) visit(r *http.Request, values url.Values) *visit {
	v := &visit{Request: r, who: access.Who(r), operator: s.o.Operator, glances: s.operators, fields: newFields(values, s.o.Now())}
	if !v.may(access.Operator) {
		v.operator, v.glances = s.o.Viewer, s.viewers
	}
	v.theme, v.masked = viewOf(r)
	return v
}

func (v *visit) may(needed access.Role) bool { return v.who.Role.May(needed) }

// by is who changes something, for the audit.
func (v *visit) by(reason string) admin.By {
	address, _, err := net.SplitHostPort(v.RemoteAddr)
	if err != nil {
		address = v.RemoteAddr
	}
	return admin.By{Reason: reason, Who: mesh.Actor{
		User: v.who.Name, Role: string(v.who.Role), Via: v.who.Via, Address: cmp.Or(access.Address(v.Request), address),
	}}
}

// masking stands for what is masked.
const masking = "•••••"

// words are what a target said, or what was said of it: on one line, or masked.
func (v *visit) words(text string) string {
	if v.masked && text != "" {
		return masking
	}
	return cut(telemetry.Printable(text), maxWords)
}

// lines are words of several lines.
func (v *visit) lines(text string) []string {
	var lines []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" && len(lines) < maxLines {
			lines = append(lines, v.words(line))
		}
	}
	return lines
}

// maxLines bounds the lines of a text from outside.
const maxLines = 100

// why is why something is not good. What follows a colon in it are words of a target's.
func (v *visit) why(text string) string {
	if own, words, found := strings.Cut(text, ": "); found && v.masked {
		return own + ": " + v.words(words)
	}
	return cut(telemetry.Printable(text), maxWords)
}

// maxWords bounds what a page shows of a text from outside, in bytes; what is stored of it has its own bounds.
const maxWords = 2 << 10

// look serves a page to whom has the role. It changes nothing.
func (s *site) look(pattern string, needed access.Role, load func(*visit) (*page, error)) {
	s.pages[pattern] = true
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), lookTimeout)
		defer cancel()
		v := s.visit(r.WithContext(ctx), r.URL.Query())
		p, err := s.load(v, needed, load)
		if taker, ok := w.(*pageTaker); ok {
			taker.visit, taker.page, taker.err = v, p, err
			return
		}
		s.answer(w, v, p, err)
	})
}

func (s *site) load(v *visit, needed access.Role, load func(*visit) (*page, error)) (*page, error) {
	if !v.may(needed) {
		return nil, &forbidden{needed: needed}
	}
	leave, err := enter(v.Context(), s.room(v).looks)
	if err != nil {
		return nil, err
	}
	defer leave()
	return load(v)
}

// act does what a form asks for, and sends its sender to the page that shows what came of it.
func (s *site) act(pattern string, needed access.Role, do func(*visit) (string, error)) {
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithTimeout(r.Context(), actTimeout)
		defer cancel()
		r = r.WithContext(ctx)
		values, err := readForm(w, r)
		v := s.visit(r, values)
		if !v.may(needed) {
			err = &forbidden{needed: needed}
		}
		var next string
		if err == nil {
			next, err = do(v)
		}
		if err != nil {
			s.answer(w, v, nil, err)
			return
		}
		for _, cookie := range v.toRemember {
			http.SetCookie(w, cookie)
		}
		http.Redirect(w, r, next, http.StatusSeeOther)
	})
}

// readForm reads the fields of a form that was posted, and nothing else.
func readForm(w http.ResponseWriter, r *http.Request) (url.Values, error) {
	if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/x-www-form-urlencoded" {
		return nil, admin.Invalid("this is no form of these pages")
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
	if err := r.ParseForm(); err != nil {
		if tooLarge := new(http.MaxBytesError); errors.As(err, &tooLarge) {
			return nil, admin.Invalid("the form is too large: at most 64 KiB are read")
		}
		return nil, admin.Invalid("the form can't be read: " + err.Error())
	}
	return r.PostForm, nil
}

// forbidden is an admin.ErrForbidden that says which role it takes.
type forbidden struct{ needed access.Role }

func (f *forbidden) Error() string { return "this needs the role " + string(f.needed) }
func (f *forbidden) Unwrap() error { return admin.ErrForbidden }
