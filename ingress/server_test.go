package ingress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// gated is a Committer whose commits wait for the gate and tell when they began.
func gated() (store *memory, began chan struct{}, gate chan struct{}) {
	began, gate = make(chan struct{}, 100), make(chan struct{})
	return &memory{before: func(context.Context, mesh.Event) error {
		began <- struct{}{}
		<-gate
		return nil
	}}, began, gate
}

// posted answers a request later.
func (r *running) posted(body string) <-chan reply {
	replies := make(chan reply, 1)
	req := r.request(body)
	go func() {
		got, err := r.try(req)
		if err != nil {
			got.Error = err.Error()
		}
		replies <- got
	}()
	return replies
}

func TestShutdownFinishesWhatIsUnderWay(t *testing.T) {
	store, began, gate := gated()
	s := start(t, store)
	underWay := s.posted(goodBody)
	<-began
	s.stop()
	require.Eventually(t, s.drain.isEnding, 20*time.Second, time.Millisecond)

	refused := s.post(goodBody)
	assert.Equal(t, http.StatusServiceUnavailable, refused.code)
	assert.Equal(t, "shutting_down", refused.Reason)
	assert.Equal(t, "5", refused.header.Get("Retry-After"))
	assert.Equal(t, http.StatusServiceUnavailable, s.get("/readyz").code)
	assert.Equal(t, http.StatusOK, s.get("/healthz").code)

	close(gate)
	assert.Equal(t, http.StatusAccepted, (<-underWay).code)
	assert.NoError(t, <-s.finished)
	assert.Len(t, store.all(), 1)
	_, err := net.Dial("tcp", s.Addr().String())
	assert.Error(t, err, "nobody listens any more")
}

func TestShutdownDoesNotWaitForEver(t *testing.T) {
	store, began, gate := gated()
	s := start(t, store, func(o *Options) { o.GracePeriod = 50 * time.Millisecond })
	underWay := s.posted(goodBody)
	<-began
	s.stop()
	assert.ErrorContains(t, <-s.finished, "still under way")
	assert.NotEmpty(t, (<-underWay).Error)
	close(gate)
}

func TestShutdownWhenIdleIsImmediate(t *testing.T) {
	s := start(t, new(memory), func(o *Options) { o.GracePeriod = time.Hour })
	assert.Equal(t, http.StatusAccepted, s.post(goodBody).code)
	s.stop()
	assert.NoError(t, <-s.finished)
}

func (r *running) get(path string) reply {
	req, err := http.NewRequest(http.MethodGet, r.url+path, nil)
	require.NoError(r.t, err)
	return r.do(req)
}

func TestHealth(t *testing.T) {
	var trouble atomic.Pointer[error]
	s := start(t, new(memory), func(o *Options) {
		o.Ready = func() error {
			if err := trouble.Load(); err != nil {
				return *err
			}
			return nil
		}
	})
	assert.JSONEq(t, `{"status":"ok"}`, s.get("/healthz").raw)
	assert.JSONEq(t, `{"status":"ready"}`, s.get("/readyz").raw)

	err := errors.New(`the stream "INTERACTIONS" is full`)
	trouble.Store(&err)
	got := s.get("/readyz")
	assert.Equal(t, http.StatusServiceUnavailable, got.code)
	assert.Equal(t, err.Error(), got.Reason)
	assert.Equal(t, http.StatusOK, s.get("/healthz").code, "alive, though not ready")

	req := s.request("")
	req.URL.Path = "/readyz"
	got = s.do(req)
	assert.Equal(t, http.StatusMethodNotAllowed, got.code)
	assert.Equal(t, "GET, HEAD", got.header.Get("Allow"))
}

