package simulator

import (
	"cmp"
	"crypto/rand"
	"crypto/subtle"
	"encoding/json"
	"fmt"
	mathrand "math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/genmesh/genmesh/genesys/cloud"
)

// platform is the API of Genesys Cloud, as far as subscriptions need it.
type platform struct {
	clientID, clientSecret string

	mu     sync.Mutex
	tokens map[string]time.Time // until when
	subs   map[string]*subscription
	nextID int
	count  int // of calls in this minute
	minute time.Time
}

// subscription is one with its key.
type subscription struct {
	cloud.Subscription
	published string // what the API says that the key is
	signing   string // what deliveries are signed with, until switchAt
	switchAt  time.Time
}

const (
	subscriptionsPath = "/api/v2/eventstreams/subscriptions"
	tokenLifetime     = time.Hour
	maxTokens         = 1000
	maxSubscriptions  = 100
	callsPerMinute    = 300
	maxRequestBytes   = 64 << 10
)

func newPlatform(id, secret string) *platform {
	return &platform{clientID: id, clientSecret: secret, tokens: make(map[string]time.Time), subs: make(map[string]*subscription)}
}

// register adds the API to a mux.
func (p *platform) register(mux *http.ServeMux, faults func() Faults, n *notifications) {
	mux.HandleFunc("POST /oauth/token", p.token)
	handle := func(pattern string, h func(w http.ResponseWriter, r *http.Request)) {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			f := faults()
			switch {
			case f.APIDown:
				fail(w, http.StatusServiceUnavailable, "service.unavailable", "The service is unavailable.")
			case !p.authorized(w, r) || !p.admitted(w, f.APIRateLimited):
			default:
				h(w, r)
			}
		})
	}
	handle("GET "+subscriptionsPath, p.list)
	handle("POST "+subscriptionsPath, p.create)
	handle("GET "+subscriptionsPath+"/{id}", p.get)
	handle("PUT "+subscriptionsPath+"/{id}", p.update)
	handle("DELETE "+subscriptionsPath+"/{id}", p.delete)
	n.register(mux, handle)
}

func (p *platform) token(w http.ResponseWriter, r *http.Request) {
	r.Body = http.MaxBytesReader(w, r.Body, maxRequestBytes)
	id, secret, _ := r.BasicAuth()
	if id != p.clientID || subtle.ConstantTimeCompare([]byte(secret), []byte(p.clientSecret)) == 0 ||
		r.FormValue("grant_type") != "client_credentials" {
		w.WriteHeader(http.StatusUnauthorized)
		write(w, map[string]string{"error": "invalid_client"})
		return
	}
	token := rand.Text()
	p.mu.Lock()
	if len(p.tokens) >= maxTokens {
		clear(p.tokens)
	}
	p.tokens[token] = time.Now().Add(tokenLifetime)
	p.mu.Unlock()
	write(w, map[string]any{"access_token": token, "token_type": "bearer", "expires_in": int(tokenLifetime.Seconds())})
}

func (p *platform) authorized(w http.ResponseWriter, r *http.Request) bool {
	p.mu.Lock()
	until := p.tokens[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	p.mu.Unlock()
	if time.Now().After(until) {
		fail(w, http.StatusUnauthorized, "bad.credentials", "Invalid login credentials.")
		return false
	}
	return true
}

// admitted keeps the rate limit and tells it. Some calls, in percent, it takes for too many.
func (p *platform) admitted(w http.ResponseWriter, limitedPercent float64) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.minute) >= time.Minute {
		p.minute, p.count = now, 0
	}
	p.count++
	reset := strconv.Itoa(int(time.Until(p.minute.Add(time.Minute)).Seconds()) + 1)
	w.Header().Set("inin-ratelimit-count", strconv.Itoa(p.count))
	w.Header().Set("inin-ratelimit-allowed", strconv.Itoa(callsPerMinute))
	w.Header().Set("inin-ratelimit-reset", reset)
	byChance := mathrand.Float64()*100 < limitedPercent
	if byChance {
		reset = "1"
	}
	if byChance || p.count > callsPerMinute {
		w.Header().Set("Retry-After", reset)
		fail(w, http.StatusTooManyRequests, "too.many.requests", "Rate limit exceeded the maximum.")
		return false
	}
	return true
}

