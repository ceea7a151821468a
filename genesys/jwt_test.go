package genesys_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
)

// claims are what a good token says; with changes them, and takes out what is nil.
type claims map[string]any

func goodClaims() claims {
	return claims{"iss": "https://issuer", "aud": "mesh", "exp": time.Now().Add(time.Hour).Unix()}
}

func with(changes claims) claims {
	c := goodClaims()
	for name, value := range changes {
		if c[name] = value; value == nil {
			delete(c, name)
		}
	}
	return c
}

// ago is a time in a token.
func ago(d time.Duration) int64 { return time.Now().Add(-d).Unix() }

// claimCases are judged the same whoever signs: each token is signed with the key that it should be.
func claimCases() map[string]struct {
	claims
	want error
} {
	return map[string]struct {
		claims
		want error
	}{
		"good":                              {goodClaims(), nil},
		"it never ends":                     {with(claims{"exp": nil}), genesys.ErrSignatureClaims},
		"it ended half a minute ago":        {with(claims{"exp": ago(30 * time.Second)}), nil}, // clocks differ
		"it ended two minutes ago":          {with(claims{"exp": ago(2 * time.Minute)}), genesys.ErrSignatureExpired},
		"it ended a day ago":                {with(claims{"exp": ago(24 * time.Hour)}), genesys.ErrSignatureExpired},
		"it begins in half a minute":        {with(claims{"nbf": ago(-30 * time.Second)}), nil},
		"it begins in an hour":              {with(claims{"nbf": ago(-time.Hour), "exp": ago(-2 * time.Hour)}), genesys.ErrSignatureExpired},
		"another issuer":                    {with(claims{"iss": "https://evil"}), genesys.ErrSignatureClaims},
		"the issuer and more":               {with(claims{"iss": "https://issuer/tenant"}), genesys.ErrSignatureClaims},
		"no issuer":                         {with(claims{"iss": nil}), genesys.ErrSignatureClaims},
		"for another audience":              {with(claims{"aud": "somebody else"}), genesys.ErrSignatureClaims},
		"for several audiences, we are one": {with(claims{"aud": []string{"somebody else", "mesh"}}), nil},
		"for several other audiences":       {with(claims{"aud": []string{"a", "b"}}), genesys.ErrSignatureClaims},
		"for nobody":                        {with(claims{"aud": []string{}}), genesys.ErrSignatureClaims},
		"no audience":                       {with(claims{"aud": nil}), genesys.ErrSignatureClaims},
	}
}

// token is a delivery with a token that golang-jwt made. kid may be nil.
func token(t testing.TB, method jwt.SigningMethod, key, kid any, c claims) *genesys.Delivery {
	t.Helper()
	made := jwt.NewWithClaims(method, jwt.MapClaims(c))
	if kid != nil {
		made.Header["kid"] = kid
	}
	return bearing(t, made, key)
}

func bearing(t testing.TB, made *jwt.Token, key any) *genesys.Delivery {
	t.Helper()
	text, err := made.SignedString(key)
	require.NoError(t, err)
	return &genesys.Delivery{Header: http.Header{"Authorization": {"Bearer " + text}}, Body: []byte("{}"), Received: time.Now()}
}

func rsaKey(t testing.TB) *rsa.PrivateKey {
	t.Helper()
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	return key
}

func ecKey(t testing.TB, curve elliptic.Curve) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(curve, rand.Reader)
	require.NoError(t, err)
	return key
}

func edKey(t testing.TB) ed25519.PrivateKey {
	t.Helper()
	_, key, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	return key
}

// jwk is the public JSON Web Key of a key (RFC 7518, 6), and what more it shall say.
func jwk(t testing.TB, key crypto.Signer, more map[string]any) map[string]any {
	t.Helper()
	b64 := base64.RawURLEncoding.EncodeToString
	set := map[string]any{}
	switch public := key.Public().(type) {
	case *rsa.PublicKey:
		set = map[string]any{"kty": "RSA", "n": b64(public.N.Bytes()), "e": b64(big.NewInt(int64(public.E)).Bytes())}
	case *ecdsa.PublicKey:
		point, err := public.Bytes() // 4, x, y
		require.NoError(t, err)
		half := len(point) / 2
		set = map[string]any{"kty": "EC", "crv": public.Curve.Params().Name, "x": b64(point[1 : 1+half]), "y": b64(point[1+half:])}
	case ed25519.PublicKey:
		set = map[string]any{"kty": "OKP", "crv": "Ed25519", "x": b64(public)}
	}
	for name, value := range more {
		set[name] = value
	}
	return set
}

