package access

import "net/http"

const (
	loginPath  = "/login"
	logoutPath = "/logout"
	stylePath  = "/login.css"
	// maxFormBytes bounds the sign-in form.
	maxFormBytes = 8 << 10
)

// pageHandler serves one of the guard's own pages, which need no identity.
type pageHandler func(w http.ResponseWriter, r *http.Request, s *settings)

// page is the handler of one of the guard's own paths; nil for all others.
func (g *Guard) page(path string) pageHandler {
	switch path {
	case loginPath:
		return byMethod(map[string]pageHandler{http.MethodGet: g.showLogin, http.MethodPost: g.login})
	case logoutPath:
		return byMethod(map[string]pageHandler{http.MethodPost: g.logout})
	case stylePath:
		return byMethod(map[string]pageHandler{http.MethodGet: g.pages.style})
	case providerPath:
		return byMethod(map[string]pageHandler{http.MethodGet: withProvider(g.toProvider)})
	case callbackPath:
		return byMethod(map[string]pageHandler{http.MethodGet: withProvider(g.fromProvider)})
	}
	return nil
}

func byMethod(handlers map[string]pageHandler) pageHandler {
	return func(w http.ResponseWriter, r *http.Request, s *settings) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		handle := handlers[method]
		switch {
		case handle == nil:
			for allowed := range handlers {
				w.Header().Add("Allow", allowed)
			}
			writeProblem(w, http.StatusMethodNotAllowed, "This path does not take "+cut(r.Method)+".")
		case s == nil && r.URL.Path != stylePath:
			redirect(w, "/") // nobody has to sign in
		default:
			r.Body = http.MaxBytesReader(w, r.Body, maxFormBytes)
			handle(w, r, s)
		}
	}
}

func withProvider(handle pageHandler) pageHandler {
	return func(w http.ResponseWriter, r *http.Request, s *settings) {
		if s.provider == nil {
			writeProblem(w, http.StatusNotFound, "There is no identity provider.")
			return
		}
		handle(w, r, s)
	}
}

func (g *Guard) showLogin(w http.ResponseWriter, r *http.Request, s *settings) {
	view := s.view(r)
	if r.URL.Query().Has("ended") {
		view.Notice = "You are signed out."
	}
	g.pages.show(w, http.StatusOK, view)
}

// login takes the sign-in form. Another site may not send it: it could sign its visitor in as somebody whose actions it reads later.
func (g *Guard) login(w http.ResponseWriter, r *http.Request, s *settings) {
	if refused := g.origins.check(r, byNothing); refused != nil {
		g.showRefused(w, r, s, refused)
		return
	}
	if err := r.ParseForm(); err != nil {
		g.showRefused(w, r, s, &refusal{status: http.StatusBadRequest, result: resultRefused, detail: "The form could not be read.", cause: err})
		return
	}
	a, refused := g.signIn(r, s, r.PostFormValue("name"), r.PostFormValue("password"))
	if refused != nil {
		g.showRefused(w, r, s, refused)
		return
	}
	g.beginSession(w, r, s, a.grant("password"))
	redirect(w, nextPath(r.PostFormValue("next")))
}

// signIn checks a name and a password that came from an address.
func (g *Guard) signIn(r *http.Request, s *settings, name, password string) (*account, *refusal) {
	attempt, wait := g.throttle.begin(addressOf(r), name)
	if wait > 0 {
		return nil, &refusal{
			status: http.StatusTooManyRequests, result: resultThrottled, after: wait, name: name,
			detail: "There were too many failed attempts. Wait a moment and try again.",
		}
	}
	a, err := g.hashing.account(r.Context(), s, name, password)
	switch {
	case err != nil:
		attempt.withdraw()
		return nil, &refusal{
			status: http.StatusServiceUnavailable, result: resultBusy, after: hashPatience, name: name, cause: err,
			detail: "The console is busy. Try again in a moment.",
		}
	case a == nil:
		return nil, &refusal{status: http.StatusUnauthorized, result: resultRefused, name: name, detail: "The name or the password is wrong."}
	}
	attempt.succeeded()
	return a, nil
}

func (g *Guard) beginSession(w http.ResponseWriter, r *http.Request, s *settings, granted grant) {
	if id, ok := g.cookies.session(r); ok {
		g.sessions.end(id)
	}
	g.cookies.set(w, sessionCookie, g.sessions.begin(granted, s.max), 0)
	g.metrics.logins.WithLabelValues(resultSuccess).Inc()
	g.options.Logger.WithField("user", granted.Name).WithField("role", granted.Role).WithField("via", granted.Via).
		WithField("address", Address(r)).Info("signed in to the console")
}

func (g *Guard) logout(w http.ResponseWriter, r *http.Request, s *settings) {
	if refused := g.origins.check(r, byCookie); refused != nil {
		g.showRefused(w, r, s, refused)
		return
	}
	if id, ok := g.cookies.session(r); ok {
		if who, ok := g.sessions.find(id, s.idle, s.max); ok {
			g.options.Logger.WithField("user", who.Name).WithField("address", Address(r)).Info("signed out of the console")
		}
		g.sessions.end(id)
	}
	g.cookies.clear(w, sessionCookie)
	redirect(w, loginPath+"?ended=1")
}

// showRefused shows why somebody was not signed in, on the page where they can try again.
func (g *Guard) showRefused(w http.ResponseWriter, r *http.Request, s *settings, why *refusal) {
	g.refusals.note(why, r)
	view := s.view(r)
	view.Alert = why.detail
	if why.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="genmesh"`) // a 401 needs one (RFC 9110), and browsers ignore this one
	}
	retryAfter(w, why.after)
	g.pages.show(w, why.status, view)
}
