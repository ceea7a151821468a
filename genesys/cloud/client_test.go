package cloud_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/genmesh/genmesh/genesys/cloud"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const clientSecret = "correct-horse-battery-staple"

// platform is a Genesys Cloud API whose answers a test can change.
type platform struct {
	*httptest.Server
	tokens, calls atomic.Int64
	lifetime      int // of a token, in seconds

	mu      sync.Mutex
	revoked map[string]bool
	answer  func(w http.ResponseWriter, r *http.Request, call int64) // of the API, after the token was checked
}

func newPlatform(t *testing.T, answer func(w http.ResponseWriter, r *http.Request, call int64)) *platform {
	p := &platform{lifetime: 86400, answer: answer, revoked: make(map[string]bool)}
	p.Server = httptest.NewServer(p)
	t.Cleanup(p.Close)
	return p
}

func (p *platform) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/oauth/token" {
		id, secret, _ := r.BasicAuth()
		if id != "mesh" || secret != clientSecret || r.FormValue("grant_type") != "client_credentials" {
			http.Error(w, `{"error":"invalid_client","secret":"`+secret+`"}`, http.StatusUnauthorized)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer","expires_in":%d}`, p.tokens.Add(1), p.lifetime)
		return
	}
	p.mu.Lock()
	revoked := p.revoked[strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")]
	p.mu.Unlock()
	if revoked {
		http.Error(w, `{"message":"Invalid login credentials.","code":"bad.credentials"}`, http.StatusUnauthorized)
		return
	}
	p.answer(w, r, p.calls.Add(1))
}

func (p *platform) client(t *testing.T) *cloud.Client {
	c, err := cloud.New(cloud.Options{URL: p.URL, ClientID: "mesh", ClientSecret: clientSecret, HTTPClient: p.Client()})
	require.NoError(t, err)
	return c
}

func writeJSON(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func TestRegions(t *testing.T) {
	assert.Len(t, cloud.Regions(), 18)
	r, err := cloud.FindRegion("eu-central-1")
	require.NoError(t, err)
	same, err := cloud.FindRegion("mypurecloud.de")
	require.NoError(t, err)
	assert.Equal(t, r, same)
	_, err = cloud.FindRegion("eu-north-1")
	assert.ErrorContains(t, err, "eu-west-1")
}

func TestClientsThatCannotBe(t *testing.T) {
	for name, o := range map[string]cloud.Options{
		"no place":         {ClientID: "a", ClientSecret: "b"},
		"two places":       {Region: "eu-west-1", URL: "https://x", ClientID: "a", ClientSecret: "b"},
		"http":             {URL: "http://example.com", ClientID: "a", ClientSecret: "b"},
		"password in URL":  {URL: "https://a:" + clientSecret + "@example.com", ClientID: "a", ClientSecret: "b"},
		"no secret":        {Region: "eu-west-1", ClientID: "a"},
		"http for a token": {URL: "https://x", LoginURL: "http://example.com", ClientID: "a", ClientSecret: "b"},
	} {
		_, err := cloud.New(o)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), clientSecret)
	}
}

func TestOneTokenServesManyCalls(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, _ int64) { writeJSON(w, cloud.Subscription{ID: "1"}) })
	c := p.client(t)
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			_, err := c.Subscription(context.Background(), "1")
			assert.NoError(t, err)
		})
	}
	all.Wait()
	assert.Equal(t, int64(1), p.tokens.Load(), "asked for once, by all together")

	p.mu.Lock()
	p.revoked["token-1"] = true
	p.mu.Unlock()
	_, err := c.Subscription(t.Context(), "1")
	require.NoError(t, err, "a token that was revoked is replaced")
	assert.Equal(t, int64(2), p.tokens.Load())

	p.mu.Lock()
	p.revoked["token-2"], p.revoked["token-3"] = true, true
	p.mu.Unlock()
	_, err = c.Subscription(t.Context(), "1")
	require.ErrorIs(t, err, cloud.ErrUnauthorized)
	assert.Equal(t, int64(3), p.tokens.Load(), "one new token, and no more")
}

