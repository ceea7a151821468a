package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	clientID     = "genmesh-console"
	clientSecret = "the-clients-own-secret"
)

func TestSigningInWithTheIdentityProvider(t *testing.T) {
	for _, post := range []bool{false, true} {
		p := newIDP(t)
		p.post = post
		s := openWith(t, p)
		client := s.browser(t)
		assert.Contains(t, s.ask(t, client, http.MethodGet, "/login?next=/dead", "").body, `href="/auth/oidc?next=%2fdead">Sign in with 127.0.0.1<`)
		got := s.walk(t, client, "/dead?x=1")
		require.Equal(t, http.StatusSeeOther, got.status, got.body+s.log.String())
		assert.Equal(t, "/dead?x=1", got.header.Get("Location"))
		assert.Empty(t, s.cookie(t, client, "__Host-genmesh-oidc"), "it was for one attempt")
		who := s.ask(t, client, http.MethodGet, "/", "").who(t)
		assert.Equal(t, map[string]string{"name": "ann@example.com", "role": "operator", "via": "oidc", "address": "127.0.0.1"}, who)
		assert.EqualValues(t, 1, s.logins(t, resultSuccess))
	}
}

func TestTheCookieOfASignInLivesShortly(t *testing.T) {
	s := openWith(t, newIDP(t))
	client := s.browser(t)
	cookie := s.ask(t, client, http.MethodGet, "/auth/oidc", "").header.Get("Set-Cookie")
	for _, want := range []string{"__Host-genmesh-oidc=", "Path=/", "Max-Age=600", "HttpOnly", "Secure", "SameSite=Lax"} {
		assert.Contains(t, cookie, want)
	}
	longest := "/dead?" + strings.Repeat("&", maxNextBytes-6)
	assert.Equal(t, longest, s.walk(t, client, longest).header.Get("Location"))
	assert.Less(t, len(s.ask(t, client, http.MethodGet, "/auth/oidc?next="+url.QueryEscape(longest), "").header.Get("Set-Cookie")), 4096, "browsers keep no more")
	back := s.there(t, client, "/")
	s.clock.pass(flowLasts + time.Second)
	assert.Equal(t, http.StatusBadRequest, s.back(t, client, back).status)
}

// TestWhatTheProviderMustNotGetAwayWith: each ID token is wrong in one way. The browser is told nothing of it, and the log why.
func TestWhatTheProviderMustNotGetAwayWith(t *testing.T) {
	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	rsaKey, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	set := func(name string, value any) func(*idp) {
		return func(p *idp) { p.alter = func(all map[string]any) { all[name] = value } }
	}
	for _, tc := range []struct {
		name   string
		change func(*idp)
		log    string
	}{
		{"wrong nonce", set("nonce", "another"), "nonce"},
		{"no nonce", func(p *idp) { p.alter = func(all map[string]any) { delete(all, "nonce") } }, "nonce"},
		{"wrong audience", set("aud", "another-client"), "audience"},
		{"made for another client", func(p *idp) {
			p.alter = func(all map[string]any) { all["aud"], all["azp"] = []string{clientID, "other"}, "other" }
		}, "another client"},
		{"wrong issuer", set("iss", "https://evil.example"), "different provider"},
		{"expired", set("exp", time.Now().Add(-clockSkew-time.Minute).Unix()), "expired"},
		{"not valid yet", set("nbf", time.Now().Add(time.Hour).Unix()), "nbf"},
		{"alg none", func(p *idp) {
			p.sign = func(payload []byte) string {
				return base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none"}`)) + "." + base64.RawURLEncoding.EncodeToString(payload) + "."
			}
		}, "malformed jwt"},
		{"signed with the client's secret", func(p *idp) {
			p.sign = func(payload []byte) string {
				return signed(t, jose.HS256, []byte(strings.Repeat(clientSecret, 2)), payload)
			}
		}, "malformed jwt"},
		{"another key", func(p *idp) {
			p.sign = func(payload []byte) string {
				return signed(t, jose.ES256, jose.JSONWebKey{Key: other, KeyID: p.kid}, payload)
			}
		}, "verify signature"},
		{"another kind of key", func(p *idp) {
			p.sign = func(payload []byte) string {
				return signed(t, jose.RS256, jose.JSONWebKey{Key: rsaKey, KeyID: p.kid}, payload)
			}
		}, "verify signature"},
		{"no ID token", func(p *idp) { p.sign = func([]byte) string { return "" } }, "no ID token"},
		{"nonsense", func(p *idp) { p.sign = func([]byte) string { return "<script>alert(1)</script>" } }, "malformed jwt"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			p := newIDP(t)
			p.set(func() { tc.change(p) })
			s := openWith(t, p)
			client := s.browser(t)
			got := s.walk(t, client, "/")
			assert.Equal(t, http.StatusForbidden, got.status)
			assert.Contains(t, got.body, "The identity provider did not sign you in. Try again.")
			assert.Empty(t, s.cookie(t, client, "__Host-genmesh"))
			assert.Contains(t, s.log.String(), tc.log)
			assert.NotContains(t, s.log.String()+got.body, clientSecret)
			assert.EqualValues(t, 1, s.logins(t, resultProvider))
		})
	}
}

