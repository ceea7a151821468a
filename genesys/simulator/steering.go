package simulator

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"
)

// Rotate gives every subscription a new key. The API tells it at once; with an overlap deliveries are
// signed with the old one until it has passed, as after an announced rotation.
func (s *Simulator) Rotate(overlap time.Duration) { s.platform.rotate(overlap) }

// handler serves the API, and the steering under /simulator.
func (s *Simulator) handler() http.Handler {
	mux := http.NewServeMux()
	s.platform.register(mux, s.currentFaults, s.notifications)
	s.steerNotifications(mux)
	mux.HandleFunc("GET /simulator/faults", func(w http.ResponseWriter, _ *http.Request) { write(w, s.currentFaults()) })
	mux.HandleFunc("PUT /simulator/faults", steer(func(f *Faults) error { return s.SetFaults(*f) }))
	mux.HandleFunc("PUT /simulator/rate", steer(func(r *struct {
		Rate float64 `json:"rate"`
	}) error {
		return s.SetRate(r.Rate)
	}))
	mux.HandleFunc("POST /simulator/rotate", steer(func(r *struct {
		OverlapSeconds int `json:"overlap_seconds"`
	}) error {
		if r.OverlapSeconds < 0 || r.OverlapSeconds > 86400 {
			return fmt.Errorf("overlap_seconds must be 0 to 86400")
		}
		s.Rotate(time.Duration(r.OverlapSeconds) * time.Second)
		return nil
	}))
	mux.HandleFunc("PUT /simulator/schema", steer(func(change *shape) error { return s.setShape(*change) }))
	mux.HandleFunc("GET /simulator/summary", func(w http.ResponseWriter, _ *http.Request) { write(w, s.ledger.Summary()) })
	mux.HandleFunc("GET /simulator/ledger", func(w http.ResponseWriter, _ *http.Request) {
		for _, e := range s.ledger.Entries() {
			write(w, e) // one line each
		}
	})
	return mux
}

// maxShapeFields bounds a schema change.
const maxShapeFields = 32

func (s *Simulator) setShape(change shape) error {
	if len(change.Add)+len(change.Remove)+len(change.Retype) > maxShapeFields {
		return fmt.Errorf("at most %d fields may change", maxShapeFields)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.shape = change
	return nil
}

// steer reads a request strictly and does what it asks for.
func steer[T any](do func(*T) error) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		// A page in somebody's browser can't send this type without being asked first.
		if r.Header.Get("Content-Type") != "application/json" {
			fail(w, http.StatusUnsupportedMediaType, "bad.request", "Send application/json.")
			return
		}
		decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestBytes))
		decoder.DisallowUnknownFields()
		wanted := new(T)
		err := decoder.Decode(wanted)
		if err == nil {
			err = do(wanted)
		}
		if err != nil {
			fail(w, http.StatusBadRequest, "bad.request", err.Error())
			return
		}
		w.WriteHeader(http.StatusNoContent)
	}
}
