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
func (s *receiver) receive(w http.ResponseWriter, r *http.Request) (a answer, err error) {
	began := time.Now()
	if err := refuseEncoded(r.Header); err != nil {
		return answer{}, err
	}
	body, done, err := s.readBody(w, r)
	if err != nil {
		return answer{}, err
	}
	defer done()
	// It goes on when the sender leaves: whether an answer was read says nothing about whether the
	// event is wanted.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), s.answerWithin)
	defer cancel()
	envelope := s.newEvent(r.Header, body)
	if err := s.verify(ctx, r, &envelope); err != nil {
		return answer{}, err
	}
	ctx, traced := s.tracing.request(ctx, r, began, &envelope)
	defer func() { traced.answered(s.source.AcceptedStatus, a, err) }()
	if err := s.admit(); err != nil {
		return answer{}, err
	}
	defer s.leave()
	readings := s.reader.Read(r.Header, envelope)
	ctx, publication := s.tracing.publication(ctx, readings)
	a, err = s.store(ctx, readings)
	publication.stored(err)
	return a, err
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

// verify checks where the delivery comes from. Whatever is wrong with its signature, the answer is
// the same; why is counted here and nowhere else. What can't be decided now is no refusal: the
// sender is asked to come again.
func (s *receiver) verify(ctx context.Context, r *http.Request, e *mesh.Event) error {
	err := s.verifier.Verify(ctx, &genesys.Delivery{
		Method: r.Method, Host: r.Host, URI: r.RequestURI, Header: r.Header, Body: e.Body, Received: e.Received,
	})
	if err == nil {
		return nil
	}
	if reason, ok := errors.AsType[genesys.SignatureError](err); ok {
		s.metrics.signatureFailures.WithLabelValues(s.source.Name, string(reason)).Inc()
		return &Error{Status: http.StatusUnauthorized, Reason: reasonUnauthorized, Err: err}
	}
	return &Error{Status: http.StatusServiceUnavailable, Reason: reasonKeysUnavailable, RetryAfter: retryAfter(err), Err: err}
}

// retryAfter is when a delivery that could not be verified may come again.
func retryAfter(err error) time.Duration {
	var later interface{ RetryAfter() time.Duration }
	if errors.As(err, &later) {
		return later.RetryAfter()
	}
	return unavailableRetry
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

// store keeps what a delivery brought: what can go on its way in the source's stream, all else in
// quarantine.
func (s *receiver) store(ctx context.Context, readings []Reading) (answer, error) {
	answers := make([]answer, len(readings))
	good := make([]mesh.Event, 0, len(readings))
	for i := range readings {
		reading := &readings[i]
		if reading.Reason == "" {
			good = append(good, reading.Event)
			continue
		}
		receipt, err := s.committer.Quarantine(ctx, reading.Event, reading.Reason)
		if err != nil {
			return answer{}, commitError(err)
		}
		answers[i] = quarantined(&reading.Event, receipt, reading.Reason)
		if !receipt.Duplicate {
			s.metrics.quarantined.WithLabelValues(s.source.Name, reading.Reason).Inc()
		}
	}
	receipts, err := s.commit(ctx, good)
	if err != nil {
		return answer{}, commitError(err)
	}
	for i := range readings {
		reading := &readings[i]
		if reading.Reason != "" {
			continue
		}
		answers[i] = stored(&reading.Event, receipts[0])
		if !receipts[0].Duplicate {
			s.observe(reading)
		}
		receipts = receipts[1:]
	}
	return together(answers), nil
}

// observe hands an event to who looks at its content later. What is a small part of a body is copied, so
// that it does not keep all of it in memory meanwhile.
func (s *receiver) observe(r *Reading) {
	content := r.Content
	if 2*len(content) < len(r.Event.Body) {
		content = strings.Clone(content)
	}
	s.observer.Observe(r.Event.Type, content)
}

func (s *receiver) commit(ctx context.Context, events []mesh.Event) ([]mesh.Receipt, error) {
	if len(events) == 0 {
		return nil, nil
	}
	return s.committer.CommitAll(ctx, events)
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
