package forward

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/oauth2"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

func TestATargetIsShownWhoGenmeshIs(t *testing.T) {
	server, arrived := echo(t)
	for want, auth := range map[string]*mesh.TargetAuth{
		"Basic Y3JtOnBAc3M6": {Method: mesh.AuthBasic, Username: "crm", Password: "${PASSWORD}"},
		"Basic a2V5Og==":     {Method: mesh.AuthBasic, Username: "key"},
		"Bearer t0ken":       {Method: mesh.AuthBearer, Token: "${TOKEN}"},
		"":                   nil,
	} {
		target := openTarget(t, mesh.Target{URL: server.URL, Auth: auth}, Options{LookupEnv: env("PASSWORD", "p@ss:", "TOKEN", "t0ken")})
		require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
		assert.Equal(t, want, (<-arrived).Header.Get("Authorization"))
	}
}

func TestAuthThatIsIncomplete(t *testing.T) {
	for want, auth := range map[string]mesh.TargetAuth{
		"auth.method":                                  {},
		"auth.username: missing: basic needs it":       {Method: mesh.AuthBasic, Password: "${X}"},
		"auth.username: it can't hold":                 {Method: mesh.AuthBasic, Username: "a:b"},
		"auth.token: missing: bearer needs it":         {Method: mesh.AuthBearer},
		"auth.scopes: it is not for bearer; remove it": {Method: mesh.AuthBearer, Token: "${X}", Scopes: []string{"s3cret"}},
		"auth.client_id: missing":                      {Method: mesh.AuthOAuth2, TokenURL: "https://login"},
		"auth.client_secret: missing":                  {Method: mesh.AuthOAuth2, TokenURL: "https://login", ClientID: "id"},
		"auth.token_url: missing":                      {Method: mesh.AuthOAuth2, ClientID: "id"},
		"auth.token_url: not of the form":              {Method: mesh.AuthOAuth2, ClientID: "id", ClientSecret: "${X}", TokenURL: "login.example.com/s3cret"},
		"auth.token_url: write it without user":        {Method: mesh.AuthOAuth2, ClientID: "id", ClientSecret: "${X}", TokenURL: "https://u:s3cret@login"},
	} {
		err := Check(mesh.Target{URL: "https://crm", Auth: &auth})
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "s3cret")
	}
	err := Check(mesh.Target{URL: "https://u:p@crm", Auth: &mesh.TargetAuth{Method: mesh.AuthBearer, Token: "${X}"}})
	require.ErrorContains(t, err, "a user already")
}

func TestSecretsThatCannotStandInAHeader(t *testing.T) {
	for want, auth := range map[string]mesh.TargetAuth{
		"auth.token: the token holds": {Method: mesh.AuthBearer, Token: "${LINES}"},
		"auth.token: the token is":    {Method: mesh.AuthBearer, Token: "${UNSET:-}"},
		"auth.password: it holds":     {Method: mesh.AuthBasic, Username: "u", Password: "${LINES}"},
		"auth.client_secret":          {Method: mesh.AuthOAuth2, TokenURL: "https://login", ClientID: "id", ClientSecret: "${UNSET:-}"},
	} {
		_, err := New(mesh.Target{URL: "https://crm", Auth: &auth}, "crm", Options{LookupEnv: env("LINES", "s3cret\r\nX: 1")})
		require.ErrorContains(t, err, want)
		assert.NotContains(t, err.Error(), "s3cret")
	}
}

// authority is a token endpoint that takes client "id" with "s3cret". Its tokens are token-1, token-2...
type authority struct {
	*httptest.Server
	issued atomic.Int64
	asked  atomic.Int64
	answer atomic.Pointer[func(w http.ResponseWriter, r *http.Request)] // instead of a token
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.asked.Add(1)
	if answer := a.answer.Load(); answer != nil {
		(*answer)(w, r)
		return
	}
	id, secret, ok := r.BasicAuth()
	if !ok || id != "id" || secret != "s3cret" || r.FormValue("grant_type") != "client_credentials" ||
		r.FormValue("scope") != "events:write" || r.FormValue("audience") != "crm" {
		w.WriteHeader(http.StatusUnauthorized)
		return
	}
	a.issue(w)
}