// kid is what most keys say beside themselves.
func kid(id string) map[string]any { return map[string]any{"kid": id, "use": "sig"} }

// issuer serves keys, and has the URL where.
func issuer(t testing.TB, keys ...any) string {
	t.Helper()
	if keys == nil {
		keys = []any{}
	}
	body, err := json.Marshal(map[string]any{"keys": keys})
	require.NoError(t, err)
	return server(t, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(body) })
}

func server(t testing.TB, handler http.HandlerFunc) string {
	t.Helper()
	s := httptest.NewServer(handler)
	t.Cleanup(s.Close)
	return s.URL
}

// issuerVerifier verifies by the keys that are fetched from an issuer.
func issuerVerifier(t testing.TB, url string) *genesys.Verifier {
	t.Helper()
	keys, err := genesys.FetchIssuerKeys(t.Context(), url)
	require.NoError(t, err)
	v, err := genesys.NewVerifier(genesys.Verification{
		Method: genesys.MethodJWT, JWKSURL: url, Issuer: "https://issuer", Audience: "mesh",
	}, keys)
	require.NoError(t, err)
	return v
}

func TestTokenWithASharedSecret(t *testing.T) {
	const secret = "a secret of the mesh and the sender"
	shared := []byte(secret)
	asked := genesys.Verification{Method: genesys.MethodJWT, Issuer: "https://issuer", Audience: "mesh"}
	v, err := genesys.NewVerifier(asked, []string{secret, "the previous secret"})
	require.NoError(t, err)
	for name, c := range claimCases() {
		t.Run(name, func(t *testing.T) {
			d := token(t, jwt.SigningMethodHS256, shared, nil, c.claims)
			assert.ErrorIs(t, v.Verify(t.Context(), d), c.want)
			d = token(t, jwt.SigningMethodHS256, []byte("the previous secret"), nil, c.claims)
			assert.ErrorIs(t, v.Verify(t.Context(), d), c.want, "by the previous secret")
			d = token(t, jwt.SigningMethodHS256, []byte("a forger's secret"), nil, c.claims)
			assert.ErrorIs(t, v.Verify(t.Context(), d), genesys.ErrSignatureMismatch, "by a forger")
		})
	}
	for name, d := range map[string]*genesys.Delivery{
		"HS384":             token(t, jwt.SigningMethodHS384, shared, nil, goodClaims()),
		"HS512":             token(t, jwt.SigningMethodHS512, shared, nil, goodClaims()),
		"no algorithm":      token(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil, goodClaims()),
		"a stranger's RSA":  token(t, jwt.SigningMethodRS256, rsaKey(t), nil, goodClaims()),
		"a stranger's EC":   token(t, jwt.SigningMethodES256, ecKey(t, elliptic.P256()), nil, goodClaims()),
		"an empty secret":   token(t, jwt.SigningMethodHS256, []byte{}, nil, goodClaims()),
		"the secret, twice": token(t, jwt.SigningMethodHS256, append(shared, shared...), nil, goodClaims()),
	} {
		assert.ErrorIs(t, v.Verify(t.Context(), d), genesys.ErrSignatureMismatch, name)
	}
}

func TestTokenComesAsABearer(t *testing.T) {
	v, err := genesys.NewVerifier(genesys.Verification{Method: genesys.MethodJWT}, []string{"secret"})
	require.NoError(t, err)
	d := token(t, jwt.SigningMethodHS256, []byte("secret"), nil, goodClaims())
	text := strings.TrimPrefix(d.Header.Get("Authorization"), "Bearer ")
	for value, want := range map[string]error{
		"Bearer " + text:       nil,
		"bearer " + text:       nil, // a scheme is in any case
		"Secret " + text:       genesys.ErrSignatureMalformed,
		"Bearer:" + text:       genesys.ErrSignatureMalformed,
		"Bearer  " + text:      genesys.ErrSignatureMalformed,
		"Bearer " + text + " ": genesys.ErrSignatureMalformed,
		"Bearer ":              genesys.ErrSignatureMalformed,
		"Bearer":               genesys.ErrSignatureMalformed,
		text:                   genesys.ErrSignatureMalformed,
	} {
		d.Header.Set("Authorization", value)
		assert.ErrorIs(t, v.Verify(t.Context(), d), want, "%q", value)
	}
}

