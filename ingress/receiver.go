package ingress

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
	"golang.org/x/time/rate"
)

// receiver takes the requests of one source. It is never changed: an update makes another one,
// which goes on with the counts of the one before.
type receiver struct {
	source       mesh.Source
	verifier     Verifier
	reader       *Reader
	observer     Observer
	committer    Committer
	answerWithin time.Duration
	metrics      *metrics
	tracing      tracing

	reading  chan struct{} // bodies being read, of all sources
	bodies   *bodyMemory   // of all sources
	inFlight *atomic.Int64 // shared with the receivers of this source before and after
	limiter  *rate.Limiter // nil without a limit
}

// Verifier tells whether a delivery comes from its source's sender. A genesys.SignatureError is
// final. Any other error means that it can't be told now; where it has a method RetryAfter, that
// says when to try again.
type Verifier interface {
	Verify(ctx context.Context, d *genesys.Delivery) error
}

// Observer looks at the content of the events that were stored, to notice when its shape changes.
// It must not block.
type Observer interface {
	Observe(eventType, content string)
}

type noObserver struct{}

func (noObserver) Observe(string, string) {}

// newReceiver makes the receiver of a source. The receiver of the same source before, if there
// is one, hands on its load.
func (s *Server) newReceiver(source mesh.Source, before *receiver) (*receiver, error) {
	if err := checkSource(source); err != nil {
		return nil, fmt.Errorf("source %q: %w", source.Name, err)
	}
	verifier, err := s.options.Verifier(source)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", source.Name, err)
	}
	reader, err := NewReader(source)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", source.Name, err)
	}
	next := &receiver{
		source:       source,
		verifier:     verifier,
		reader:       reader,
		observer:     s.options.Observer(source.Name),
		committer:    s.options.Store,
		answerWithin: time.Duration(source.AnswerWithin),
		metrics:      s.metrics,
		tracing:      newTracing(s.options.Tracing, source),
		reading:      s.reading,
		bodies:       s.bodies,
		inFlight:     new(atomic.Int64),
		limiter:      newLimiter(source.RateLimit),
	}
	for _, reason := range genesys.SignatureErrors() {
		s.metrics.signatureFailures.WithLabelValues(source.Name, string(reason)) // so that the first one is seen as an increase
	}
	if before != nil {
		next.inFlight = before.inFlight
		if source.RateLimit == before.source.RateLimit {
			next.limiter = before.limiter
		}
	}
	return next, nil
}

// checkSource refuses what would run without a bound. ParseTopology makes no such source.
func checkSource(s mesh.Source) error {
	switch {
	case s.Name == "" || s.Path == "":
		return errors.New("it needs a name and a path")
	case s.MaxBodyBytes <= 0 || s.MaxInFlight <= 0:
		return errors.New("it needs a limit for bodies and for requests in flight")
	case s.AnswerWithin <= 0:
		return errors.New("it needs a time within which to answer")
	}
	return nil
}
