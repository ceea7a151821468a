package genesys_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
)

func TestStaticKey(t *testing.T) {
	type want map[string]error // by what the header says
	for _, c := range []struct {
		genesys.Verification
		keys []string
		want want
	}{
		{genesys.Verification{Method: genesys.MethodBasic}, []string{"mesh:current", "mesh:previous"}, want{
			"Basic bWVzaDpjdXJyZW50":     nil,
			"Basic bWVzaDpwcmV2aW91cw==": nil,
			"basic bWVzaDpjdXJyZW50":     nil, // a scheme is in any case
			"Magic bWVzaDpjdXJyZW50":     genesys.ErrSignatureMalformed,
			"BearerbWVzaDpjdXJyZW50":     genesys.ErrSignatureMalformed,
			"bWVzaDpjdXJyZW50":           genesys.ErrSignatureMalformed,
			"Basic":                      genesys.ErrSignatureMalformed,
			"Basic ":                     genesys.ErrSignatureMismatch,
			"Basic mesh:current":         genesys.ErrSignatureMismatch,
			"Basic BWVZADPJDXJYZW50":     genesys.ErrSignatureMismatch,
			"Basic bWVzaDpwcmV2aW91cw":   genesys.ErrSignatureMismatch,
			"Basic bWVzaDpwcmV2aW91cx==": genesys.ErrSignatureMismatch, // a loose bit
			"Basic bWVzaDpmb3JnZXI=":     genesys.ErrSignatureMismatch,
		}},
		{genesys.Verification{Method: genesys.MethodBearer}, []string{"current", "previous"}, want{
			"Bearer current":  nil,
			"Bearer previous": nil,
			"BEARER current":  nil,
			"Secret current":  genesys.ErrSignatureMalformed,
			"Bearer:current":  genesys.ErrSignatureMalformed,
			"current":         genesys.ErrSignatureMalformed,
			"Bearer":          genesys.ErrSignatureMalformed,
			"Bearer ":         genesys.ErrSignatureMismatch,
			"Bearer  current": genesys.ErrSignatureMismatch,
			"Bearer Current":  genesys.ErrSignatureMismatch,
			"Bearer curren":   genesys.ErrSignatureMismatch,
			"Bearer currentx": genesys.ErrSignatureMismatch,
		}},
		{genesys.Verification{Method: genesys.MethodHeader, Header: "authorization"}, []string{"current", "previous"}, want{
			"current":         nil,
			"previous":        nil,
			"":                genesys.ErrSignatureMismatch,
			"Current":         genesys.ErrSignatureMismatch,
			"current ":        genesys.ErrSignatureMismatch,
			"current,current": genesys.ErrSignatureMismatch,
			"Bearer current":  genesys.ErrSignatureMismatch,
		}},
	} {
		v, err := genesys.NewVerifier(c.Verification, c.keys)
		require.NoError(t, err)
		for value, want := range c.want {
			d := &genesys.Delivery{Header: http.Header{"Authorization": {value}}}
			assert.ErrorIs(t, v.Verify(t.Context(), d), want, "%s: %q", c.Method, value)
		}
	}
}