// TestTokenOfWhomever: where neither issuer nor audience is asked for, any will do; an end won't go missing.
func TestTokenOfWhomever(t *testing.T) {
	v, err := genesys.NewVerifier(genesys.Verification{Method: genesys.MethodJWT}, []string{"secret"})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		claims
		want error
	}{
		"of an issuer":  {goodClaims(), nil},
		"of nobody":     {with(claims{"iss": nil, "aud": nil}), nil},
		"without claim": {claims{}, genesys.ErrSignatureClaims},
	} {
		assert.ErrorIs(t, v.Verify(t.Context(), token(t, jwt.SigningMethodHS256, []byte("secret"), nil, c.claims)), c.want, name)
	}
}

func TestTokenOfAnIssuer(t *testing.T) {
	key := rsaKey(t)
	v := issuerVerifier(t, issuer(t, jwk(t, key, kid("a"))))
	for name, c := range claimCases() {
		t.Run(name, func(t *testing.T) {
			d := token(t, jwt.SigningMethodRS256, key, "a", c.claims)
			assert.ErrorIs(t, v.Verify(t.Context(), d), c.want)
			d = token(t, jwt.SigningMethodRS256, key, nil, c.claims)
			assert.ErrorIs(t, v.Verify(t.Context(), d), c.want, "not naming its key")
		})
	}
}

