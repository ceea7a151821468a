package cloud

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
)

// What went wrong, for errors.Is.
var (
	ErrUnauthorized = errors.New("the OAuth client is not accepted")
	ErrForbidden    = errors.New("the OAuth client lacks a permission")
	ErrNotFound     = errors.New("there is no such thing")
	ErrConflict     = errors.New("somebody else changed it meanwhile")
	ErrRateLimited  = errors.New("the rate limit is reached")
)

// Error is an answer of the API that is no success.
type Error struct {
	// Method and Path are the request's.
	Method, Path string
	// Status is the HTTP status; Code and Message are the API's own words.
	Status        int
	Code, Message string
	// CorrelationID is what Genesys' support asks for.
	CorrelationID string
	// Permission is what the OAuth client needs for the request.
	Permission string
}

func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "genesys cloud: %s %s: %d", e.Method, e.Path, e.Status)
	for _, text := range []string{e.Code, e.Message} {
		if text != "" {
			b.WriteString(" " + text)
		}
	}
	if e.Status == http.StatusForbidden && e.Permission != "" {
		fmt.Fprintf(&b, "; give the OAuth client %s", e.Permission)
	}
	if e.CorrelationID != "" {
		fmt.Fprintf(&b, " (correlation id %s)", e.CorrelationID)
	}
	return b.String()
}

// Is makes errors.Is find out what went wrong.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized
	case ErrForbidden:
		return e.Status == http.StatusForbidden
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrConflict:
		return e.Status == http.StatusConflict
	case ErrRateLimited:
		return e.Status == http.StatusTooManyRequests
	}
	return false
}

// missing is what was looked for and is not there.
type missing struct{ text string }

func (m *missing) Error() string { return m.text }

// Is makes errors.Is find out what went wrong.
func (m *missing) Is(target error) bool { return target == ErrNotFound }

const maxMessageBytes = 300

// newError reads the API's words out of an answer, as far as it has some.
func newError(r *http.Response, body []byte, permission string) *Error {
	var said struct {
		Message string `json:"message"`
		Code    string `json:"code"`
	}
	_ = json.Unmarshal(body, &said) // an answer of a proxy in between is no JSON
	return &Error{
		Method: r.Request.Method, Path: r.Request.URL.Path, Status: r.StatusCode,
		Code: cut(said.Code), Message: cut(said.Message),
		CorrelationID: cut(r.Header.Get("ININ-Correlation-Id")), Permission: permission,
	}
}

func cut(s string) string {
	return strings.ToValidUTF8(s[:min(len(s), maxMessageBytes)], "")
}