// TestAClockThatIsBehindIsForgiven, a little.
func TestAClockThatIsBehindIsForgiven(t *testing.T) {
	p := newIDP(t)
	p.alter = func(all map[string]any) { all["exp"] = time.Now().Add(-clockSkew / 2).Unix() }
	s := openWith(t, p)
	assert.Equal(t, http.StatusSeeOther, s.walk(t, s.browser(t), "/").status)
}

// TestAnAnswerThatThisBrowserDidNotAskForSignsNobodyIn: somebody else's code in a link, for one.
func TestAnAnswerThatThisBrowserDidNotAskForSignsNobodyIn(t *testing.T) {
	p := newIDP(t)
	s := openWith(t, p)
	attacker, victim := s.browser(t), s.browser(t)
	link := s.there(t, attacker, "/")
	got := s.back(t, victim, link)
	assert.Equal(t, http.StatusBadRequest, got.status, "a browser that began nothing")
	s.there(t, victim, "/")
	assert.Equal(t, http.StatusBadRequest, s.back(t, victim, link).status, "a browser that began something else")
	assert.Empty(t, s.cookie(t, victim, "__Host-genmesh"))
	assert.Zero(t, p.tokens, "the provider is not even asked")
	assert.Equal(t, http.StatusBadRequest, s.ask(t, victim, http.MethodGet, "/auth/oidc/callback?code=x", "", "Cookie", "__Host-genmesh-oidc=AAAA").status)

	mine := s.there(t, victim, "/")
	require.Equal(t, http.StatusSeeOther, s.back(t, victim, mine).status)
	assert.Equal(t, http.StatusBadRequest, s.back(t, victim, mine).status, "once is all")

	swapped := strings.Replace(s.there(t, victim, "/"), "iss=", "iss=x", 1)
	assert.Equal(t, http.StatusForbidden, s.back(t, victim, swapped).status, "the answer of another issuer")
}

func TestWhatTheProviderSaysIsNotRepeated(t *testing.T) {
	s := openWith(t, newIDP(t))
	client := s.browser(t)
	u, err := url.Parse(s.there(t, client, "/"))
	require.NoError(t, err)
	refused := url.Values{"state": {u.Query().Get("state")}, "error": {"access_denied\n<script>"}, "error_description": {"call 0900 now"}}
	got := s.back(t, client, "https://mesh.example.com/auth/oidc/callback?"+refused.Encode())
	assert.Equal(t, http.StatusForbidden, got.status)
	assert.NotContains(t, got.body+s.log.String(), "0900")
	assert.NotContains(t, got.body, "access_denied")
	assert.Contains(t, s.log.String(), "access_denied")
}

