package forward

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
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
		"auth.method":                 {},
		"auth: username is missing":   {Method: mesh.AuthBasic, Password: "${X}"},
		"auth: username can't hold":   {Method: mesh.AuthBasic, Username: "a:b"},
		"auth: token is missing":      {Method: mesh.AuthBearer},
		"auth: client_id is missing":  {Method: mesh.AuthOAuth2, TokenURL: "https://login"},
		"auth: client_secret is":      {Method: mesh.AuthOAuth2, TokenURL: "https://login", ClientID: "id"},
		"auth: token_url: the url is": {Method: mesh.AuthOAuth2, ClientID: "id", ClientSecret: "${X}", TokenURL: "login.example.com/s3cret"},
		"without user and fragment":   {Method: mesh.AuthOAuth2, ClientID: "id", ClientSecret: "${X}", TokenURL: "https://u:s3cret@login"},
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

func TestARevokedTokenIsRenewedAtOnce(t *testing.T) {
	var good atomic.Int64
	good.Store(1)
	posts := make(chan string, 8)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		posts <- r.Header.Get("Authorization")
		if r.Header.Get("Authorization") != "Bearer token-"+strconv.FormatInt(good.Load(), 10) {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	defer server.Close()
	login := newAuthority(t)
	target := login.client(t, server.URL)
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	good.Store(2) // the first one is revoked
	require.NoError(t, target.Handle(t.Context(), targettest.Event(2)))
	require.NoError(t, target.Handle(t.Context(), targettest.Event(3)))
	assert.Equal(t, []string{"Bearer token-1", "Bearer token-1", "Bearer token-2", "Bearer token-2"}, []string{<-posts, <-posts, <-posts, <-posts})
	assert.Equal(t, int64(2), login.asked.Load())

	good.Store(99) // no token of this authority is good
	err := target.Handle(t.Context(), targettest.Event(4))
	assert.Equal(t, workers.Refuse, targettest.FateOf(err))
	assert.ErrorContains(t, err, "401")
	assert.Len(t, posts, 2, "once more, and then no more")
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
	for name, c := range map[string]struct {
		answer func(http.ResponseWriter, *http.Request)
		want   workers.Fate
	}{
		"400":           {status(400), workers.Wait},
		"401":           {status(401), workers.Wait},
		"403":           {status(403), workers.Wait},
		"404":           {status(404), workers.Wait},
		"a redirect":    {status(307), workers.Wait},
		"408":           {status(408), workers.Retry},
		"429":           {status(429), workers.Retry},
		"500":           {status(500), workers.Retry},
		"503":           {status(503), workers.Retry},
		"an error":      {body(`{"error":"s3cret"}`), workers.Wait},
		"no token":      {body(`{"token":"s3cret"}`), workers.Retry},
		"no JSON":       {body(`s3cret`), workers.Retry},
		"an evil token": {body(`{"access_token":"s3cret\r\nX-Evil: 1"}`), workers.Retry},
		"endless": {func(w http.ResponseWriter, _ *http.Request) {
			for _, err := w.Write(make([]byte, 1<<16)); err == nil; {
				_, err = w.Write(make([]byte, 1<<16))
			}
		}, workers.Retry},
		"cut off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "99")
			_, _ = io.WriteString(w, `{"access_token":"s3cret"`)
		}, workers.Retry},
	} {
		t.Run(name, func(t *testing.T) {
			server, arrived := echo(t)
			login := newAuthority(t)
			login.says(c.answer)
			target := login.client(t, server.URL)
			err := target.Handle(t.Context(), targettest.Event(1))
			require.Error(t, err)
			assert.Equal(t, c.want, targettest.FateOf(err), "%v", err)
			assert.Zero(t, targettest.WaitOf(err))
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
	assert.Equal(t, workers.Retry, targettest.FateOf(err))
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
	target.authorization.tokens.drop("token-1")
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
	assert.Equal(t, workers.Retry, targettest.FateOf(err))
	assert.ErrorContains(t, err, "in time")
	<-asked
	require.NoError(t, target.Close())
	login.Close()
	goleak.VerifyNone(t, before)
}
