package ingress

import (
	"net/http"

	"github.com/julienschmidt/httprouter"
)

// show answers a question about the process. Such requests are neither counted nor logged.
func (s *Server) show(h handler) httprouter.Handle {
	return func(w http.ResponseWriter, r *http.Request, _ httprouter.Params) {
		a, err := h(w, r)
		if err != nil {
			asError(err).write(w)
			return
		}
		a.write(w, a.code)
	}
}

// healthz is 200 as long as the process serves at all.
func healthz(http.ResponseWriter, *http.Request) (answer, error) {
	return answer{code: http.StatusOK, Status: "ok"}, nil
}

// readyz is 503 with the reason while events can't be stored, so that a load balancer sends
// them elsewhere.
func (s *Server) readyz(http.ResponseWriter, *http.Request) (answer, error) {
	if s.drain.isEnding() {
		return answer{}, errShuttingDown()
	}
	if err := s.options.Ready(); err != nil {
		return answer{}, &Error{Status: http.StatusServiceUnavailable, Reason: shown(err.Error()), Err: err}
	}
	return answer{code: http.StatusOK, Status: "ready"}, nil
}