// TestTokenByTheIssuersKeys is about who signed: what the tokens say is good.
func TestTokenByTheIssuersKeys(t *testing.T) {
	rsa1, rsa2, forger := rsaKey(t), rsaKey(t), rsaKey(t)
	p256, p384, p521, ed := ecKey(t, elliptic.P256()), ecKey(t, elliptic.P384()), ecKey(t, elliptic.P521()), edKey(t)
	shared := []byte("a key that should be secret, but is published")
	v := issuerVerifier(t, issuer(t,
		jwk(t, rsa1, kid("rsa")), jwk(t, rsa2, map[string]any{"kid": "rs256 only", "alg": "RS256"}),
		jwk(t, p256, kid("p256")), jwk(t, p384, kid("p384")), jwk(t, p521, kid("p521")), jwk(t, ed, kid("ed")),
		map[string]any{"kty": "oct", "kid": "oct", "k": base64.RawURLEncoding.EncodeToString(shared)},
	))
	der, err := x509.MarshalPKIXPublicKey(rsa1.Public())
	require.NoError(t, err)
	public := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
	good := func(method jwt.SigningMethod, key, kid any) *genesys.Delivery {
		return token(t, method, key, kid, goodClaims())
	}
	own := jwt.NewWithClaims(jwt.SigningMethodRS256, jwt.MapClaims(goodClaims()))
	own.Header["jwk"], own.Header["jku"] = jwk(t, forger, kid("own")), issuer(t, jwk(t, forger, kid("own")))
	own.Header["kid"] = "own"

	for name, c := range map[string]struct {
		d    *genesys.Delivery
		want error
	}{
		"RS256": {good(jwt.SigningMethodRS256, rsa1, "rsa"), nil},
		"RS384": {good(jwt.SigningMethodRS384, rsa1, "rsa"), nil},
		"RS512": {good(jwt.SigningMethodRS512, rsa1, "rsa"), nil},
		"PS256": {good(jwt.SigningMethodPS256, rsa1, "rsa"), nil},
		"PS384": {good(jwt.SigningMethodPS384, rsa1, "rsa"), nil},
		"PS512": {good(jwt.SigningMethodPS512, rsa1, "rsa"), nil},
		"ES256": {good(jwt.SigningMethodES256, p256, "p256"), nil},
		"ES384": {good(jwt.SigningMethodES384, p384, "p384"), nil},
		"ES512": {good(jwt.SigningMethodES512, p521, "p521"), nil},
		"EdDSA": {good(jwt.SigningMethodEdDSA, ed, "ed"), nil},

		"no kid, RSA":                      {good(jwt.SigningMethodRS256, rsa1, nil), nil},
		"no kid, EC":                       {good(jwt.SigningMethodES384, p384, nil), nil},
		"no kid, Ed25519":                  {good(jwt.SigningMethodEdDSA, ed, nil), nil},
		"no kid, a forger's":               {good(jwt.SigningMethodRS256, forger, nil), genesys.ErrSignatureMismatch},
		"a forger's, with a known kid":     {good(jwt.SigningMethodRS256, forger, "rsa"), genesys.ErrSignatureMismatch},
		"another key's kid":                {good(jwt.SigningMethodRS256, rsa1, "rs256 only"), genesys.ErrSignatureMismatch},
		"the kid of a key of another kind": {good(jwt.SigningMethodES256, p256, "rsa"), genesys.ErrSignatureMismatch},
		"an unknown kid":                   {good(jwt.SigningMethodRS256, rsa1, "z"), genesys.ErrSignatureMismatch},
		"an empty kid":                     {good(jwt.SigningMethodRS256, rsa1, ""), genesys.ErrSignatureMismatch},
		"a kid that is a number":           {good(jwt.SigningMethodRS256, rsa1, 1), genesys.ErrSignatureMismatch},
		"the key's own algorithm":          {good(jwt.SigningMethodRS256, rsa2, "rs256 only"), nil},
		"not the key's own algorithm":      {good(jwt.SigningMethodPS256, rsa2, "rs256 only"), genesys.ErrSignatureMismatch},
		"the key comes with the token":     {bearing(t, own, forger), genesys.ErrSignatureMismatch},

		"no algorithm":                                 {good(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "rsa"), genesys.ErrSignatureMismatch},
		"no algorithm, no kid":                         {good(jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, nil), genesys.ErrSignatureMismatch},
		"HS256, the public key as the secret":          {good(jwt.SigningMethodHS256, public, "rsa"), genesys.ErrSignatureMismatch},
		"HS256, the modulus as the secret":             {good(jwt.SigningMethodHS256, rsa1.N.Bytes(), nil), genesys.ErrSignatureMismatch},
		"HS256, by a secret that is published":         {good(jwt.SigningMethodHS256, shared, "oct"), genesys.ErrSignatureMismatch},
		"HS512, by the same":                           {good(jwt.SigningMethodHS512, shared, "oct"), genesys.ErrSignatureMismatch},
		"HS256, by a secret that is published, no kid": {good(jwt.SigningMethodHS256, shared, nil), genesys.ErrSignatureMismatch},
	} {
		t.Run(name, func(t *testing.T) { assert.ErrorIs(t, v.Verify(t.Context(), c.d), c.want) })
	}
	theirs := genesys.Verification{Method: genesys.MethodJWT, JWKSURL: "https://issuer"}
	err = theirs.Sign(&genesys.Delivery{Header: http.Header{}}, mustJSON(t, jwk(t, rsa1, nil)))
	assert.ErrorContains(t, err, "only the issuer")
}

func mustJSON(t testing.TB, v any) string {
	t.Helper()
	raw, err := json.Marshal(v)
	require.NoError(t, err)
	return string(raw)
}

// TestTokensOfAReplacedKey: an issuer may put another key in the place of one, even under its name.
func TestTokensOfAReplacedKey(t *testing.T) {
	before, after := rsaKey(t), rsaKey(t)
	for name, id := range map[string]any{"the same kid": "a", "no kid": nil} {
		more := map[string]any{}
		if id != nil {
			more["kid"] = id
		}
		v := issuerVerifier(t, issuer(t, jwk(t, after, more)))
		assert.NoError(t, v.Verify(t.Context(), token(t, jwt.SigningMethodRS256, after, id, goodClaims())), name)
		assert.ErrorIs(t, v.Verify(t.Context(), token(t, jwt.SigningMethodRS256, before, id, goodClaims())), genesys.ErrSignatureMismatch, name)

		v = issuerVerifier(t, issuer(t, jwk(t, before, more)))
		assert.ErrorIs(t, v.Verify(t.Context(), token(t, jwt.SigningMethodRS256, after, id, goodClaims())), genesys.ErrSignatureMismatch, name)
	}
}
