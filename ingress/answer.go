package ingress

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// answer is what a sender is told about an event that was taken.
type answer struct {
	code        int
	event       *mesh.Event // for the log, as detail is
	detail      string      // of the reason
	Status      string      `json:"status"`
	Reason      string      `json:"reason,omitempty"`
	Interaction string      `json:"interaction_id,omitempty"`
	Stream      string      `json:"stream,omitempty"`
	Sequence    uint64      `json:"sequence,omitempty"`
	MsgID       string      `json:"msg_id,omitempty"`
	// Events are those of a delivery that brought several, in their order.
	Events []answer `json:"events,omitempty"`
}

const (
	statusAccepted    = "accepted"
	statusDuplicate   = "duplicate"
	statusQuarantined = "quarantined"
)

// Error is a request that was refused. The sender sees the status and the reason; Err stays in
// our log.
type Error struct {
	// Status is the HTTP status code.
	Status int
	// Reason is one of a closed set of words; it is a metric's label, too.
	Reason string
	// RetryAfter is when to try again; 0 says nothing about it.
	RetryAfter time.Duration
	Err        error
}

func (e *Error) Error() string {
	if e.Err == nil {
		return fmt.Sprintf("%d %s", e.Status, e.Reason)
	}
	return fmt.Sprintf("%d %s: %v", e.Status, e.Reason, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// The reasons of refusals.
const (
	reasonBodyTimeout     = "body_timeout"
	reasonBodyTooLarge    = "body_too_large"
	reasonContentEncoding = "content_encoding"
	reasonEmptyBody       = "empty_body"
	reasonIncompleteBody  = "incomplete_body"
	reasonInFlight        = "too_many_in_flight"
	reasonInternal        = "internal"
	reasonKeysUnavailable = "keys_unavailable"
	reasonMethod          = "method_not_allowed"
	reasonNotFound        = "not_found"
	reasonRateLimited     = "rate_limited"
	reasonShuttingDown    = "shutting_down"
	reasonUnauthorized    = "unauthorized"
	reasonUnavailable     = "unavailable"
)

// unavailableRetry is when a sender may try again after a 503.
const unavailableRetry = 5 * time.Second

// stored is the answer to an event that lies in its stream.
func stored(e *mesh.Event, r mesh.Receipt) answer {
	a := answer{
		code: http.StatusAccepted, Status: statusAccepted, Interaction: shown(e.Interaction),
		Stream: r.Stream, Sequence: r.Sequence, MsgID: r.MsgID, event: e,
	}
	if r.Duplicate {
		a.code, a.Status = http.StatusOK, statusDuplicate
	}
	return a
}

// quarantined is the answer to an event that was put aside. It is 202 each time: a sender that
// repeats it changes nothing.
func quarantined(e *mesh.Event, r mesh.Receipt, reason string) answer {
	a := stored(e, r)
	a.code, a.Status, a.Reason, a.detail = http.StatusAccepted, statusQuarantined, reason, e.Detail
	return a
}

// together is the one answer to a delivery: of several events it tells the best news, so that a
// sender that looks at the status alone sees whether something was new.
func together(answers []answer) answer {
	if len(answers) == 1 {
		return answers[0]
	}
	all := answer{code: http.StatusOK, Status: statusDuplicate, Events: answers}
	for _, status := range []string{statusQuarantined, statusAccepted} {
		if i := slices.IndexFunc(answers, func(a answer) bool { return a.Status == status }); i >= 0 {
			all.code, all.Status = answers[i].code, status
		}
	}
	return all
}

// shown bounds what is repeated to the sender.
func shown(s string) string { return clip(s, mesh.MaxValueBytes) }

// write sends the answer, with another status than its own if code is not 0. It can't report a failure to anyone: the sender is gone then.
func (a answer) write(w http.ResponseWriter, code int) {
	if code == http.StatusNoContent {
		w.WriteHeader(code)
		return
	}
	writeJSON(w, cmp.Or(code, a.code), a)
}

// write sends the refusal: always the same words for the same reason.
func (e *Error) write(w http.ResponseWriter) {
	if e.RetryAfter > 0 {
		seconds := max(1, int(math.Ceil(e.RetryAfter.Seconds())))
		w.Header().Set("Retry-After", strconv.Itoa(seconds))
	}
	writeJSON(w, e.Status, struct {
		Error  string `json:"error"`
		Reason string `json:"reason"`
	}{http.StatusText(e.Status), e.Reason})
}

func writeJSON(w http.ResponseWriter, code int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		panic("ingress: encoding an answer: " + err.Error())
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	h.Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	_, _ = w.Write(append(body, '\n')) // a sender that left reads no answer
}
