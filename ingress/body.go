package ingress

import (
	"bytes"
	"errors"
	"net/http"
	"os"
	"time"
)

// bodyStart is how much is set aside for a body before any of it came: what a sender announces
// costs no memory until it arrives.
const bodyStart = 16 << 10

// readBody reads the body whole, up to the source's limit, whether or not its length was
// announced. How many are read at once is bounded for all sources together, for one HTTP/2
// connection can carry many.
func (s *receiver) readBody(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	default:
		return nil, &Error{Status: http.StatusTooManyRequests, Reason: reasonInFlight, RetryAfter: time.Second}
	}
	limit := int64(s.source.MaxBodyBytes)
	if r.ContentLength > limit {
		return nil, &Error{Status: http.StatusRequestEntityTooLarge, Reason: reasonBodyTooLarge}
	}
	start := min(max(r.ContentLength, 0), bodyStart) + bytes.MinRead
	body := bytes.NewBuffer(make([]byte, 0, start))
	if _, err := body.ReadFrom(http.MaxBytesReader(w, r.Body, limit)); err != nil {
		return nil, bodyError(err)
	}
	if body.Len() == 0 {
		return nil, &Error{Status: http.StatusBadRequest, Reason: reasonEmptyBody}
	}
	s.metrics.bodyBytes.WithLabelValues(s.source.Name).Add(float64(body.Len()))
	return body.Bytes(), nil
}

func bodyError(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{Status: http.StatusRequestEntityTooLarge, Reason: reasonBodyTooLarge}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{Status: http.StatusRequestTimeout, Reason: reasonBodyTimeout, Err: err}
	}
	return &Error{Status: http.StatusBadRequest, Reason: reasonIncompleteBody, Err: err}
}