// TestTheConsoleStartsWithoutItsProvider and finds it once it is there; meanwhile people with a password are let in.
func TestTheConsoleStartsWithoutItsProvider(t *testing.T) {
	p := newIDP(t)
	p.set(func() { p.fail["/.well-known/openid-configuration"] = http.StatusBadGateway })
	s := openWith(t, p)
	client := s.browser(t)
	down := s.ask(t, client, http.MethodGet, "/auth/oidc", "")
	assert.Equal(t, http.StatusServiceUnavailable, down.status)
	assert.Contains(t, down.body, "The identity provider can&#39;t be reached at the moment.")
	assert.Equal(t, "5", down.header.Get("Retry-After"))
	assert.Contains(t, s.log.String(), "it answers 502")
	assert.Equal(t, http.StatusSeeOther, s.form(t, s.browser(t), "ann", annPassword, "/").status)

	p.set(func() { clear(p.fail) })
	assert.Equal(t, http.StatusServiceUnavailable, s.ask(t, client, http.MethodGet, "/auth/oidc", "").status, "it is left alone for a moment")
	s.clock.pass(rediscoverAfter)
	assert.Equal(t, http.StatusSeeOther, s.walk(t, client, "/").status)

	p.set(func() { p.fail["/token"] = http.StatusInternalServerError })
	assert.Equal(t, http.StatusServiceUnavailable, s.walk(t, s.browser(t), "/").status, "it fails at the last step")
}

func TestAProviderThatIsNotWhoItWasIsNotUsed(t *testing.T) {
	for name, document := range map[string]string{
		"another issuer":          `{"issuer":"https://evil.example","authorization_endpoint":"%[1]s/a","token_endpoint":"%[1]s/t","jwks_uri":"%[1]s/k"}`,
		"endpoint without TLS":    `{"issuer":"%[1]s","authorization_endpoint":"%[1]s/a","token_endpoint":"http://evil.example/t","jwks_uri":"%[1]s/k"}`,
		"no keys":                 `{"issuer":"%[1]s","authorization_endpoint":"%[1]s/a","token_endpoint":"%[1]s/t"}`,
		"endpoint that is no URL": `{"issuer":"%[1]s","authorization_endpoint":"javascript:alert(1)","token_endpoint":"%[1]s/t","jwks_uri":"%[1]s/k"}`,
		"no JSON":                 "<html>",
		"too large":               `{"issuer":"%[1]s","x":"` + strings.Repeat("x", maxProviderBytes) + `"}`,
	} {
		t.Run(name, func(t *testing.T) {
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, strings.ReplaceAll(document, "%[1]s", "http://"+listener.Addr().String()))
			}))
			server.Listener.Close()
			server.Listener = listener
			server.Start()
			t.Cleanup(server.Close)
			s := openWith(t, &idp{Server: server, t: t})
			got := s.ask(t, s.browser(t), http.MethodGet, "/auth/oidc", "")
			assert.Equal(t, http.StatusServiceUnavailable, got.status)
			assert.Empty(t, got.header.Get("Location"))
		})
	}
}

func TestWhoHasNoRoleIsToldWhere(t *testing.T) {
	p := newIDP(t)
	p.set(func() { p.claims["roles"] = []string{"staff", "secret-project"} })
	s := openWith(t, p)
	client := s.browser(t)
	got := s.walk(t, client, "/")
	assert.Equal(t, http.StatusForbidden, got.status)
	assert.Contains(t, got.body, "The claim that was looked at is &#34;roles&#34;")
	assert.NotContains(t, got.body, "secret-project")
	assert.Empty(t, s.cookie(t, client, "__Host-genmesh"))
	assert.EqualValues(t, 1, s.logins(t, resultNoRole))
}

