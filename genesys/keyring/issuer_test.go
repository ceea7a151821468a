package keyring_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/genesys/keyring"
)

// issuer makes tokens, and serves the keys that they are verified by over HTTP.
type issuer struct {
	url   string
	now   atomic.Pointer[http.HandlerFunc]
	asked atomic.Int64
}

// newIssuer is called outside of the bubble, for a server in it would never be idle, and time would
// not pass; so connections end with their answer, too.
func newIssuer(t *testing.T) *issuer {
	i := &issuer{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		i.asked.Add(1)
		(*i.now.Load())(w, r)
	}))
	s.Config.SetKeepAlivesEnabled(false)
	s.Start()
	t.Cleanup(s.Close)
	i.url = s.URL
	return i
}

func (i *issuer) answers(handler http.HandlerFunc) { i.now.Store(&handler) }

func (i *issuer) has(keys ...tokenKey) {
	set := map[string][]any{"keys": {}}
	for _, key := range keys {
		set["keys"] = append(set["keys"], key.public())
	}
	i.answers(func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(set) })
}

type tokenKey struct {
	*ecdsa.PrivateKey
	kid string
}

func newTokenKey(t *testing.T, kid string) tokenKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	return tokenKey{key, kid}
}

func (k tokenKey) public() map[string]string {
	point, _ := k.PublicKey.Bytes() // of P-256 it is 4, x, y
	b64 := base64.RawURLEncoding.EncodeToString
	set := map[string]string{"kty": "EC", "crv": "P-256", "x": b64(point[1:33]), "y": b64(point[33:])}
	if k.kid != "" {
		set["kid"] = k.kid
	}
	return set
}

// token is a delivery of now.
func (k tokenKey) token(t *testing.T) *genesys.Delivery {
	t.Helper()
	token := jwt.NewWithClaims(jwt.SigningMethodES256, jwt.MapClaims{"exp": time.Now().Add(5 * time.Minute).Unix()})
	if k.kid != "" {
		token.Header["kid"] = k.kid
	}
	text, err := token.SignedString(k.PrivateKey)
	require.NoError(t, err)
	return &genesys.Delivery{Header: http.Header{"Authorization": {"Bearer " + text}}, Body: []byte("{}"), Received: time.Now()}
}

// issuerRing is a keyring of an issuer's keys.
type issuerRing struct {
	*keyring.Keyring
	*testing.T
}

func newIssuerRing(t *testing.T, i *issuer, overlap time.Duration) issuerRing {
	t.Helper()
	log := logrus.New()
	log.SetOutput(io.Discard)
	k, err := keyring.New(keyring.Options{
		Source: "aws", Logger: log, Overlap: overlap,
		Fetch: func(ctx context.Context) ([]string, error) { return genesys.FetchIssuerKeys(ctx, i.url) },
		Verifier: func(keys []string) (*genesys.Verifier, error) {
			return genesys.NewVerifier(genesys.Verification{Method: genesys.MethodJWT, JWKSURL: i.url}, keys)
		},
	})
	require.NoError(t, err)
	return issuerRing{k, t}
}

func (r issuerRing) takes(key tokenKey, why string) {
	r.Helper()
	require.NoError(r, r.Verify(r.Context(), key.token(r.T)), why)
}

func (r issuerRing) refuses(key tokenKey, why string) {
	r.Helper()
	require.ErrorIs(r, r.Verify(r.Context(), key.token(r.T)), genesys.ErrSignatureMismatch, why)
}

// asksAgain: the delivery is neither taken nor refused.
func (r issuerRing) asksAgain(key tokenKey, why string) {
	r.Helper()
	err := r.Verify(r.Context(), key.token(r.T))
	unconfirmed, ok := errors.AsType[*keyring.Unconfirmed](err)
	require.True(r, ok, "%s: %v", why, err)
	assert.Positive(r, unconfirmed.RetryAfter(), why)
	assert.LessOrEqual(r, unconfirmed.RetryAfter(), time.Minute, why)
	_, refused := errors.AsType[genesys.SignatureError](err)
	assert.False(r, refused, "%s: %v", why, err)
}

