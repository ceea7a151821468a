package ingress

import (
	"errors"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
	"golang.org/x/time/rate"
)

// receiver takes the requests of one source. It is never changed: an update makes another one,
// which goes on with the counts of the one before.
type receiver struct {
	source          mesh.Source
	signatureHeader string // in its canonical form
	verifier        *genesys.Verifier
	fingerprints    *fingerprints
	store           Committer
	commitBudget    time.Duration
	metrics         *metrics

	reading  chan struct{} // bodies being read, of all sources
	inFlight *atomic.Int64 // shared with the receivers of this source before and after
	limiter  *rate.Limiter // nil without a limit
}

// newReceiver makes the receiver of a source. The receiver of the same source before, if there
// is one, hands on its load.
func (s *Server) newReceiver(source mesh.Source, before *receiver) (*receiver, error) {
	if err := checkSource(source); err != nil {
		return nil, fmt.Errorf("source %q: %w", source.Name, err)
	}
	secrets, err := source.ResolveSecrets(s.options.LookupSecret)
	if err != nil {
		return nil, err // it names the source
	}
	verifier, err := genesys.NewVerifier(secrets)
	if err != nil {
		return nil, fmt.Errorf("source %q: %w", source.Name, err)
	}
	next := &receiver{
		source:          source,
		signatureHeader: http.CanonicalHeaderKey(source.Signature.Header),
		verifier:        verifier,
		fingerprints:    newFingerprints(source.Identity.Fingerprint),
		store:           s.options.Store,
		commitBudget:    s.options.CommitBudget,
		metrics:         s.metrics,
		reading:         s.reading,
		inFlight:        new(atomic.Int64),
		limiter:         newLimiter(source.RateLimit),
	}
	if before != nil {
		next.inFlight = before.inFlight
		if source.RateLimit == before.source.RateLimit {
			next.limiter = before.limiter
		}
	}
	return next, nil
}

// checkSource refuses what would run without a bound or without a signature. ParseTopology
// makes no such source.
func checkSource(s mesh.Source) error {
	switch {
	case s.Name == "" || s.Path == "":
		return errors.New("it needs a name and a path")
	case s.Signature.Header == "":
		return errors.New("it needs the header that carries the signature")
	case s.Identity.Interaction == "":
		return errors.New("it needs the path of the interaction id")
	case s.MaxBodyBytes <= 0 || s.MaxInFlight <= 0:
		return errors.New("it needs a limit for bodies and for requests in flight")
	}
	return nil
}