// TestATokenOfTheProviderIsABearerToken, under the same rules, and for as long as it lives.
func TestATokenOfTheProviderIsABearerToken(t *testing.T) {
	p := newIDP(t)
	s := openWith(t, p)
	use := func(token string) answer {
		return s.ask(t, s.browser(t), http.MethodGet, "/", "", "Authorization", "Bearer "+token)
	}
	token := p.idToken("")
	assert.Equal(t, "ann@example.com operator oidc", strings.Join([]string{use(token).who(t)["name"], use(token).who(t)["role"], use(token).who(t)["via"]}, " "))
	s.clock.pass(5*time.Minute + clockSkew + time.Second)
	assert.Equal(t, http.StatusUnauthorized, use(token).status, "it has expired")
	s.clock.pass(-5*time.Minute - clockSkew - time.Second)

	p.set(func() { p.alter = func(all map[string]any) { all["aud"] = "another" } })
	assert.Equal(t, http.StatusUnauthorized, use(p.idToken("")).status)
	p.set(func() { p.alter = func(all map[string]any) { all["roles"] = "none" } })
	assert.Equal(t, http.StatusForbidden, use(p.idToken("")).status)
	parts := strings.Split(token, ".")
	assert.Equal(t, http.StatusUnauthorized, use(parts[0]+"."+parts[1]+".AAAA").status)
	assert.Equal(t, http.StatusUnauthorized, use("a.b.c").status)
}

// TestKeysRotate: a new key is fetched when a token names it, and strangers who make up keys cause few fetches.
func TestKeysRotate(t *testing.T) {
	p := newIDP(t)
	s := openWith(t, p)
	require.Equal(t, http.StatusSeeOther, s.walk(t, s.browser(t), "/").status)
	p.set(func() { p.rotate("two") })
	require.Equal(t, http.StatusSeeOther, s.walk(t, s.browser(t), "/").status)
	assert.Equal(t, 2, p.keysOut)

	other, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	statuses := map[int]int{}
	for i := range 50 {
		forged := signed(t, jose.ES256, jose.JSONWebKey{Key: other, KeyID: fmt.Sprint(i)}, []byte(`{}`))
		statuses[s.ask(t, s.browser(t), http.MethodGet, "/", "", "Authorization", "Bearer "+forged).status]++
	}
	assert.LessOrEqual(t, p.keysOut, 5)
	assert.Positive(t, statuses[http.StatusUnauthorized])
	assert.Positive(t, statuses[http.StatusServiceUnavailable], "what can't be looked up is not called wrong")
	assert.Equal(t, http.StatusOK, s.ask(t, s.browser(t), http.MethodGet, "/", "", "Authorization", "Bearer "+p.idToken("")).status, "what is known goes on")
}

// TestAChangeOfTheProviderSignsOutWhomItSignedIn: the roles may be others, or the secret.
func TestAChangeOfTheProviderSignsOutWhomItSignedIn(t *testing.T) {
	p := newIDP(t)
	s := openWith(t, p)
	byProvider, byPassword := s.browser(t), s.signedIn(t, "ann", annPassword)
	require.Equal(t, http.StatusSeeOther, s.walk(t, byProvider, "/").status)
	require.NoError(t, s.guard.Reload())
	assert.Equal(t, http.StatusOK, s.ask(t, byProvider, http.MethodGet, "/", "").status)

	s.guard.options.LookupEnv = func(string) (string, bool) { return "a new secret", true }
	require.NoError(t, s.guard.Reload())
	assert.Equal(t, http.StatusUnauthorized, s.ask(t, byProvider, http.MethodGet, "/", "").status)
	assert.Equal(t, http.StatusOK, s.ask(t, byPassword, http.MethodGet, "/", "").status)
	refused := s.walk(t, byProvider, "/")
	assert.Equal(t, http.StatusForbidden, refused.status)
	assert.Contains(t, s.log.String(), "invalid_client")
}

// TestMadeUpCodesAreFewRequestsToTheProvider: whoever begins sign-ins and never comes from the provider.
func TestMadeUpCodesAreFewRequestsToTheProvider(t *testing.T) {
	p := newIDP(t)
	s := openWith(t, p)
	client := s.browser(t)
	throttled := 0
	for range freeOfAddress + 5 {
		u, err := url.Parse(s.there(t, client, "/"))
		require.NoError(t, err)
		q := u.Query()
		q.Set("code", "made-up")
		if s.back(t, client, "https://mesh.example.com/auth/oidc/callback?"+q.Encode()).status == http.StatusTooManyRequests {
			throttled++
		}
	}
	assert.Equal(t, 5, throttled)
	assert.Equal(t, freeOfAddress, p.tokens)
}
