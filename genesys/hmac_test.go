package genesys_test

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"

	"github.com/genmesh/genmesh/genesys"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// vector is a signature that another implementation made: Python's hmac; openssl agrees.
type vector struct {
	Name, Secret, Signature string
	Body                    []byte
}

func vectors(t testing.TB) []vector {
	raw, err := os.ReadFile("testdata/signatures.json")
	require.NoError(t, err)
	var all []vector
	require.NoError(t, json.Unmarshal(raw, &all))
	require.NotEmpty(t, all)
	return all
}

// hexVerifier verifies what Genesys Cloud's own webhooks carry.
type hexVerifier struct{ *genesys.Verifier }

func newVerifier(t testing.TB, secrets ...string) hexVerifier {
	v, err := genesys.NewVerifier(genesys.Verification{Header: "X-Genesys-Signature"}, secrets)
	require.NoError(t, err)
	return hexVerifier{v}
}

// Verify verifies a body whose signature header has the given lines.
func (v hexVerifier) Verify(values []string, body []byte) error {
	d := genesys.Delivery{Header: http.Header{"X-Genesys-Signature": values}, Body: body}
	if values == nil {
		d.Header = http.Header{}
	}
	return v.Verifier.Verify(context.Background(), &d)
}

func TestSignaturesOfOtherImplementations(t *testing.T) {
	for _, c := range vectors(t) {
		t.Run(c.Name, func(t *testing.T) {
			assert.Equal(t, c.Signature, genesys.Sign(c.Secret, c.Body))
			v := newVerifier(t, c.Secret)
			assert.NoError(t, v.Verify([]string{c.Signature}, c.Body))
			assert.ErrorIs(t, v.Verify([]string{c.Signature}, append(c.Body, ' ')), genesys.ErrSignatureMismatch)
		})
	}
}

func TestVerify(t *testing.T) {
	body := []byte(`{"id":"1","name":"Zoë"}`)
	good := genesys.Sign("current", body)
	raw, err := hex.DecodeString(good)
	require.NoError(t, err)
	plain := sha256.Sum256(body)

	cases := []struct {
		name   string
		values []string
		want   error
	}{
		{"good", []string{good}, nil},
		{"upper case", []string{strings.ToUpper(good)}, nil},
		{"prefixed", []string{"sha256=" + good}, nil},
		{"the secret before", []string{genesys.Sign("previous", body)}, nil},
		{"no header", nil, genesys.ErrSignatureMissing},
		{"two lines, the first right", []string{good, strings.Repeat("0", 64)}, genesys.ErrSignatureSeveral},
		{"two lines, the second right", []string{strings.Repeat("0", 64), good}, genesys.ErrSignatureSeveral},
		{"two lines, both right", []string{good, good}, genesys.ErrSignatureSeveral},
		{"empty", []string{""}, genesys.ErrSignatureMalformed},
		{"prefix alone", []string{"sha256="}, genesys.ErrSignatureMalformed},
		{"prefix twice", []string{"sha256=sha256=" + good}, genesys.ErrSignatureMalformed},
		{"another prefix", []string{"sha1=" + good}, genesys.ErrSignatureMalformed},
		{"truncated", []string{good[:62]}, genesys.ErrSignatureMalformed},
		{"odd length", []string{good[:63]}, genesys.ErrSignatureMalformed},
		{"longer", []string{good + "00"}, genesys.ErrSignatureMalformed},
		{"no hex", []string{strings.Repeat("zz", 32)}, genesys.ErrSignatureMalformed},
		{"base64", []string{base64.StdEncoding.EncodeToString(raw)}, genesys.ErrSignatureMalformed},
		{"hex of hex", []string{hex.EncodeToString([]byte(good))}, genesys.ErrSignatureMalformed},
		{"two in one line", []string{good + "," + good}, genesys.ErrSignatureMalformed},
		{"another secret", []string{genesys.Sign("other", body)}, genesys.ErrSignatureMismatch},
		{"a re-encoded body", []string{genesys.Sign("current", []byte(`{"id":"1","name":"Zo\u00eb"}`))}, genesys.ErrSignatureMismatch},
		{"hash without a key", []string{hex.EncodeToString(plain[:])}, genesys.ErrSignatureMismatch},
	}
	v := newVerifier(t, "current", "previous")
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			if c.want == nil {
				assert.NoError(t, v.Verify(c.values, body))
				return
			}
			assert.ErrorIs(t, v.Verify(c.values, body), c.want)
		})
	}
}

func TestRetiredSecretVerifiesNothing(t *testing.T) {
	body := []byte("{}")
	v := newVerifier(t, "current")
	assert.ErrorIs(t, v.Verify([]string{genesys.Sign("previous", body)}, body), genesys.ErrSignatureMismatch)
}

func TestVerifierNeedsRealSecrets(t *testing.T) {
	for name, secrets := range map[string][]string{
		"none": nil, "empty": {""}, "blank": {" \t\n"}, "one of two empty": {"good", ""},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := genesys.NewVerifier(genesys.Verification{Header: "X-Genesys-Signature"}, secrets)
			require.Error(t, err)
			assert.NotContains(t, err.Error(), "good", "an error never shows a secret")
		})
	}
}

func TestVerifyConcurrently(t *testing.T) {
	v := newVerifier(t, "a", "b")
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			body := []byte(strings.Repeat("x", i*100))
			good, bad := genesys.Sign("b", body), genesys.Sign("c", body)
			for range 100 {
				assert.NoError(t, v.Verify([]string{good}, body))
				assert.Error(t, v.Verify([]string{bad}, body))
			}
		})
	}
	all.Wait()
}

func FuzzVerify(f *testing.F) {
	for _, c := range vectors(f) {
		f.Add(c.Signature, c.Body)
		f.Add("sha256="+c.Signature, c.Body)
	}
	const secret = "whsec_seed_0123456789abcdef"
	v := newVerifier(f, "another", secret)
	f.Fuzz(func(t *testing.T, value string, body []byte) {
		err := v.Verify([]string{value}, body)
		good := genesys.Sign(secret, body)
		sent := strings.ToLower(strings.TrimPrefix(value, "sha256="))
		genuine := sent == good || sent == genesys.Sign("another", body)
		assert.Equal(t, genuine, err == nil)
		var reason genesys.SignatureError
		assert.True(t, err == nil || errors.As(err, &reason))
		assert.NoError(t, v.Verify([]string{good}, body))
	})
}

func BenchmarkVerify(b *testing.B) {
	body := []byte(strings.Repeat("x", 1024))
	v := newVerifier(b, "current", "previous")
	d := genesys.Delivery{Header: http.Header{"X-Genesys-Signature": {genesys.Sign("current", body)}}, Body: body}
	b.ReportAllocs()
	for b.Loop() {
		if err := v.Verifier.Verify(b.Context(), &d); err != nil {
			b.Fatal(err)
		}
	}
}
