package genesys_test

import (
	"errors"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
)

// FuzzMessageSignature: whatever the three headers say that are read before a signature is checked, nobody without the key is believed, and
// no nonce is longer than what is kept of it.
func FuzzMessageSignature(f *testing.F) {
	for _, c := range [][3]string{
		{`sig1=("@method" "@path" "content-digest");created=1;nonce="n"`, `sig1=:AAAA:`, `sha-256=:AAAA:`},
		{`sig1=();created=1`, `sig1=::`, ``},
		{`a=("x";req), b=("@query");expires=1`, `a=:AA==:, b=:AA==:`, `md5=:AA==:`},
		{`sig1=("a" "a")`, `sig1="x"`, `sha-512=1`}, {`sig1=?1;nonce=:AA==:`, `sig1`, `=`},
	} {
		f.Add(c[0], c[1], c[2], []byte(`{}`))
	}
	v, err := genesys.NewVerifier(genesys.Verification{Method: genesys.MethodMessageSignature}, []string{"c2VjcmV0", "b3RoZXI="})
	require.NoError(f, err)
	f.Fuzz(func(t *testing.T, input, signature, digest string, body []byte) {
		d := &genesys.Delivery{Method: "POST", Host: "x", URI: "/y?z", Body: body, Received: time.Unix(1, 0), Header: http.Header{
			"Signature-Input": {input}, "Signature": {signature}, "Content-Digest": {digest},
		}}
		err := v.Verify(t.Context(), d)
		_, refused := errors.AsType[genesys.SignatureError](err)
		require.True(t, refused, "%v", err)
		require.LessOrEqual(t, len(genesys.MessageSignatureNonce(d.Header)), 256)
	})
}