func (p *platform) list(w http.ResponseWriter, r *http.Request) {
	size, page := number(r, "pageSize", 25), number(r, "pageNumber", 1)
	p.mu.Lock()
	all := []cloud.Subscription{}
	for _, s := range p.sorted() {
		all = append(all, s.Subscription) // without the key
	}
	p.mu.Unlock()
	pages := max((len(all)+size-1)/size, 1)
	from := min((page-1)*size, len(all))
	answer := map[string]any{
		"entities": all[from:min(from+size, len(all))], "pageSize": size, "pageNumber": page, "pageCount": pages, "total": len(all),
	}
	if page < pages {
		answer["nextUri"] = fmt.Sprintf("%s?pageSize=%d&pageNumber=%d", subscriptionsPath, size, page+1)
	}
	write(w, answer)
}

func number(r *http.Request, name string, fallback int) int {
	n, err := strconv.Atoi(r.URL.Query().Get(name))
	if err != nil || n < 1 || n > 1000 {
		return fallback
	}
	return n
}

func (p *platform) create(w http.ResponseWriter, r *http.Request) {
	wanted, ok := read(w, r)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.subs) >= maxSubscriptions {
		fail(w, http.StatusBadRequest, "limit.reached", "There are too many subscriptions.")
		return
	}
	p.nextID++
	wanted.ID, wanted.Version, wanted.DateModified = fmt.Sprintf("subscription-%d", p.nextID), 1, time.Now().UTC()
	key := rand.Text()
	s := &subscription{Subscription: wanted, published: key, signing: key}
	p.subs[wanted.ID] = s
	write(w, s.withKey())
}

func (p *platform) get(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.find(w, r); s != nil {
		write(w, s.withKey())
	}
}

func (p *platform) update(w http.ResponseWriter, r *http.Request) {
	wanted, ok := read(w, r)
	if !ok {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.find(w, r)
	switch {
	case s == nil:
	case wanted.Version != s.Version:
		fail(w, http.StatusConflict, "version.conflict", "The subscription has been changed by another request.")
	default:
		wanted.ID, wanted.Version, wanted.DateModified = s.ID, s.Version+1, time.Now().UTC()
		s.Subscription = wanted
		write(w, s.withKey())
	}
}

func (p *platform) delete(w http.ResponseWriter, r *http.Request) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.find(w, r); s != nil {
		delete(p.subs, s.ID)
		w.WriteHeader(http.StatusNoContent)
	}
}

func (p *platform) find(w http.ResponseWriter, r *http.Request) *subscription {
	s := p.subs[r.PathValue("id")]
	if s == nil {
		fail(w, http.StatusNotFound, "not.found", "The subscription was not found.")
	}
	return s
}

// read reads a subscription that somebody wants and says what is wrong with it.
func read(w http.ResponseWriter, r *http.Request) (cloud.Subscription, bool) {
	var s cloud.Subscription
	if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequestBytes)).Decode(&s); err != nil {
		fail(w, http.StatusBadRequest, "bad.request", "The request is not a subscription.")
		return s, false
	}
	if s.Name == "" || len(s.EventTypes) == 0 || s.TargetURL == "" {
		fail(w, http.StatusBadRequest, "bad.request", "A subscription needs a name, eventTypes and a targetUrl.")
		return s, false
	}
	s.PublicKey, s.Secret = "", ""
	return s, true
}

func (s *subscription) withKey() cloud.Subscription {
	told := s.Subscription
	told.PublicKey = s.published
	return told
}

// sorted lists the subscriptions by their ids; the caller holds the lock.
func (p *platform) sorted() []*subscription {
	all := make([]*subscription, 0, len(p.subs))
	for _, s := range p.subs {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *subscription) int { return cmp.Compare(a.ID, b.ID) })
	return all
}

// targets are the active subscriptions to interactions.
func (p *platform) targets() []*target {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*target
	for _, s := range p.sorted() {
		if s.Active && slices.Contains(s.EventTypes, "interaction") {
			all = append(all, &target{name: s.ID, now: func() (cloud.Subscription, string, bool) { return p.current(s.ID) }})
		}
	}
	return all
}

// current is a subscription as it is now and the key that it signs with.
func (p *platform) current(id string) (cloud.Subscription, string, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.subs[id]
	if s == nil || !s.Active {
		return cloud.Subscription{}, "", false
	}
	if !time.Now().Before(s.switchAt) {
		s.signing = s.published
	}
	return s.Subscription, s.signing, true
}

// rotate gives every subscription a new key. It is published at once; deliveries are signed with it
// after the overlap.
func (p *platform) rotate(overlap time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.subs {
		s.published, s.switchAt = rand.Text(), time.Now().Add(overlap)
	}
}

// fail answers as Genesys Cloud does.
func fail(w http.ResponseWriter, status int, code, message string) {
	w.Header().Set("ININ-Correlation-Id", rand.Text())
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	write(w, map[string]any{"message": message, "code": code, "status": status})
}

func write(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v) // who left reads no answer
}