func TestTokenIsRenewedBeforeItsEnd(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, _ int64) { writeJSON(w, cloud.Subscription{}) })
	p.lifetime = 30 // less than the margin
	c := p.client(t)
	for range 2 {
		_, err := c.Subscription(t.Context(), "1")
		require.NoError(t, err)
	}
	assert.Equal(t, int64(2), p.tokens.Load())
}

func TestWrongClientIsToldWhatToDo(t *testing.T) {
	p := newPlatform(t, nil)
	c, err := cloud.New(cloud.Options{URL: p.URL, ClientID: "mesh", ClientSecret: "wrong-" + clientSecret, HTTPClient: p.Client()})
	require.NoError(t, err)
	_, err = c.Subscription(t.Context(), "1")
	require.ErrorIs(t, err, cloud.ErrUnauthorized)
	assert.ErrorContains(t, err, "client_secret")
	assert.NotContains(t, err.Error(), clientSecret)
}

func TestErrorsNameTheMissingPermission(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, _ int64) {
		w.Header().Set("ININ-Correlation-Id", "c-1")
		w.WriteHeader(http.StatusForbidden)
		writeJSON(w, map[string]string{"message": "You are not permitted.", "code": "not.authorized"})
	})
	c := p.client(t)
	_, err := c.Subscription(t.Context(), "1")
	require.ErrorIs(t, err, cloud.ErrForbidden)
	assert.ErrorContains(t, err, "read access to eventstreams")
	assert.ErrorContains(t, err, "c-1")
	_, err = c.CreateSubscription(t.Context(), cloud.Subscription{Name: "x"})
	assert.ErrorContains(t, err, "integrations:webhooks:edit")
	assert.Equal(t, int64(2), p.calls.Load(), "a refusal is not asked for again")
}

func TestErrorsDoNotShowTheToken(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
		w.WriteHeader(http.StatusBadRequest)
		writeJSON(w, map[string]string{"message": "bad request: " + r.Header.Get("Authorization"), "code": "bad.request"})
	})
	_, err := p.client(t).Subscription(t.Context(), "1")
	require.ErrorContains(t, err, "Bearer …")
	assert.NotContains(t, err.Error(), "token-1")
}

func TestRateLimitIsWaitedFor(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, call int64) {
		if call == 1 {
			w.Header().Set("Retry-After", "1")
			http.Error(w, `{"message":"Rate limit exceeded","code":"too.many.requests"}`, http.StatusTooManyRequests)
			return
		}
		writeJSON(w, cloud.Subscription{ID: "1"})
	})
	c := p.client(t)
	began := time.Now()
	_, err := c.Subscription(t.Context(), "1")
	require.NoError(t, err)
	assert.GreaterOrEqual(t, time.Since(began), 900*time.Millisecond)
}

func TestClientSlowsDownBeforeTheLimit(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, call int64) {
		w.Header().Set("inin-ratelimit-count", "290")
		w.Header().Set("inin-ratelimit-allowed", "300")
		w.Header().Set("inin-ratelimit-reset", "30")
		writeJSON(w, cloud.Subscription{ID: "1"})
	})
	c := p.client(t)
	_, err := c.Subscription(t.Context(), "1")
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	_, err = c.Subscription(ctx, "1")
	assert.ErrorContains(t, err, "rate limit", "who has no time to wait is told at once")
	assert.Equal(t, int64(1), p.calls.Load())
}

func TestTroubleIsTriedAgainWhereThatIsSafe(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, call int64) {
		if call%2 == 1 {
			http.Error(w, "bad gateway", http.StatusBadGateway)
			return
		}
		writeJSON(w, cloud.Subscription{ID: "1"})
	})
	c := p.client(t)
	_, err := c.Subscription(t.Context(), "1")
	require.NoError(t, err)
	_, err = c.CreateSubscription(t.Context(), cloud.Subscription{Name: "x"})
	require.ErrorContains(t, err, "502", "a POST may have made something")
	assert.Equal(t, int64(3), p.calls.Load())
}

