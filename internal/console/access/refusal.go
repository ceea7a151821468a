package access

import (
	"encoding/json"
	"maps"
	"math"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/internal/telemetry"
)

// refusal is why a request is not let in, and how that is answered.
type refusal struct {
	status int
	// result is that of the metric; "" is not counted, for nobody tried anything.
	result string
	// detail is for whoever asks. It is the same whether there is such a user or not.
	detail string
	// after is when to try again; 0 is not said.
	after time.Duration
	// name is what was tried, cause what the log says besides.
	name  string
	cause error
}

// refuse answers a request that is not let in: a browser that goes to a page is sent to sign in.
func (g *Guard) refuse(w http.ResponseWriter, r *http.Request, s *settings, why *refusal) {
	g.refusals.note(why, r)
	if why.status == http.StatusUnauthorized && goesToPage(r) {
		redirect(w, loginURL(pageToReturnTo(r)))
		return
	}
	if why.status == http.StatusUnauthorized {
		challenge(w, r, s)
	}
	writeProblem(w, why.status, why.detail, why.after)
}

// goesToPage reports whether a browser asks for what it shall show, and not a script in it.
func goesToPage(r *http.Request) bool {
	mode := r.Header.Get("Sec-Fetch-Mode")
	return r.Header.Get("Authorization") == "" && strings.Contains(r.Header.Get("Accept"), "text/html") && (mode == "" || mode == "navigate")
}

// pageToReturnTo is the page that was asked for; "/" if something was to be changed, for that has to be asked for again.
func pageToReturnTo(r *http.Request) string {
	if isSafe(r.Method) {
		return r.URL.RequestURI()
	}
	return "/"
}

// challenge says how to prove who one is. A browser's script is not told of Basic: the browser would ask for a password in a window of its own.
func challenge(w http.ResponseWriter, r *http.Request, s *settings) {
	w.Header().Add("WWW-Authenticate", `Bearer realm="genmesh"`)
	if r.Header.Get("Sec-Fetch-Mode") == "" && len(s.passwords) > 0 {
		w.Header().Add("WWW-Authenticate", `Basic realm="genmesh", charset="UTF-8"`)
	}
}

// writeProblem answers as RFC 9457 has it.
func writeProblem(w http.ResponseWriter, status int, detail string, after ...time.Duration) {
	for _, d := range after {
		retryAfter(w, d)
	}
	body, _ := json.Marshal(struct {
		Type   string `json:"type"`
		Title  string `json:"title"`
		Status int    `json:"status"`
		Detail string `json:"detail"`
	}{"about:blank", http.StatusText(status), status, detail}) // these always become JSON
	w.Header().Set("Content-Type", "application/problem+json")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(body) // the client is gone, or it is not
}

func retryAfter(w http.ResponseWriter, d time.Duration) {
	if d > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int(math.Ceil(d.Seconds()))))
	}
}

// refusals counts what was refused. Of each result the first in a minute is logged as it comes, and those after it are added up: so nothing
// harmless that is refused hides an attack of another kind.
type refusals struct {
	now     func() time.Time
	log     logrus.FieldLogger
	metrics *metrics

	mu       sync.Mutex
	byResult map[string]*heldBack // results are few, and our own
}

const (
	// logEvery is how often refusals of one result are logged at most.
	logEvery = time.Minute
	// maxHeldAddresses bounds the addresses that are told apart in a sum.
	maxHeldAddresses = 1000
)

func newRefusals(now func() time.Time, log logrus.FieldLogger, m *metrics) *refusals {
	return &refusals{now: now, log: log, metrics: m, byResult: map[string]*heldBack{}}
}

func (n *refusals) note(why *refusal, r *http.Request) {
	if why.result == "" {
		return
	}
	n.metrics.logins.WithLabelValues(why.result).Inc()
	n.mu.Lock()
	defer n.mu.Unlock()
	held, known := n.byResult[why.result]
	if !known {
		held = &heldBack{}
		n.byResult[why.result] = held
	}
	if n.now().Sub(held.logged) < logEvery {
		held.add(why, r)
		return
	}
	n.report(why.result, held)
	held.logged = n.now()
	log := n.log.WithField("result", why.result).WithField("address", Address(r))
	if why.name != "" {
		log = log.WithField("user", cut(why.name))
	}
	if why.cause != nil {
		log = log.WithField("cause", cut(why.cause.Error()))
	}
	log.Warn("somebody was not let in to the console")
}

// report logs what was added up of a result.
func (n *refusals) report(result string, held *heldBack) {
	if held.count == 0 {
		return
	}
	log := n.log.WithField("result", result).WithField("count", held.count).WithField("addresses", held.from()).
		WithField("latest_address", held.address)
	if held.name != "" {
		log = log.WithField("latest_user", held.name)
	}
	log.Warn("more were not let in to the console; only the first of a result in a minute is shown by itself")
	*held = heldBack{logged: held.logged}
}

// flush reports what was added up if that is a minute old, or at the end.
func (n *refusals) flush(atEnd bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, result := range slices.Sorted(maps.Keys(n.byResult)) {
		if held := n.byResult[result]; atEnd || n.now().Sub(held.logged) >= logEvery {
			n.report(result, held)
		}
	}
}

// heldBack is what was refused with one result since one of it was logged by itself.
type heldBack struct {
	logged    time.Time
	count     int
	addresses map[string]bool
	// name and address are of the latest that named somebody, or of the latest if none did: a token that has ended, which a program goes on
	// sending, says less than a name that somebody tries.
	name, address string
}

func (h *heldBack) add(why *refusal, r *http.Request) {
	h.count++
	if h.addresses == nil {
		h.addresses = map[string]bool{}
	}
	if len(h.addresses) < maxHeldAddresses {
		h.addresses[network(addressOf(r))] = true // what one party surely has counts once, as for the throttle
	}
	if why.name != "" || h.name == "" {
		h.name, h.address = cut(why.name), Address(r)
	}
}

// from is from how many addresses they came, as far as they were told apart.
func (h *heldBack) from() string {
	if len(h.addresses) == maxHeldAddresses {
		return strconv.Itoa(maxHeldAddresses) + " or more"
	}
	return strconv.Itoa(len(h.addresses))
}

const maxLoggedBytes = 200

// cut is text of others as it may be logged.
func cut(text string) string {
	text = telemetry.Printable(text[:min(len(text), maxLoggedBytes)])
	for len(text) > maxLoggedBytes || !utf8.ValidString(text) {
		text = text[:len(text)-1]
	}
	return text
}