func (a *authority) issue(w http.ResponseWriter) {
	w.Header().Set("Content-Type", "application/json")
	_, _ = fmt.Fprintf(w, `{"access_token":"token-%d","token_type":"bearer","expires_in":3600}`, a.issued.Add(1))
}

func (a *authority) says(answer func(w http.ResponseWriter, r *http.Request)) {
	a.answer.Store(&answer)
}

// auth asks the authority for tokens; ${SECRET} must be "s3cret".
func (a *authority) auth() *mesh.TargetAuth {
	return &mesh.TargetAuth{
		Method: mesh.AuthOAuth2, TokenURL: a.URL + "/token?tenant=s3cret", ClientID: "id", ClientSecret: "${SECRET}",
		Scopes: []string{"events:write"}, Audience: "crm",
	}
}

// client is a target that shows tokens of the authority.
func (a *authority) client(t *testing.T, url string) *Target {
	t.Helper()
	return openTarget(t, mesh.Target{URL: url, Auth: a.auth()}, Options{LookupEnv: env("SECRET", "s3cret")})
}

func TestATokenIsFetchedOnceForAll(t *testing.T) {
	server, arrived := echo(t)
	login := newAuthority(t)
	target := login.client(t, server.URL)
	assert.Zero(t, login.asked.Load(), "no event needs one yet")
	var calls sync.WaitGroup
	for range 32 {
		calls.Go(func() { assert.NoError(t, target.Handle(t.Context(), targettest.Event(1))) })
	}
	calls.Wait()
	assert.Equal(t, int64(1), login.asked.Load())
	for range 32 {
		assert.Equal(t, "Bearer token-1", (<-arrived).Header.Get("Authorization"))
	}
}

// grown makes the token as old as one that is renewed.
func grown(target *Target) {
	tokens := target.authorization.tokens
	tokens.mu.Lock()
	defer tokens.mu.Unlock()
	tokens.bought = tokens.bought.Add(-freshToken)
}

// choosy is a subscriber that takes the n-th token of an authority alone.
type choosy struct {
	*httptest.Server
	good  atomic.Int64
	posts chan string
}

func newChoosy(t *testing.T) *choosy {
	t.Helper()
	c := &choosy{posts: make(chan string, 256)}
	c.good.Store(1)
	c.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c.posts <- r.Header.Get("Authorization")
		if r.Header.Get("Authorization") != "Bearer token-"+strconv.FormatInt(c.good.Load(), 10) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(c.Close)
	return c
}

func TestARevokedTokenIsRenewedAtOnce(t *testing.T) {
	far, login := newChoosy(t), newAuthority(t)
	target := login.client(t, far.URL)
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	grown(target)
	far.good.Store(2) // the first one is revoked
	require.NoError(t, target.Handle(t.Context(), targettest.Event(2)))
	require.NoError(t, target.Handle(t.Context(), targettest.Event(3)))
	for _, want := range []string{"Bearer token-1", "Bearer token-1", "Bearer token-2", "Bearer token-2"} {
		assert.Equal(t, want, <-far.posts)
	}
	assert.Equal(t, int64(2), login.asked.Load())
}

// Events that were refused together with the old token share the new one, whoever asked for it.
func TestARevokedTokenIsRenewedOnceForAll(t *testing.T) {
	const calls = 16
	var refused sync.WaitGroup
	refused.Add(calls)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") == "Bearer token-1" {
			refused.Done()
			refused.Wait()
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	login := newAuthority(t)
	target := login.client(t, server.URL)
	_, err := target.authorization.tokens.get(t.Context())
	require.NoError(t, err)
	grown(target)
	var all sync.WaitGroup
	for range calls {
		all.Go(func() { assert.NoError(t, target.Handle(t.Context(), targettest.Event(1))) })
	}
	all.Wait()
	assert.Equal(t, int64(2), login.asked.Load())
}