func TestSubscriptionsOfSeveralPages(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, r *http.Request, call int64) {
		page := r.URL.Query().Get("pageNumber")
		entities := []cloud.Subscription{{ID: "a" + page, Name: "first of " + page}, {ID: "b" + page, Name: "second of " + page}}
		writeJSON(w, map[string]any{"entities": entities, "pageNumber": call, "pageCount": 3})
	})
	c := p.client(t)
	var ids []string
	for s, err := range c.Subscriptions(t.Context()) {
		require.NoError(t, err)
		ids = append(ids, s.ID)
	}
	assert.Equal(t, []string{"a1", "b1", "a2", "b2", "a3", "b3"}, ids)

	for range c.Subscriptions(t.Context()) {
		break // who has seen enough asks for no more
	}
	assert.Equal(t, int64(4), p.calls.Load())
	_, err := c.FindSubscription(t.Context(), "none")
	assert.ErrorIs(t, err, cloud.ErrNotFound)
}

func TestEndlessPagesEnd(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, _ int64) {
		writeJSON(w, map[string]any{"entities": []cloud.Subscription{{ID: "1"}}, "nextUri": "/again"})
	})
	var last error
	for _, err := range p.client(t).Subscriptions(t.Context()) {
		last = err
	}
	assert.ErrorContains(t, last, "pages")
}

func TestAnswersThatAreNone(t *testing.T) {
	for name, answer := range map[string]func(http.ResponseWriter){
		"garbage": func(w http.ResponseWriter) { fmt.Fprint(w, "<html>") },
		"huge":    func(w http.ResponseWriter) { fmt.Fprint(w, strings.Repeat(" ", 9<<20)) },
		"moved":   func(w http.ResponseWriter) { w.Header().Set("Location", "http://elsewhere"); w.WriteHeader(302) },
	} {
		p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, _ int64) { answer(w) })
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		_, err := p.client(t).Subscription(ctx, "1")
		cancel()
		assert.Error(t, err, name)
	}
}

func TestSubscriptionsNeverShowTheirKeys(t *testing.T) {
	s := cloud.Subscription{ID: "1", Name: "crm", PublicKey: clientSecret, Secret: clientSecret}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q"} {
		assert.NotContains(t, fmt.Sprintf(verb, s), clientSecret)
		assert.NotContains(t, fmt.Sprintf(verb, []*cloud.Subscription{&s}), clientSecret)
	}
	assert.Equal(t, []string{clientSecret}, s.Keys())
	assert.Empty(t, cloud.Subscription{Secret: " "}.Keys())
}

func TestUpdateOfWhatSomebodyElseChanged(t *testing.T) {
	p := newPlatform(t, func(w http.ResponseWriter, r *http.Request, _ int64) {
		var s cloud.Subscription
		assert.NoError(t, json.NewDecoder(r.Body).Decode(&s))
		assert.Empty(t, s.Keys(), "keys are not sent back")
		if r.Method == http.MethodPut && s.Version != 3 {
			w.WriteHeader(http.StatusConflict)
			return
		}
		writeJSON(w, s)
	})
	c := p.client(t)
	_, err := c.UpdateSubscription(t.Context(), cloud.Subscription{ID: "1", Version: 2, Secret: "key"})
	require.ErrorIs(t, err, cloud.ErrConflict)
	assert.False(t, errors.Is(err, cloud.ErrNotFound))
	_, err = c.UpdateSubscription(t.Context(), cloud.Subscription{ID: "1", Version: 3})
	require.NoError(t, err)
}

func TestAnAnswerWithoutAListIsNoEmptyList(t *testing.T) {
	for _, answer := range []string{`null`, `{}`, `{"entities":null}`} {
		p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, _ int64) { fmt.Fprint(w, answer) })
		_, err := p.client(t).FindSubscription(t.Context(), "mesh")
		require.ErrorContains(t, err, "no list", answer)
		assert.NotErrorIs(t, err, cloud.ErrNotFound, "or somebody would make another")
	}
	p := newPlatform(t, func(w http.ResponseWriter, _ *http.Request, _ int64) { fmt.Fprint(w, `{"entities":[]}`) })
	_, err := p.client(t).FindSubscription(t.Context(), "mesh")
	assert.ErrorIs(t, err, cloud.ErrNotFound)
}
