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
// announced. How many are read at once, and how much they take together, is bounded for all sources
// together, for one HTTP/2 connection can carry many. Whoever got a body calls done when it needs it no more.
func (s *receiver) readBody(w http.ResponseWriter, r *http.Request) (body []byte, done func(), err error) {
	select {
	case s.reading <- struct{}{}:
		defer func() { <-s.reading }()
	default:
		return nil, nil, errNoRoom
	}
	limit := int64(s.source.MaxBodyBytes)
	if r.ContentLength > limit {
		return nil, nil, &Error{Status: http.StatusRequestEntityTooLarge, Reason: reasonBodyTooLarge}
	}
	start := min(max(r.ContentLength, 0), bodyStart) + bytes.MinRead
	read := bytes.NewBuffer(make([]byte, 0, start))
	counted := &countedReader{Reader: http.MaxBytesReader(w, r.Body, limit), memory: s.bodies}
	if _, err := read.ReadFrom(counted); err != nil {
		counted.giveBack()
		return nil, nil, bodyError(err)
	}
	if read.Len() == 0 {
		return nil, nil, &Error{Status: http.StatusBadRequest, Reason: reasonEmptyBody}
	}
	s.metrics.bodyBytes.WithLabelValues(s.source.Name).Add(float64(read.Len()))
	return read.Bytes(), counted.giveBack, nil
}

// errNoRoom is for a body that has no place beside those that are read already.
var errNoRoom = &Error{Status: http.StatusTooManyRequests, Reason: reasonInFlight, RetryAfter: time.Second}

func bodyError(err error) error {
	if busy, ok := errors.AsType[*Error](err); ok {
		return busy
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &Error{Status: http.StatusRequestEntityTooLarge, Reason: reasonBodyTooLarge}
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return &Error{Status: http.StatusRequestTimeout, Reason: reasonBodyTimeout, Err: err}
	}
	return &Error{Status: http.StatusBadRequest, Reason: reasonIncompleteBody, Err: err}
}