// A target that takes no token of ours, say because a scope is missing: no event is to blame, and
// another token would change nothing.
func TestATargetThatRefusesEveryTokenBuysFew(t *testing.T) {
	far, login := newChoosy(t), newAuthority(t)
	far.good.Store(99)
	target := login.client(t, far.URL)
	refused := func(want int64, calls int) {
		t.Helper()
		var all sync.WaitGroup
		for range calls {
			all.Go(func() {
				err := target.Handle(t.Context(), targettest.Event(1))
				assert.Equal(t, workers.Wait, targettest.FateOf(err), "%v", err)
				assert.Zero(t, targettest.WaitOf(err), "with the backoff")
				assert.ErrorContains(t, err, "401 Unauthorized: check auth of the subscriber's target")
			})
		}
		all.Wait()
		assert.Equal(t, want, login.issued.Load())
	}
	refused(1, 1)
	assert.Len(t, far.posts, 1, "a fresh token is not tried twice")
	refused(1, 32)
	grown(target)
	refused(2, 32)
	refused(2, 1)
	grown(target)
	refused(3, 1)

	far.good.Store(3)
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	assert.Equal(t, int64(3), login.asked.Load())
}

// A secret that was rotated at the target first would make every event a dead letter.
func TestCredentialsThatATargetRefusesMakeTheSubscriberWait(t *testing.T) {
	for name, c := range map[string]struct {
		user   string
		auth   *mesh.TargetAuth
		status int
		want   workers.Fate
	}{
		"bearer":                {auth: &mesh.TargetAuth{Method: mesh.AuthBearer, Token: "${SECRET}"}, status: 401, want: workers.Wait},
		"basic":                 {auth: &mesh.TargetAuth{Method: mesh.AuthBasic, Username: "u", Password: "${SECRET}"}, status: 401, want: workers.Wait},
		"user in the url":       {user: "u:s3cret@", status: 401, want: workers.Wait},
		"nobody in the url":     {user: "@", status: 401, want: workers.Refuse},
		"none":                  {status: 401, want: workers.Refuse},
		"known, but may not":    {auth: &mesh.TargetAuth{Method: mesh.AuthBearer, Token: "${SECRET}"}, status: 403, want: workers.Refuse},
		"the event's own fault": {auth: &mesh.TargetAuth{Method: mesh.AuthBearer, Token: "${SECRET}"}, status: 422, want: workers.Refuse},
	} {
		t.Run(name, func(t *testing.T) {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				assert.Equal(t, c.auth != nil || c.user == "u:s3cret@", r.Header.Get("Authorization") != "")
				w.WriteHeader(c.status)
			}))
			defer server.Close()
			address := strings.Replace(server.URL, "://", "://"+c.user, 1)
			err := handOver(t, mesh.Target{URL: address, Auth: c.auth}, Options{LookupEnv: env("SECRET", "s3cret")})
			assert.Equal(t, c.want, targettest.FateOf(err), "%v", err)
			assert.NotContains(t, err.Error(), "s3cret")
			var failure *workers.Failure
			require.ErrorAs(t, err, &failure)
			assert.Equal(t, c.status, failure.Status)
		})
	}
}

func TestWhatATokenEndpointAnswersDecides(t *testing.T) {
	status := func(status int) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "http://elsewhere.invalid/s3cret")
			w.WriteHeader(status)
			_, _ = io.WriteString(w, `{"error":"invalid_client","error_description":"s3cret is wrong"}`)
		}
	}
	body := func(body string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = io.WriteString(w, body)
		}
	}
	busy := func(code int, header, value string) func(http.ResponseWriter, *http.Request) {
		return func(w http.ResponseWriter, r *http.Request) {
			w.Header().Set(header, value)
			status(code)(w, r)
		}
	}
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		wait   time.Duration
	}{
		"400":                   {answer: status(400)},
		"401":                   {answer: status(401)},
		"403":                   {answer: status(403)},
		"404":                   {answer: status(404)},
		"a redirect":            {answer: status(307)},
		"408":                   {answer: status(408)},
		"429":                   {answer: status(429)},
		"429 that says when":    {busy(429, "Retry-After", "7"), 7 * time.Second},
		"500":                   {answer: status(500)},
		"503":                   {answer: status(503)},
		"503 that says when":    {busy(503, "X-RateLimit-Reset", "9"), 9 * time.Second},
		"401 that says nothing": {answer: busy(401, "Retry-After", "7")},
		"an error":              {answer: body(`{"error":"s3cret"}`)},
		"no token":              {answer: body(`{"token":"s3cret"}`)},
		"no JSON":               {answer: body(`s3cret`)},
		"an evil token":         {answer: body(`{"access_token":"s3cret\r\nX-Evil: 1"}`)},
		"a huge token":          {answer: body(`{"access_token":"` + strings.Repeat("s3cret", maxTokenBytes) + `"}`)},
		"endless": {answer: func(w http.ResponseWriter, _ *http.Request) {
			for _, err := w.Write(make([]byte, 1<<16)); err == nil; {
				_, err = w.Write(make([]byte, 1<<16))
			}
		}},
		"cut off": {answer: func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			_, _ = io.WriteString(w, `{"access_token":"s3cret"`)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			server, arrived := echo(t)
			login := newAuthority(t)
			login.says(c.answer)
			target := login.client(t, server.URL)
			err := target.Handle(t.Context(), targettest.Event(1))
			require.Error(t, err)
			assert.Equal(t, workers.Wait, targettest.FateOf(err), "no event is to blame: %v", err)
			assert.Equal(t, c.wait, targettest.WaitOf(err))
			assert.NotContains(t, fmt.Sprintf("%v %+v %#v", err, err, err), "s3cret")
			assert.Empty(t, arrived, "nothing is sent without a token")

			login.answer.Store(nil)
			require.NoError(t, target.Handle(t.Context(), targettest.Event(1)), "the next attempt")
		})
	}
}

