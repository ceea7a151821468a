package api

import (
	"context"
	"crypto/rand"
	"errors"
	"net/http"
	"strconv"
	"strings"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/access"
)

// problem is an RFC 9457 problem document.
type problem struct {
	// Type is problemType and a kind of the closed set that the document lists.
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail"`
	// Instance is requestURN and the id of the request, which the log has where it has anything.
	Instance string `json:"instance"`
}

const (
	problemType = "urn:genmesh:problem:"
	requestURN  = "urn:genmesh:request:"
)

// The kinds of problems beside those of admin.KindOf.
const (
	kindUnauthenticated = "unauthenticated"
	kindUnavailable     = "unavailable"
	kindInternal        = "internal"
)

// refusal is a problem that is known where it comes up; its detail is for whoever asks.
type refusal struct {
	status int
	kind   string
	detail string
}

func (r *refusal) Error() string { return r.detail }

// errNobody means that it is not known who asks.
var errNobody = &refusal{http.StatusUnauthorized, kindUnauthenticated, "it is not known who asks: send a token as Authorization: Bearer"}

// retryAfter is how many seconds to wait before asking again what could not be answered now.
const retryAfter = 5

// refuse answers with a problem document. What is genmesh's own fault, or NATS's, is logged, and told in neutral words: an error of that kind
// may say what nobody outside shall read.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	why := refusalOf(err)
	id := strings.ToLower(rand.Text())
	if why.status >= http.StatusInternalServerError {
		log := s.o.Logger.WithError(err).WithField("request", id).WithField("method", r.Method).WithField("user", access.Who(r).Name)
		if why.status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", strconv.Itoa(retryAfter))
			log.Warn("a request to the admin API could not be answered now")
		} else {
			log.Error("a request to the admin API could not be answered")
		}
	}
	body, _ := encode(problem{problemType + why.kind, http.StatusText(why.status), why.status, why.detail, requestURN + id}) // texts always can be
	w.Header().Set("Content-Type", "application/problem+json")
	send(w, why.status, body)
}

// refusalOf says what of an error is told.
func refusalOf(err error) *refusal {
	if known := (*refusal)(nil); errors.As(err, &known) {
		return known
	}
	kind := admin.KindOf(err)
	switch {
	case kind != "":
		return &refusal{statusOf(kind), kind, strings.ReplaceAll(err.Error(), "\n", "; ")} // several are joined by lines
	case errors.Is(err, errBusy):
		return &refusal{http.StatusServiceUnavailable, kindUnavailable, "too much is asked for at once; try again in a moment"}
	case isAway(err):
		return &refusal{http.StatusServiceUnavailable, kindUnavailable, "NATS can't be reached or does not answer in time; try again in a moment"}
	}
	return &refusal{http.StatusInternalServerError, kindInternal, "it could not be done; the log of the console tells why, under the request of this problem's instance"}
}

func statusOf(kind string) int {
	switch admin.ErrorOf(kind) {
	case admin.ErrInvalid:
		return http.StatusBadRequest
	case admin.ErrConflict:
		return http.StatusConflict
	case admin.ErrForbidden:
		return http.StatusForbidden
	}
	return http.StatusNotFound // of something, or of an audit
}

// isAway reports whether an error is one that goes by: of the connection to NATS, or of a server that is busy or has no leader.
func isAway(err error) bool {
	for _, away := range []error{
		context.DeadlineExceeded, context.Canceled, nats.ErrTimeout, nats.ErrConnectionClosed, nats.ErrConnectionReconnecting,
		nats.ErrReconnectBufExceeded, nats.ErrDisconnected, nats.ErrNoServers, nats.ErrNoResponders, jetstream.ErrNoStreamResponse,
	} {
		if errors.Is(err, away) {
			return true
		}
	}
	api := (*jetstream.APIError)(nil)
	return errors.As(err, &api) && api.Code == http.StatusServiceUnavailable
}
