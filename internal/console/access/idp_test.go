package access

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/stretchr/testify/require"
)

// idp is an identity provider that can be told to misbehave.
type idp struct {
	*httptest.Server
	t *testing.T

	mu      sync.Mutex
	kid     string
	key     *ecdsa.PrivateKey
	claims  map[string]any           // of the user who signs in
	asked   map[string]url.Values    // what each code was given for
	tokens  int                      // requests to the token endpoint
	keysOut int                      // requests for the keys
	alter   func(all map[string]any) // changes an ID token before it is signed
	sign    func(payload []byte) string
	fail    map[string]int // the status of a path that fails
	post    bool           // the secret is taken in the body alone
}

func newIDP(t *testing.T) *idp {
	p := &idp{t: t, asked: map[string]url.Values{}, fail: map[string]int{}, claims: map[string]any{
		"sub": "4711", "email": "ann@example.com", "email_verified": true, "roles": []string{"staff", "mesh-operators"},
	}}
	p.rotate("one")
	mux := http.NewServeMux()
	mux.HandleFunc("GET /.well-known/openid-configuration", p.discovery)
	mux.HandleFunc("GET /keys", p.keys)
	mux.HandleFunc("GET /authorize", p.authorize)
	mux.HandleFunc("POST /token", p.token)
	p.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		p.mu.Lock()
		defer p.mu.Unlock()
		if status := p.fail[r.URL.Path]; status != 0 {
			w.WriteHeader(status)
			return
		}
		mux.ServeHTTP(w, r)
	}))
	t.Cleanup(p.Close)
	return p
}

// set changes how it behaves.
func (p *idp) set(change func()) { p.mu.Lock(); defer p.mu.Unlock(); change() }

func (p *idp) rotate(kid string) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(p.t, err)
	p.kid, p.key = kid, key
}

func (p *idp) discovery(w http.ResponseWriter, _ *http.Request) {
	methods := []string{"client_secret_basic", "client_secret_post"}
	if p.post {
		methods = methods[1:]
	}
	respond(w, map[string]any{
		"issuer": p.URL, "authorization_endpoint": p.URL + "/authorize", "token_endpoint": p.URL + "/token", "jwks_uri": p.URL + "/keys",
		"id_token_signing_alg_values_supported": []string{"ES256"}, "token_endpoint_auth_methods_supported": methods,
	})
}

func respond(w http.ResponseWriter, v any) { respondStatus(w, http.StatusOK, v) }

func respondStatus(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v)
}

func (p *idp) keys(w http.ResponseWriter, _ *http.Request) {
	p.keysOut++
	respond(w, jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: p.key.Public(), KeyID: p.kid, Algorithm: "ES256", Use: "sig"}}})
}

// authorize lets the user in without a question.
func (p *idp) authorize(w http.ResponseWriter, r *http.Request) {
	q := r.URL.Query()
	code := newSecret()
	p.asked[code] = q
	back := url.Values{"code": {code}, "state": {q.Get("state")}, "iss": {p.URL}}
	w.Header().Set("Location", q.Get("redirect_uri")+"?"+back.Encode())
	w.WriteHeader(http.StatusFound)
}

func (p *idp) token(w http.ResponseWriter, r *http.Request) {
	p.tokens++
	asked, ok := p.asked[r.PostFormValue("code")]
	delete(p.asked, r.PostFormValue("code"))
	id, secret, inHeader := r.BasicAuth()
	if !inHeader {
		id, secret = r.PostFormValue("client_id"), r.PostFormValue("client_secret")
	}
	challenge := sha256.Sum256([]byte(r.PostFormValue("code_verifier")))
	switch {
	case !ok, asked.Get("code_challenge_method") != "S256", asked.Get("code_challenge") != base64.RawURLEncoding.EncodeToString(challenge[:]),
		r.PostFormValue("redirect_uri") != asked.Get("redirect_uri"):
		respondStatus(w, http.StatusBadRequest, map[string]string{"error": "invalid_grant", "error_description": "the code " + r.PostFormValue("code")})
		return
	case id != clientID || secret != clientSecret, inHeader == p.post:
		respondStatus(w, http.StatusUnauthorized, map[string]string{"error": "invalid_client"})
		return
	}
	respond(w, map[string]any{"access_token": "opaque", "token_type": "Bearer", "expires_in": 300, "id_token": p.idToken(asked.Get("nonce"))})
}

func (p *idp) idToken(nonce string) string {
	all := maps.Clone(p.claims)
	maps.Copy(all, map[string]any{"iss": p.URL, "aud": clientID, "nonce": nonce, "iat": time.Now().Unix(), "exp": time.Now().Add(5 * time.Minute).Unix()})
	if p.alter != nil {
		p.alter(all)
	}
	payload, err := json.Marshal(all)
	require.NoError(p.t, err)
	if p.sign != nil {
		return p.sign(payload)
	}
	return signed(p.t, jose.ES256, jose.JSONWebKey{Key: p.key, KeyID: p.kid}, payload)
}

func signed(t *testing.T, alg jose.SignatureAlgorithm, key any, payload []byte) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, nil)
	require.NoError(t, err)
	object, err := signer.Sign(payload)
	require.NoError(t, err)
	text, err := object.CompactSerialize()
	require.NoError(t, err)
	return text
}

// openWith starts a console that knows an identity provider. Browsers find it at its own address, over plain HTTP.
func openWith(t *testing.T, p *idp, more ...string) *site {
	t.Helper()
	fields := append([]string{
		`"issuer":"` + p.URL + `","client_id":"` + clientID + `","client_secret":"${OIDC_SECRET}"`,
	}, more...)
	if len(more) == 0 {
		fields = append(fields, `"roles":{"mesh-admins":"admin","mesh-operators":"operator"}`)
	}
	return open(t, accessFile(t, people(), `"oidc":{`+strings.Join(fields, ",")+`}`), func(o *Options) {
		o.LookupEnv = func(name string) (string, bool) { return clientSecret, name == "OIDC_SECRET" }
		o.PublicURL = "https://mesh.example.com"
	})
}

// walk signs in as a browser does: to the provider and back. The provider sends to the public URL, which is the test's server.
func (s *site) walk(t testing.TB, client *http.Client, next string) answer {
	t.Helper()
	return s.back(t, client, s.there(t, client, next))
}

// there is where the provider sends back to.
func (s *site) there(t testing.TB, client *http.Client, next string) string {
	t.Helper()
	begun := s.ask(t, client, http.MethodGet, "/auth/oidc?"+url.Values{"next": {next}}.Encode(), "")
	require.Equal(t, http.StatusSeeOther, begun.status, begun.body)
	response, err := client.Get(begun.header.Get("Location"))
	require.NoError(t, err)
	defer response.Body.Close()
	require.Equal(t, http.StatusFound, response.StatusCode)
	return response.Header.Get("Location")
}

func (s *site) back(t testing.TB, client *http.Client, location string) answer {
	t.Helper()
	path, ok := strings.CutPrefix(location, "https://mesh.example.com")
	require.True(t, ok, location)
	return s.ask(t, client, http.MethodGet, path, "", "Sec-Fetch-Site", "cross-site")
}