func TestATokenEndpointThatIsAway(t *testing.T) {
	server, _ := echo(t)
	login := newAuthority(t)
	target := login.client(t, server.URL)
	login.Close()
	err := target.Handle(t.Context(), targettest.Event(1))
	assert.Equal(t, workers.Wait, targettest.FateOf(err))
	assert.ErrorContains(t, err, "no token from 127.0.0.1:")
	assert.NotContains(t, err.Error(), "s3cret")
}

func TestATokenEndpointThatTakesParametersOnly(t *testing.T) {
	server, _ := echo(t)
	login := newAuthority(t)
	login.says(func(w http.ResponseWriter, r *http.Request) {
		if r.FormValue("client_secret") != "s3cret" {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		login.issue(w)
	})
	target := login.client(t, server.URL)
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	assert.Equal(t, int64(2), login.asked.Load())
	grown(target)
	require.True(t, target.authorization.renew("Bearer token-1"))
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	assert.Equal(t, int64(3), login.asked.Load(), "it is remembered which way it takes")
}

func TestATokenIsUsedUntilShortlyBeforeItsEnd(t *testing.T) {
	for life, margin := range map[time.Duration]time.Duration{
		time.Hour: 30 * time.Second, 2 * time.Minute: 30 * time.Second, time.Minute: 15 * time.Second, 4 * time.Second: time.Second,
	} {
		tokens := &tokens{}
		end := time.Now().Add(life)
		tokens.keep(&oauth2.Token{AccessToken: "t", Expiry: end})
		assert.WithinDuration(t, end.Add(-margin), tokens.useUntil, 100*time.Millisecond)
		_, live := tokens.live()
		assert.True(t, live)
		tokens.useUntil = time.Now().Add(-time.Nanosecond)
		_, live = tokens.live()
		assert.False(t, live)
	}
	endless := &tokens{}
	endless.keep(&oauth2.Token{AccessToken: "t"})
	_, live := endless.live()
	assert.True(t, live)
}

func TestCloseEndsAFetchUnderWay(t *testing.T) {
	before := goleak.IgnoreCurrent()
	login := &authority{}
	asked := make(chan struct{})
	login.says(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // else nobody sees the connection end
		close(asked)
		<-r.Context().Done()
	})
	login.Server = httptest.NewServer(login)
	target, err := New(mesh.Target{URL: "http://crm.invalid", Timeout: mesh.Duration(50 * time.Millisecond), Auth: &mesh.TargetAuth{
		Method: mesh.AuthOAuth2, TokenURL: login.URL, ClientID: "id", ClientSecret: "${SECRET}",
	}}, "crm", Options{LookupEnv: env("SECRET", "s3cret")})
	require.NoError(t, err)
	err = target.Handle(t.Context(), targettest.Event(1))
	assert.Equal(t, workers.Wait, targettest.FateOf(err))
	assert.ErrorContains(t, err, "in time")
	<-asked
	require.NoError(t, target.Close())
	login.Close()
	goleak.VerifyNone(t, before)
}
