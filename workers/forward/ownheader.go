package forward

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/genmesh/genmesh/mesh"
)

const (
	maxHeaders     = 64
	maxHeaderBytes = 8 << 10 // of one value
)

// ownHeader is a header that streams.json adds to every request.
type ownHeader struct {
	name  string // canonical
	value *reloaded[string]
}

// set leaves a header out whose optional variable is unset.
func (o ownHeader) set(h http.Header) {
	if value := o.value.get(); value != "" {
		h[o.name] = []string{value}
	}
}

// newHeaders reads the values. The names were checked.
func newHeaders(target mesh.Target, o Options) ([]ownHeader, error) {
	if err := checkPassedOn(target, o); err != nil {
		return nil, err
	}
	var headers []ownHeader
	for name, value := range target.Headers {
		headers = append(headers, ownHeader{http.CanonicalHeaderKey(name), &reloaded[string]{value: value}})
	}
	for name, secret := range target.SecretHeaders {
		what := fmt.Sprintf("secret_headers: %q", name)
		value, err := newSecret(what, secret, o, func(value string) (string, error) { return value, checkHeaderValue(value) })
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		headers = append(headers, ownHeader{http.CanonicalHeaderKey(name), value})
	}
	return headers, nil
}

// checkPassedOn finds headers of the names under which the sender's delivery is passed on.
func checkPassedOn(target mesh.Target, o Options) error {
	var mistakes []error
	check := func(field, name string) {
		if name != "" && (strings.EqualFold(name, o.DeliveryIDHeader) || strings.EqualFold(name, o.DeliveryTypeHeader)) {
			mistakes = append(mistakes, &mesh.FieldError{Field: field + "." + name, Problem: "the sender's delivery is passed on under this name",
				Hint: "choose another"})
		}
	}
	eachHeader(target, check)
	return errors.Join(mistakes...)
}

// eachHeader calls do for each header of the target, in the order of their names.
func eachHeader(target mesh.Target, do func(field, name string)) {
	for _, name := range slices.Sorted(maps.Keys(target.Headers)) {
		do("headers", name)
	}
	for _, name := range slices.Sorted(maps.Keys(target.SecretHeaders)) {
		do("secret_headers", name)
	}
}

// checkHeaders finds the names that can't be set, and values that can't be sent.
func checkHeaders(target mesh.Target) error {
	var mistakes []error
	if n := len(target.Headers) + len(target.SecretHeaders); n > maxHeaders {
		mistakes = append(mistakes, &mesh.FieldError{Field: "headers", Problem: fmt.Sprintf("%d of them; at most %d are sent", n, maxHeaders)})
	}
	seen := map[string]bool{}
	eachHeader(target, func(field, name string) {
		lower := strings.ToLower(name)
		err := checkHeaderName(lower, target)
		if err == nil && seen[lower] {
			err = errors.New("it is there twice, if upper and lower case are the same as they are in headers")
		}
		seen[lower] = true
		if field == "headers" {
			err = errors.Join(err, checkHeaderValue(target.Headers[name]))
		}
		mistakes = append(mistakes, mesh.Within(field+"."+name, err))
	})
	return errors.Join(mistakes...)
}

func checkHeaderName(lower string, target mesh.Target) error {
	switch {
	case !isHeaderName(lower):
		return errors.New("it can't be the name of a header")
	case isGenmeshHeader(lower):
		return errors.New("genmesh sets it, or HTTP does; leave it out")
	case lower == "authorization" && (target.Auth != nil || hasUser(target.URL)):
		return errors.New("auth or the user in the url sets it; leave one of them out")
	}
	return nil
}

func hasUser(rawURL string) bool {
	u, err := parseURL(rawURL)
	return err == nil && u.User != nil
}

// isGenmeshHeader reports whether streams.json must not set a header: those that say what an event
// is and where it comes from, and those of the connection and of how the body is written.
func isGenmeshHeader(lower string) bool {
	for _, prefix := range [...]string{"ce-", "genmesh-", "webhook-", "proxy-"} {
		if strings.HasPrefix(lower, prefix) {
			return true
		}
	}
	switch lower {
	case "idempotency-key", "traceparent", "tracestate",
		"host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "http2-settings", "expect",
		"content-length", "content-encoding", "accept-encoding":
		return true
	}
	return false
}

// checkHeaderValue does not quote the value.
func checkHeaderValue(value string) error {
	switch {
	case len(value) > maxHeaderBytes:
		return fmt.Errorf("its value is longer than %d bytes", maxHeaderBytes)
	case strings.IndexFunc(value, func(r rune) bool { return r < ' ' || r > '~' }) >= 0:
		return errors.New("its value holds a line break, a control character or what is not ASCII")
	}
	return nil
}