func TestInFlightLimit(t *testing.T) {
	store, began, gate := gated()
	source := testSource()
	source.MaxInFlight = 1
	s := start(t, store, func(o *Options) { o.Sources = []mesh.Source{source} })
	underWay := s.posted(goodBody)
	<-began
	assert.Equal(t, 1.0, s.counted("genmesh_ingress_in_flight", "source=genesys"))

	got := s.post(goodBody)
	assert.Equal(t, http.StatusTooManyRequests, got.code)
	assert.Equal(t, "too_many_in_flight", got.Reason)
	assert.Equal(t, "1", got.header.Get("Retry-After"))

	require.NoError(t, s.Update([]mesh.Source{source}))
	assert.Equal(t, http.StatusTooManyRequests, s.post(goodBody).code, "an update forgets nobody who is inside")

	close(gate)
	assert.Equal(t, http.StatusAccepted, (<-underWay).code)
	assert.Equal(t, http.StatusOK, s.post(goodBody).code)
	assert.Equal(t, 0.0, s.counted("genmesh_ingress_in_flight", "source=genesys"))
}

func TestRateLimit(t *testing.T) {
	source := testSource()
	source.RateLimit = mesh.Rate{Events: 2, Per: time.Hour}
	s := start(t, new(memory), func(o *Options) { o.Sources = []mesh.Source{source} })
	assert.Equal(t, http.StatusAccepted, s.post(goodBody).code)
	assert.Equal(t, http.StatusOK, s.post(goodBody).code)
	got := s.post(goodBody)
	assert.Equal(t, http.StatusTooManyRequests, got.code)
	assert.Equal(t, "rate_limited", got.Reason)
	assert.Equal(t, "1800", got.header.Get("Retry-After"))

	require.NoError(t, s.Update([]mesh.Source{source}))
	assert.Equal(t, http.StatusTooManyRequests, s.post(goodBody).code, "the same rate goes on")
	source.RateLimit = mesh.Rate{Events: 1000, Per: time.Second}
	require.NoError(t, s.Update([]mesh.Source{source}))
	assert.Equal(t, http.StatusOK, s.post(goodBody).code, "another rate begins anew")
}

func TestStrangersDoNotUseUpTheRate(t *testing.T) {
	source := testSource()
	source.RateLimit = mesh.Rate{Events: 1, Per: time.Hour}
	s := start(t, new(memory), func(o *Options) { o.Sources = []mesh.Source{source} })
	for range 20 {
		forged := s.request(goodBody)
		forged.Header.Set(source.Verification.Header, strings.Repeat("0", 64))
		require.Equal(t, http.StatusUnauthorized, s.do(forged).code)
	}
	assert.Equal(t, http.StatusAccepted, s.post(goodBody).code)
}

func TestUpdateTakesSecretsAndPathsAtOnce(t *testing.T) {
	s := start(t, new(memory))
	moved := testSource()
	moved.Path, moved.Secret = "/webhooks/moved", "${OTHER_SECRET}"
	require.NoError(t, s.Update([]mesh.Source{moved}))

	assert.Equal(t, http.StatusNotFound, s.post(goodBody).code)
	req := s.request(goodBody)
	req.URL.Path = moved.Path
	assert.Equal(t, http.StatusUnauthorized, s.do(req).code)
	req = s.request(goodBody)
	req.URL.Path = moved.Path
	req.Header.Set("X-Genesys-Signature", genesys.Sign("other", []byte(goodBody)))
	assert.Equal(t, http.StatusAccepted, s.do(req).code)
}

func TestUpdateThatFailsChangesNothing(t *testing.T) {
	change := func(f func(*mesh.Source)) []mesh.Source {
		source := testSource()
		f(&source)
		return []mesh.Source{source}
	}
	other := testSource()
	other.Name = "other"
	s := start(t, new(memory))
	for name, sources := range map[string][]mesh.Source{
		"secret not set":  change(func(s *mesh.Source) { s.Secret = "${UNSET}" }),
		"no secret":       change(func(s *mesh.Source) { s.Secret = "" }),
		"no header":       change(func(s *mesh.Source) { s.Verification.Header = "" }),
		"no interaction":  change(func(s *mesh.Source) { s.Identity.Interaction = nil }),
		"no body limit":   change(func(s *mesh.Source) { s.MaxBodyBytes = 0 }),
		"no limit":        change(func(s *mesh.Source) { s.MaxInFlight = 0 }),
		"no path":         change(func(s *mesh.Source) { s.Path = "" }),
		"relative path":   change(func(s *mesh.Source) { s.Path = "webhooks" }),
		"wildcard path":   change(func(s *mesh.Source) { s.Path = "/a/*rest" }),
		"parameter path":  change(func(s *mesh.Source) { s.Path = "/a/:b" }),
		"our own path":    change(func(s *mesh.Source) { s.Path = "/healthz" }),
		"one path twice":  {testSource(), other},
		"one name twice":  {testSource(), testSource()},
		"good before bad": append(change(func(s *mesh.Source) { s.Name, s.Path = "good", "/good" }), mesh.Source{Name: "bad"}),
	} {
		t.Run(name, func(t *testing.T) {
			assert.Error(t, s.Update(sources))
			assert.Contains(t, []string{"accepted", "duplicate"}, s.post(goodBody).Status)
		})
	}
}

