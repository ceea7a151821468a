package pages

import (
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"github.com/genmesh/genmesh/internal/console/access"
)

// The bounds of an event stream.
const (
	// beatEvery is how often a stream says that it is alive; the script takes it for lost after three of them.
	beatEvery = 5 * time.Second
	// streamLasts bounds a stream; the script then opens another one.
	streamLasts = 10 * time.Minute
	// writeTimeout bounds the wait for a browser that does not read.
	writeTimeout = 10 * time.Second
	// reconnectAfter is when a browser comes back, in milliseconds.
	reconnectAfter = 1500
)

// live sends what changes on a page, as server-sent events, to who has it open.
func (s *site) live(w http.ResponseWriter, r *http.Request) {
	who := access.Who(r)
	address, err := ownAddress(r.URL.Query().Get("page"))
	if !who.Role.May(access.Viewer) || err != nil || len(address) > maxAddressBytes || !s.isPage(address) {
		http.Error(w, "There is nothing to watch.", http.StatusNotFound)
		return
	}
	_, masked := viewOf(r)
	one, ok := s.watches.join(watchKey{page: address, role: who.Role, masked: masked})
	if !ok {
		w.Header().Set("Retry-After", "30")
		http.Error(w, "Too many watch at once.", http.StatusServiceUnavailable)
		return
	}
	defer s.watches.leave(one)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no") // nginx would hold it back
	out := &eventWriter{w: w, control: http.NewResponseController(w)}
	_ = out.control.SetReadDeadline(time.Time{}) // where it can't be set there is none
	if out.retry() == nil {
		out.follow(r, one)
	}
}

// isPage reports whether an address is one of a page.
func (s *site) isPage(address string) bool {
	r, err := http.NewRequest(http.MethodGet, address, http.NoBody)
	if err != nil {
		return false
	}
	_, pattern := s.mux.Handler(r)
	return s.pages[pattern] && pattern != "/"
}

// eventWriter writes server-sent events.
type eventWriter struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// follow sends what is new until the browser leaves, or the stream has lasted long enough.
func (o *eventWriter) follow(r *http.Request, one *watch) {
	beat, end := time.NewTicker(beatEvery), time.NewTimer(streamLasts)
	defer beat.Stop()
	defer end.Stop()
	seen := uint64(0)
	for {
		n, changed := one.since(seen)
		seen = n.version
		if o.send(n) != nil {
			return
		}
		select {
		case <-changed:
		case <-beat.C:
		case <-end.C:
			return
		case <-r.Context().Done():
			return
		}
	}
}

func (o *eventWriter) retry() error {
	return o.write(fmt.Appendf(nil, "retry: %d\n\n", reconnectAfter))
}

// send writes the regions that are new, what is to be read out, and of when the numbers are.
func (o *eventWriter) send(n news) error {
	var events []byte
	for name, html := range n.parts {
		events = appendEvent(events, "region", map[string]string{"name": name, "html": html})
	}
	for _, text := range n.said {
		events = appendEvent(events, "said", map[string]string{"text": text})
	}
	if !n.at.IsZero() {
		events = appendEvent(events, "beat", map[string]string{"at": n.at.UTC().Format("15:04:05"), "problem": n.problem})
	}
	return o.write(events)
}

// appendEvent adds one event; its data is JSON, which has no line breaks of its own.
func appendEvent(to []byte, name string, data map[string]string) []byte {
	text, _ := json.Marshal(data) // strings always can be
	return fmt.Appendf(to, "event: %s\ndata: %s\n\n", name, text)
}

func (o *eventWriter) write(data []byte) error {
	_ = o.control.SetWriteDeadline(time.Now().Add(writeTimeout)) // where it can't be set the server's own holds
	if _, err := o.w.Write(data); err != nil {
		return err
	}
	return o.control.Flush()
}
