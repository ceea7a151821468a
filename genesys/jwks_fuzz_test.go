package genesys_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
)

// FuzzIssuerKeys: whatever an issuer answers, the keys that are taken from it can be used, and nobody can sign with what is public of them.
func FuzzIssuerKeys(f *testing.F) {
	const x, y = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU", "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"
	for _, set := range []string{
		``, `{}`, `{"keys":null}`, `{"keys":[]}`, `{"keys":[{}]}`, `[]`, `{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}`,
		`{"keys":[{"kty":"RSA","n":"AQAB","e":"AQAB"}]}`,
		`{"keys":[{"kty":"EC","crv":"P-256","x":"` + x + `","y":"` + y + `","use":"sig"}]}`, `{"keys":[{"kty":"EC","crv":"P-256","x":"AA","y":"AA"}]}`,
		`{"keys":[{"kty":"OKP","crv":"Ed25519","x":"` + x + `"},{"kty":"EC","use":"enc"}]}`, `{"keys":["a",1,null]}`,
		`{"keys":[{"kty":"RSA","n":"` + strings.Repeat("A", 400) + `","e":"AQAB"}]}`,
	} {
		f.Add([]byte(set))
	}
	var answer []byte
	issuer := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(answer) }))
	f.Cleanup(issuer.Close)
	f.Fuzz(func(t *testing.T, set []byte) {
		answer = set
		keys, err := genesys.FetchIssuerKeys(t.Context(), issuer.URL)
		if err != nil {
			require.Empty(t, keys)
			return
		}
		require.LessOrEqual(t, len(keys), 64)
		for _, key := range keys {
			verification := genesys.Verification{Method: genesys.MethodJWT, JWKSURL: issuer.URL, Audience: "mesh"}
			v, err := genesys.NewVerifier(verification, []string{key})
			require.NoError(t, err)
			forged := &genesys.Delivery{Header: http.Header{}}
			shared := genesys.Verification{Method: genesys.MethodJWT, Audience: "mesh"}
			require.NoError(t, shared.Sign(forged, key))
			require.Error(t, v.Verify(t.Context(), forged), "a public key is no secret")
		}
	})
}