// TestIssuerRotatesItsKeys goes with an issuer whose keys have names, have none, or keep the name when
// they are replaced.
func TestIssuerRotatesItsKeys(t *testing.T) {
	for name, kids := range map[string][3]string{
		"with another kid": {"a", "b", "z"}, "under the same kid": {"a", "a", "a"}, "without a kid": {},
	} {
		t.Run(name, func(t *testing.T) {
			i := newIssuer(t)
			first, second, forgers := newTokenKey(t, kids[0]), newTokenKey(t, kids[1]), newTokenKey(t, kids[2])
			i.has(first)
			synctest.Test(t, func(t *testing.T) {
				r := newIssuerRing(t, i, 0)
				r.takes(first, "the keys are fetched for it")
				r.takes(first, "and kept")
				require.Equal(t, int64(1), i.asked.Load())

				pass(time.Minute)
				i.has(second)
				r.takes(first, "nobody knows of the rotation")
				r.takes(second, "the first token by the new key is lost no more than any other")
				require.Equal(t, int64(2), i.asked.Load(), "one fetch found it")
				for range 50 {
					r.asksAgain(forgers, "less than a minute after a fetch")
				}
				r.asksAgain(first, "the same: it could be a newer key's")
				require.Equal(t, int64(2), i.asked.Load(), "one fetch a minute, however many forgeries come")

				pass(time.Minute)
				r.refuses(first, "the issuer was asked since the token came: the key is retired")
				require.Equal(t, int64(3), i.asked.Load())
				pass(time.Minute)
				r.refuses(forgers, "the issuer never had it")
				r.takes(second, "all the time")
				require.Equal(t, int64(4), i.asked.Load())
				assert.Equal(t, 1, r.State().Current)
				assert.Zero(t, r.State().Previous)
			})
		})
	}
}

// TestNewKeyOfAnIssuerOverlapsTheOld: tokens that were made before the rotation are still on their way.
func TestNewKeyOfAnIssuerOverlapsTheOld(t *testing.T) {
	i, first, second := newIssuer(t), newTokenKey(t, "a"), newTokenKey(t, "b")
	i.has(first)
	synctest.Test(t, func(t *testing.T) {
		r := newIssuerRing(t, i, time.Hour)
		r.takes(first, "the keys are fetched for it")
		pass(time.Minute)
		i.has(second)
		r.takes(second, "the new one")
		r.takes(first, "and the old one")
		pass(time.Hour)
		r.Refresh()
		r.refuses(first, "its time is over")
		r.takes(second, "still")
	})
}

// TestNewKeyUnderTheSameKid: the key before overlaps, but is not found in the place of the new one.
func TestNewKeyUnderTheSameKid(t *testing.T) {
	i, first, second := newIssuer(t), newTokenKey(t, "a"), newTokenKey(t, "a")
	i.has(first)
	synctest.Test(t, func(t *testing.T) {
		r := newIssuerRing(t, i, time.Hour)
		r.takes(first, "the keys are fetched for it")
		pass(time.Minute)
		i.has(second)
		r.takes(second, "the first token by the new key")
		pass(time.Hour)
		r.takes(second, "and later ones")
	})
}

// TestIssuerInTroubleTurnsNothingAway: what an issuer says that is not well is no reason to refuse a
// token for good, nor to forget the keys that it had.
func TestIssuerInTroubleTurnsNothingAway(t *testing.T) {
	i, elsewhere := newIssuer(t), newIssuer(t)
	known, rotated, forgers := newTokenKey(t, "a"), newTokenKey(t, "b"), newTokenKey(t, "c")
	i.has(known)
	elsewhere.has(forgers)
	synctest.Test(t, func(t *testing.T) {
		r := newIssuerRing(t, i, 0)
		r.takes(known, "the keys are fetched for it")
		for name, trouble := range map[string]http.HandlerFunc{
			"out of order":          func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
			"it hangs up":           func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
			"a web page":            func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "<html>sign in</html>") },
			"no keys":               func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[]}`) },
			"the keys of a forger":  func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.url, http.StatusFound) },
			"no keys that we know":  func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, `{"keys":[{"kty":"AKP"}]}`) },
			"no end of keys to try": func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(manyKeys(known)) },
		} {
			pass(time.Minute)
			i.answers(trouble)
			before := i.asked.Load()
			r.asksAgain(rotated, name)
			r.asksAgain(rotated, name)
			r.asksAgain(forgers, name)
			assert.Equal(t, before+1, i.asked.Load(), name)
			assert.Error(t, r.State().Failure, name)
			r.takes(known, name)
		}
		pass(time.Minute)
		i.has(rotated)
		r.takes(rotated, "it was asked to come again, and is not lost")
		assert.NoError(t, r.State().Failure)
		assert.Zero(t, elsewhere.asked.Load(), "nobody else is asked for keys")
	})
}

// manyKeys is a set of one key too many.
func manyKeys(key tokenKey) map[string]any {
	all := make([]any, 65)
	for i := range all {
		all[i] = key.public()
	}
	return map[string]any{"keys": all}
}
