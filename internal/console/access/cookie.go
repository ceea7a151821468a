package access

import (
	"net/http"
	"time"
)

// cookies are named and flagged by whether browsers come by TLS.
//
// SameSite is Lax. Strict would not let the session come along on the way back from the identity provider, nor on a link in an alert or a chat:
// somebody who is signed in would see the sign-in page. What Lax lets through are navigations with GET, and those change nothing here; for
// all that changes something, origins looks where it comes from.
type cookies struct{ secure bool }

const (
	sessionCookie = "genmesh"
	flowCookie    = "genmesh-oidc"
	// hostPrefix makes browsers take a cookie only from this very host, by TLS and for all paths: no other host of the domain can set one.
	hostPrefix = "__Host-"
)

func (c cookies) name(name string) string {
	if c.secure {
		return hostPrefix + name
	}
	return name
}

// set sets a cookie that ends with the browser, or after a while.
func (c cookies) set(w http.ResponseWriter, name, value string, lives time.Duration) {
	http.SetCookie(w, &http.Cookie{
		Name: c.name(name), Value: value, Path: "/", MaxAge: int(lives.Seconds()),
		Secure: c.secure, HttpOnly: true, SameSite: http.SameSiteLaxMode,
	})
}

func (c cookies) clear(w http.ResponseWriter, name string) { c.set(w, name, "", -time.Second) }

func (c cookies) get(r *http.Request, name string) (string, bool) {
	cookie, err := r.Cookie(c.name(name))
	if err != nil || cookie.Value == "" {
		return "", false
	}
	return cookie.Value, true
}

func (c cookies) session(r *http.Request) (string, bool) { return c.get(r, sessionCookie) }
