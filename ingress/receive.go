package ingress

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
)

// receive is the way of one request from its first byte to the stored event.
//
// The signature comes before anything reads the body: it is over the bytes as they came, and what
// is not signed is never parsed. It comes before the source's limits too, or strangers could use
// them up. What is signed is never refused for its looks: what can't go on its way is stored in
// quarantine.
func (s *receiver) receive(w http.ResponseWriter, r *http.Request) (answer, error) {
	if err := refuseEncoded(r.Header); err != nil {
		return answer{}, err
	}
	body, err := s.readBody(w, r)
	if err != nil {
		return answer{}, err
	}
	if err := s.verify(r.Header, body); err != nil {
		return answer{}, err
	}
	if err := s.admit(); err != nil {
		return answer{}, err
	}
	defer s.leave()
	event := s.newEvent(r.Header, body)
	reason := s.identify(&event)
	return s.commit(r.Context(), &event, reason)
}

// refuseEncoded refuses compressed bodies: nothing is unpacked, so 50 kB stay 50 kB.
func refuseEncoded(h http.Header) error {
	for _, coding := range h["Content-Encoding"] {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return &Error{Status: http.StatusUnsupportedMediaType, Reason: reasonContentEncoding}
		}
	}
	return nil
}

// verify checks the signature. Whatever is wrong with it, the answer is the same; why is
// counted here and nowhere else.
func (s *receiver) verify(h http.Header, body []byte) error {
	err := s.verifier.Verify(h[s.signatureHeader], body)
	if err == nil {
		return nil
	}
	if reason, ok := errors.AsType[genesys.SignatureError](err); ok {
		s.metrics.signatureFailures.WithLabelValues(s.source.Name, string(reason)).Inc()
	}
	return &Error{Status: http.StatusUnauthorized, Reason: reasonUnauthorized, Err: err}
}

// newEvent is the envelope as far as it does not come from the body.
func (s *receiver) newEvent(h http.Header, body []byte) mesh.Event {
	e := mesh.Event{
		Source:       s.source.Name,
		Received:     time.Now(),
		DeliveryID:   headerValue(h, s.source.Identity.DeliveryIDHeader),
		DeliveryType: headerValue(h, s.source.Identity.DeliveryTypeHeader),
		Body:         body,
	}
	e.TraceParent, e.TraceState = traceContext(h)
	return e
}

// commit stores the event, in quarantine if there is a reason for it. It goes on when the
// sender leaves: whether an answer was read says nothing about whether the event is wanted.
func (s *receiver) commit(ctx context.Context, e *mesh.Event, reason string) (answer, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.commitBudget)
	defer cancel()
	if reason != "" {
		receipt, err := s.store.Quarantine(ctx, *e, reason)
		return quarantined(e, receipt, reason), commitError(err)
	}
	receipt, err := s.store.Commit(ctx, *e)
	return stored(e, receipt), commitError(err)
}

// commitError is what a sender is told when its event is not known to be stored. Unless no try
// can ever succeed that is a 503: senders give up on most other codes.
func commitError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, mesh.ErrTooLarge):
		return &Error{Status: http.StatusRequestEntityTooLarge, Reason: reasonBodyTooLarge, Err: err}
	}
	return &Error{Status: http.StatusServiceUnavailable, Reason: reasonUnavailable, RetryAfter: unavailableRetry, Err: err}
}

func headerValue(h http.Header, name string) string {
	if name == "" {
		return ""
	}
	return clip(h.Get(name), mesh.MaxValueBytes)
}
