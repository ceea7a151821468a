package access

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSigningInAndOut(t *testing.T) {
	s := open(t, accessFile(t, people()))
	client := s.browser(t)
	page := s.ask(t, client, http.MethodGet, "/login?next=%2Fdead%3Fx%3D1", "")
	assert.Equal(t, http.StatusOK, page.status)
	assert.Contains(t, page.body, `name="next" value="/dead?x=1"`)

	got := s.form(t, client, "ann", annPassword, "/dead?x=1")
	require.Equal(t, http.StatusSeeOther, got.status)
	assert.Equal(t, "/dead?x=1", got.header.Get("Location"))
	who := s.ask(t, client, http.MethodGet, "/dead", "").who(t)
	assert.Equal(t, map[string]string{"name": "ann", "role": "operator", "via": "password", "address": "127.0.0.1"}, who)
	assert.EqualValues(t, 1, s.logins(t, resultSuccess))
	assert.Contains(t, s.log.String(), "signed in to the console")

	id := s.cookie(t, client, "__Host-genmesh")
	out := s.ask(t, client, http.MethodPost, "/logout", "", "Origin", s.URL)
	assert.Equal(t, "/login?ended=1", out.header.Get("Location"))
	assert.Empty(t, s.cookie(t, client, "__Host-genmesh"))
	assert.Contains(t, s.ask(t, client, http.MethodGet, "/login?ended=1", "").body, "You are signed out.")
	stolen := s.ask(t, s.browser(t), http.MethodGet, "/dead", "", "Cookie", "__Host-genmesh="+id)
	assert.Equal(t, http.StatusUnauthorized, stolen.status, "a cookie that was copied before is worth nothing now")
}

