package access

import (
	"net/http"
	"net/url"
	"strings"
)

// maxNextBytes bounds it as it is written: it has to fit into a cookie, of which browsers keep 4096 bytes.
const maxNextBytes = 1024

// nextPath is where to go after signing in: a path of the console, or "/" if next is anything else. What a browser could take for another host is
// "/", too: browsers read "//host", "/\host" and even "/<tab>/host" as one.
func nextPath(next string) string {
	if len(next) > maxNextBytes || !strings.HasPrefix(next, "/") || strings.ContainsAny(next, "\\") {
		return "/"
	}
	u, err := url.Parse(next)
	if err != nil || u.Scheme != "" || u.Host != "" || u.User != nil || u.Opaque != "" {
		return "/"
	}
	for _, path := range []string{u.Path, u.EscapedPath()} {
		if !strings.HasPrefix(path, "/") || strings.HasPrefix(path, "//") || strings.HasPrefix(path, `/\`) {
			return "/"
		}
	}
	if u.Path == loginPath || u.Path == logoutPath || strings.HasPrefix(u.Path, "/auth/") {
		return "/" // one would be signed out again, or go in a circle
	}
	written := (&url.URL{Path: u.Path, RawPath: u.RawPath, RawQuery: printable(u.RawQuery)}).RequestURI()
	if len(written) > maxNextBytes {
		return "/"
	}
	return written
}

// printable escapes what a header can't hold: url.Parse leaves a query as it is.
func printable(query string) string {
	var b strings.Builder
	for i := range len(query) {
		if c := query[i]; c > ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			b.WriteString(url.QueryEscape(query[i : i+1]))
		}
	}
	return b.String()
}

func loginURL(next string) string {
	next = nextPath(next)
	if next == "/" {
		return loginPath
	}
	return loginPath + "?" + url.Values{"next": {next}}.Encode()
}

// redirect sends a browser on with GET. The location has been made here or by nextPath: http.Redirect would change it.
func redirect(w http.ResponseWriter, location string) {
	w.Header().Set("Location", location)
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusSeeOther)
}
