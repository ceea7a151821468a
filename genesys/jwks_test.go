package genesys_test

import (
	"context"
	"crypto/elliptic"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/golang-jwt/jwt/v5"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
)

func TestIssuerAnswersWithWhatAreNoKeys(t *testing.T) {
	set := mustJSON(t, map[string]any{"keys": []any{jwk(t, edKey(t), kid("a"))}})
	answer := func(status int, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write([]byte(body))
		}
	}
	forgers := server(t, answer(http.StatusOK, set))
	redirect := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, forgers, status) }
	}
	for name, handler := range map[string]http.HandlerFunc{
		"not found":          answer(http.StatusNotFound, set),
		"out of order":       answer(http.StatusInternalServerError, set),
		"made something":     answer(http.StatusCreated, set),
		"a redirect":         redirect(http.StatusFound),
		"a lasting redirect": redirect(http.StatusPermanentRedirect),
		"a redirect with keys in its body": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", forgers)
			answer(http.StatusFound, set)(w, nil)
		},
		"a web page":      answer(http.StatusOK, "<html>sign in</html>"),
		"nothing":         answer(http.StatusOK, ""),
		"keys and more":   answer(http.StatusOK, set+set),
		"no list of keys": answer(http.StatusOK, `{"keys":{"a":1}}`),
		"half of the keys": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9999")
			_, _ = w.Write([]byte(set))
		},
		"a megabyte and a byte": answer(http.StatusOK, set+strings.Repeat(" ", 1<<20+1-len(set))),
	} {
		t.Run(name, func(t *testing.T) {
			keys, err := genesys.FetchIssuerKeys(t.Context(), server(t, handler))
			require.Error(t, err)
			assert.Empty(t, keys)
		})
	}
	keys, err := genesys.FetchIssuerKeys(t.Context(), server(t, answer(http.StatusOK, set+strings.Repeat(" ", 1<<20-len(set)))))
	require.NoError(t, err, "a megabyte may be")
	assert.Len(t, keys, 1)
}

func TestIssuerThatCannotBeAsked(t *testing.T) {
	away := httptest.NewServer(http.NotFoundHandler())
	away.Close()
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	for name, c := range map[string]struct {
		ctx context.Context
		url string
	}{
		"away":     {t.Context(), away.URL},
		"no URL":   {t.Context(), "https://issuer:port/keys"},
		"the end":  {ended, issuer(t, jwk(t, edKey(t), nil))},
		"no place": {t.Context(), ""},
	} {
		_, err := genesys.FetchIssuerKeys(c.ctx, c.url)
		assert.Error(t, err, name)
	}
}

// TestIssuerThatNeverStopsTalking: what it says is not kept in memory.
func TestIssuerThatNeverStopsTalking(t *testing.T) {
	const much = 64 << 20
	told := make(chan int, 1)
	url := server(t, func(w http.ResponseWriter, _ *http.Request) {
		chunk, n := []byte(strings.Repeat(" ", 1<<20)), 0
		for n < much {
			if _, err := w.Write(chunk); err != nil {
				break
			}
			n += len(chunk)
		}
		told <- n
	})
	_, err := genesys.FetchIssuerKeys(t.Context(), url)
	require.Error(t, err)
	assert.Less(t, <-told, much, "we hung up")
}

// TestKeysOfAnIssuerThatAreNoUse: an issuer has keys for other things, and of kinds that are newer
// than we. They neither verify anything nor keep the others from it.
func TestKeysOfAnIssuerThatAreNoUse(t *testing.T) {
	rsa, ec, ed, encrypts := rsaKey(t), ecKey(t, elliptic.P256()), edKey(t), rsaKey(t)
	url := issuer(t,
		jwk(t, rsa, kid("a")),
		jwk(t, encrypts, map[string]any{"kid": "encrypts", "use": "enc"}),
		map[string]any{"kty": "AKP", "kid": "post-quantum", "alg": "ML-DSA-44", "pub": "AAAA"},
		map[string]any{"kty": "EC", "kid": "another curve", "crv": "secp256k1", "x": "AAAA", "y": "AAAA"},
		map[string]any{"kty": "RSA", "kid": "a", "n": "AQAB", "e": "AQAB"}, // of 17 bits
		map[string]any{"kid": "no kind"}, map[string]any{"kty": "RSA", "kid": "broken", "n": "?"},
		"a text", 5, nil, []string{"a list"},
		jwk(t, ec, map[string]any{"kid": "b"}), jwk(t, ed, nil),
	)
	keys, err := genesys.FetchIssuerKeys(t.Context(), url)
	require.NoError(t, err)
	require.Len(t, keys, 3)
	assert.JSONEq(t, mustJSON(t, jwk(t, rsa, kid("a"))), keys[0])
	assert.JSONEq(t, mustJSON(t, jwk(t, ec, map[string]any{"kid": "b"})), keys[1])
	assert.JSONEq(t, mustJSON(t, jwk(t, ed, nil)), keys[2])

	v := issuerVerifier(t, url)
	assert.NoError(t, v.Verify(t.Context(), token(t, jwt.SigningMethodRS256, rsa, "a", goodClaims())))
	assert.NoError(t, v.Verify(t.Context(), token(t, jwt.SigningMethodES256, ec, "b", goodClaims())))
	assert.NoError(t, v.Verify(t.Context(), token(t, jwt.SigningMethodEdDSA, ed, nil, goodClaims())))
	for _, id := range []any{"encrypts", nil} {
		assert.ErrorIs(t, v.Verify(t.Context(), token(t, jwt.SigningMethodRS256, encrypts, id, goodClaims())), genesys.ErrSignatureMismatch)
	}
}

func TestIssuerWithManyKeys(t *testing.T) {
	several := func(n int) []any {
		key := jwk(t, edKey(t), nil)
		all := make([]any, n)
		for i := range all {
			one := map[string]any{"kid": fmt.Sprint(i)}
			for name, value := range key {
				one[name] = value
			}
			all[i] = one
		}
		return all
	}
	keys, err := genesys.FetchIssuerKeys(t.Context(), issuer(t, several(64)...))
	require.NoError(t, err)
	assert.Len(t, keys, 64)
	_, err = genesys.FetchIssuerKeys(t.Context(), issuer(t, several(65)...))
	assert.Error(t, err, "each delivery would be tried with each of them")
	keys, err = genesys.FetchIssuerKeys(t.Context(), issuer(t))
	require.NoError(t, err)
	assert.Empty(t, keys)
}