func TestTheCookieIsForThisHostAlone(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Options)
		want   []string
	}{
		{"TLS", func(*Options) {}, []string{"__Host-genmesh=", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"}},
		{"behind a proxy that has TLS", func(o *Options) { o.Secure, o.Loopback = false, true }, []string{"__Host-genmesh=", "Path=/", "HttpOnly", "Secure", "SameSite=Lax"}},
		{"loopback", func(o *Options) { o.Secure, o.Loopback, o.PublicURL = false, true, "" }, []string{"genmesh=", "Path=/", "HttpOnly", "SameSite=Lax"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := open(t, accessFile(t, people()), tc.change)
			cookie := s.ask(t, s.browser(t), http.MethodPost, "/login", "name=ann&password=nine+brown+otters",
				"Content-Type", "application/x-www-form-urlencoded").header.Get("Set-Cookie")
			parts := strings.Split(cookie, "; ")
			require.True(t, strings.HasPrefix(parts[0], tc.want[0]), cookie)
			assert.Len(t, strings.TrimPrefix(parts[0], tc.want[0]), 43, "32 bytes")
			assert.ElementsMatch(t, tc.want[1:], parts[1:])
		})
	}
}

// TestASessionIsNeverOneFromBefore: whoever puts a cookie into somebody's browser is not signed in with it later.
func TestASessionIsNeverOneFromBefore(t *testing.T) {
	s := open(t, accessFile(t, people()))
	client := s.signedIn(t, "ann", annPassword)
	before := s.cookie(t, client, "__Host-genmesh")
	require.Equal(t, http.StatusSeeOther, s.form(t, client, "bob", bobPassword, "/").status)
	after := s.cookie(t, client, "__Host-genmesh")
	assert.NotEqual(t, before, after)
	assert.Equal(t, "bob", s.ask(t, client, http.MethodGet, "/", "").who(t)["name"])
	assert.Equal(t, http.StatusUnauthorized, s.ask(t, s.browser(t), http.MethodGet, "/", "", "Cookie", "__Host-genmesh="+before).status)

	planted := strings.Repeat("A", 43)
	fresh := s.ask(t, s.browser(t), http.MethodPost, "/login", "name=ann&password=nine+brown+otters",
		"Content-Type", "application/x-www-form-urlencoded", "Cookie", "__Host-genmesh="+planted)
	require.Equal(t, http.StatusSeeOther, fresh.status)
	assert.NotContains(t, fresh.header.Get("Set-Cookie"), planted)
	assert.Equal(t, http.StatusUnauthorized, s.ask(t, s.browser(t), http.MethodGet, "/", "", "Cookie", "__Host-genmesh="+planted).status)
}

// TestNobodyLearnsWhichUsersExist: the answers are the same, before and after the throttle.
func TestNobodyLearnsWhichUsersExist(t *testing.T) {
	s := open(t, accessFile(t, people()))
	type answers struct{ form, basic, throttledForm, throttledBasic answer }
	try := func(name string) (got answers) {
		basic := func() answer {
			return s.ask(t, s.browser(t), http.MethodGet, "/", "", "Authorization", basicAuth(name, "wrong wrong wrong"))
		}
		got.form, got.basic = s.form(t, s.browser(t), name, "wrong wrong wrong", "/dead"), basic()
		for range freeOfPair - 2 {
			basic()
		}
		got.throttledForm, got.throttledBasic = s.form(t, s.browser(t), name, "wrong wrong wrong", "/dead"), basic()
		for _, a := range []answer{got.form, got.basic, got.throttledForm, got.throttledBasic} {
			a.header.Del("Date")
		}
		s.clock.pass(2 * forgetAfter)
		return got
	}
	known := try("ann")
	assert.Equal(t, http.StatusUnauthorized, known.form.status)
	assert.Equal(t, http.StatusUnauthorized, known.basic.status)
	assert.Equal(t, http.StatusTooManyRequests, known.throttledForm.status)
	assert.Equal(t, http.StatusTooManyRequests, known.throttledBasic.status)
	assert.Contains(t, known.form.body, "The name or the password is wrong.")
	for _, name := range []string{"bob", "ci", "eve", strings.Repeat("x", 3000)} {
		assert.Equal(t, known, try(name), "%.9s", name)
	}
}

// TestAnUnknownNameTakesAsLongAsAKnownOne, for a password is checked all the same: against a hash of the same kind as the users' are.
func TestAnUnknownNameTakesAsLongAsAKnownOne(t *testing.T) {
	for _, users := range [][]User{people()[:1], people()[1:2], people()[2:]} {
		s := open(t, accessFile(t, users))
		quickest := func(name string) time.Duration {
			var took []time.Duration
			for range 3 {
				began := time.Now()
				_, err := s.guard.hashing.account(t.Context(), s.guard.settings.Load(), name, "wrong wrong wrong")
				require.NoError(t, err)
				took = append(took, time.Since(began))
			}
			return slices.Min(took)
		}
		known, unknown := quickest(users[0].Name), quickest("eve")
		assert.Greater(t, unknown, known/4, users[0].Name)
		assert.Greater(t, known, unknown/4, users[0].Name)
		assert.Greater(t, unknown, time.Millisecond)
	}
}

func TestTheSignInPageIsHarmlessWhateverItIsAsked(t *testing.T) {
	s := open(t, accessFile(t, people()))
	page := s.ask(t, s.browser(t), http.MethodGet, `/login?next=%2F%22%3E%3Cscript%3Ealert(1)%3C%2Fscript%3E`, "")
	assert.NotContains(t, page.body, "<script")
	assert.Equal(t, pagePolicy, page.header.Get("Content-Security-Policy"))
	for name, want := range map[string]string{
		"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY", "Referrer-Policy": "same-origin",
		"Content-Type": "text/html; charset=utf-8",
	} {
		assert.Equal(t, want, page.header.Get(name))
	}
	for _, want := range []string{
		`<label for="name">`, `autocomplete="username"`, `<label for="password">`, `autocomplete="current-password"`, `lang="en"`,
	} {
		assert.Contains(t, page.body, want)
	}
	assert.NotContains(t, page.body, "Sign in with", "there is no identity provider")
	assert.Equal(t, "text/css; charset=utf-8", s.ask(t, s.browser(t), http.MethodGet, "/login.css", "").header.Get("Content-Type"))
	assert.Equal(t, http.StatusNotFound, s.ask(t, s.browser(t), http.MethodGet, "/auth/oidc", "").status)

	large := s.form(t, s.browser(t), "ann", strings.Repeat("x", maxFormBytes), "/")
	assert.Equal(t, http.StatusBadRequest, large.status)
	assert.Equal(t, http.StatusUnauthorized, s.ask(t, s.browser(t), http.MethodPost, "/login", `{"name":"ann"}`, "Content-Type", "application/json").status)
	assert.Equal(t, http.StatusMethodNotAllowed, s.ask(t, s.browser(t), http.MethodPut, "/login", "").status)
}
