package api

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"github.com/genmesh/genmesh/internal/console/access"
)

// The bounds of event streams.
const (
	// maxStreams is how many are open at once.
	maxStreams = 64
	// streamLasts bounds each; who wants more opens another one, as browsers do by themselves.
	streamLasts = 10 * time.Minute
	// beatEvery is how often a stream says that it is alive.
	beatEvery = 15 * time.Second
	// writeTimeout bounds the wait for somebody who does not read.
	writeTimeout = 10 * time.Second
	// reconnectAfter is when a browser comes back, in milliseconds.
	reconnectAfter = 2000
)

// eventWriter writes server-sent events.
type eventWriter struct {
	ctx     context.Context // ends with the request, or when the stream has lasted long enough
	w       http.ResponseWriter
	control *http.ResponseController
}

// stream answers with server-sent events, for as long as follow writes some.
func (s *server) stream(w http.ResponseWriter, r *http.Request, follow func(*eventWriter) error) {
	rooms := []chan struct{}{s.streams}
	if !access.Who(r).Role.May(access.Operator) {
		rooms = append(rooms, s.viewerStreams)
	}
	for _, room := range rooms {
		select {
		case room <- struct{}{}:
			defer func() { <-room }()
		default:
			s.refuse(w, r, fmt.Errorf("%w: %d event streams are open", errBusy, cap(room)))
			return
		}
	}
	ctx, cancel := context.WithTimeout(r.Context(), streamLasts)
	defer cancel()
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold it back
	w.WriteHeader(http.StatusOK)
	if r.Method == http.MethodHead {
		return
	}
	out := &eventWriter{ctx: ctx, w: w, control: http.NewResponseController(w)}
	_ = out.control.SetReadDeadline(time.Time{}) // where it can't be set there is none
	if out.write(fmt.Appendf(nil, "retry: %d\n\n", reconnectAfter)) == nil {
		_ = follow(out) // it has ended, or whoever read it has left
	}
}

// event writes one event; its data is JSON, which has no line breaks of its own.
func (o *eventWriter) event(name string, data []byte) error {
	return o.write(fmt.Appendf(nil, "event: %s\ndata: %s\n\n", name, data))
}

// beat writes a comment.
func (o *eventWriter) beat() error { return o.write([]byte(": beat\n\n")) }

func (o *eventWriter) write(data []byte) error {
	_ = o.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // where it can't be set the server's own holds
	if _, err := o.w.Write(data); err != nil {
		return err
	}
	return o.control.Flush()
}