func TestUpdateUnderLoad(t *testing.T) {
	store := new(memory)
	s := start(t, store)
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for worker := range 4 {
		senders.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				got, err := s.try(s.request(fmt.Sprintf(`{"data":{"id":"%d-%d"}}`, worker, i)))
				assert.NoError(t, err)
				assert.Equal(t, http.StatusAccepted, got.code)
			}
		})
	}
	second := testSource()
	second.Name, second.Path = "second", "/webhooks/second"
	for i := range 100 {
		sources := []mesh.Source{testSource(), second}
		require.NoError(t, s.Update(sources[:1+i%2]))
	}
	require.Eventually(t, func() bool { return len(store.all()) > 50 }, 10*time.Second, time.Millisecond)
	close(stop)
	senders.Wait()
}

func TestRequestEndsOnTheRouteItBeganOn(t *testing.T) {
	store, began, gate := gated()
	s := start(t, store)
	underWay := s.posted(goodBody)
	<-began
	require.NoError(t, s.Update(nil))
	assert.Equal(t, http.StatusNotFound, s.post(goodBody).code)
	close(gate)
	assert.Equal(t, http.StatusAccepted, (<-underWay).code)
}

func TestNewRefuses(t *testing.T) {
	options := func(change func(*Options)) Options {
		o := Options{Addr: "127.0.0.1:0", Sources: []mesh.Source{testSource()}, Verifier: verifierOf,
			Store: new(memory), Logger: quiet()}
		change(&o)
		return o
	}
	for name, o := range map[string]Options{
		"no store":       options(func(o *Options) { o.Store = nil }),
		"no logger":      options(func(o *Options) { o.Logger = nil }),
		"bad address":    options(func(o *Options) { o.Addr = "nowhere:http:1" }),
		"cert, no key":   options(func(o *Options) { o.CertFile = "cert.pem" }),
		"key, no cert":   options(func(o *Options) { o.KeyFile = "key.pem" }),
		"missing files":  options(func(o *Options) { o.CertFile, o.KeyFile = "cert.pem", "key.pem" }),
		"source refused": options(func(o *Options) { o.Sources[0].MaxInFlight = 0 }),
	} {
		t.Run(name, func(t *testing.T) {
			_, err := New(o)
			assert.Error(t, err)
		})
	}
}

func TestServerThatNeverRanIsClosed(t *testing.T) {
	s := prepare(t, new(memory))
	require.NoError(t, s.Close())
	_, err := net.Dial("tcp", s.Addr().String())
	assert.Error(t, err)
}

func TestConnectionsAreBounded(t *testing.T) {
	s := start(t, new(memory), func(o *Options) { o.MaxConnections = 1 })
	first, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	_, err = first.Write([]byte("GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"))
	require.NoError(t, err)
	_, err = first.Read(make([]byte, 1))
	require.NoError(t, err, "the first connection is served")

	waiting := make(chan reply, 1)
	go func() { waiting <- s.get("/healthz") }()
	select {
	case <-waiting:
		t.Fatal("a second connection was served beside the first")
	case <-time.After(50 * time.Millisecond):
	}
	require.NoError(t, first.Close())
	assert.Equal(t, http.StatusOK, (<-waiting).code)
}
