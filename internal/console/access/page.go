package access

import (
	"bytes"
	_ "embed" // the page and its style
	"html/template"
	"net/http"
)

//go:embed login.html
var loginPage string

//go:embed login.css
var loginStyle []byte

// view is what the sign-in page shows.
type view struct {
	Alert, Notice string
	Next          string
	// Passwords is true if there are users with one; Provider is the identity provider, "" if there is none.
	Passwords bool
	Provider  string
}

// view is the page without a message. The path to go on to comes in the address, or in the form that was sent.
func (s *settings) view(r *http.Request) view {
	next := r.URL.Query().Get("next")
	if r.Method == http.MethodPost {
		next = r.PostFormValue("next")
	}
	v := view{Next: nextPath(next), Passwords: len(s.passwords) > 0}
	if s.provider != nil {
		v.Provider = s.provider.host()
	}
	return v
}

// pages is the sign-in page.
type pages struct{ login *template.Template }

func newPages() *pages { return &pages{login: template.Must(template.New("login").Parse(loginPage))} }

// pagePolicy lets the page load its style and send its form, and nothing else. The identity provider is reached by a link, and so needs no
// form-action.
const pagePolicy = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"

func (p *pages) show(w http.ResponseWriter, status int, v view) {
	var body bytes.Buffer
	if err := p.login.Execute(&body, v); err != nil {
		writeProblem(w, http.StatusInternalServerError, "The page could not be made.")
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html; charset=utf-8")
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Referrer-Policy", "same-origin") // with no-referrer, browsers would send the form with the Origin "null"
	w.WriteHeader(status)
	_, _ = w.Write(body.Bytes()) // the client is gone, or it is not
}

func (p *pages) style(w http.ResponseWriter, _ *http.Request, _ *settings) {
	w.Header().Set("Content-Type", "text/css; charset=utf-8")
	w.Header().Set("Cache-Control", "max-age=3600")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	_, _ = w.Write(loginStyle) // the client is gone, or it is not
}
