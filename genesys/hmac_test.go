package genesys_test

import (
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
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

func TestPrefixOfASignature(t *testing.T) {
	body := []byte("{}")
	good := genesys.Sign("key", body)
	v, err := genesys.NewVerifier(genesys.Verification{Header: "X-Sig", Prefix: "v0="}, []string{"key"})
	require.NoError(t, err)
	for name, c := range map[string]struct {
		text string
		want error
	}{
		"the prefix":         {"v0=" + good, nil},
		"none":               {good, genesys.ErrSignatureMalformed},
		"another":            {"v1=" + good, genesys.ErrSignatureMalformed},
		"that of others":     {"sha256=" + good, genesys.ErrSignatureMalformed},
		"both":               {"v0=sha256=" + good, genesys.ErrSignatureMalformed},
		"in capitals":        {"V0=" + good, genesys.ErrSignatureMalformed},
		"twice":              {"v0=v0=" + good, genesys.ErrSignatureMalformed},
		"after a blank":      {" v0=" + good, genesys.ErrSignatureMalformed},
		"after a signature":  {good + "v0=", genesys.ErrSignatureMalformed},
		"of another's bytes": {"v0=" + genesys.Sign("other", body), genesys.ErrSignatureMismatch},
	} {
		d := &genesys.Delivery{Header: http.Header{"X-Sig": {c.text}}, Body: body}
		assert.ErrorIs(t, v.Verify(t.Context(), d), c.want, name)
	}
}

// TestSignedTime: the time is signed as it is written.
func TestSignedTime(t *testing.T) {
	v, err := genesys.NewVerifier(genesys.Verification{Header: "X-Sig", Signed: "{timestamp}.{body}", TimestampHeader: "X-Time"}, []string{"key"})
	require.NoError(t, err)
	seconds, millis := fmt.Sprint(now.Unix()), fmt.Sprint(now.UnixMilli())
	for name, c := range map[string]struct {
		signed string
		lines  []string
		want   error
	}{
		"seconds":                           {seconds, []string{seconds}, nil},
		"milliseconds":                      {millis, []string{millis}, nil},
		"RFC 3339":                          {"2026-01-01T01:00:00.5+01:00", []string{"2026-01-01T01:00:00.5+01:00"}, nil},
		"four minutes early":                {"2025-12-31T23:56:00Z", []string{"2025-12-31T23:56:00Z"}, nil},
		"six minutes early":                 {"2025-12-31T23:54:00Z", []string{"2025-12-31T23:54:00Z"}, genesys.ErrSignatureExpired},
		"six minutes late":                  {"2026-01-01T00:06:00Z", []string{"2026-01-01T00:06:00Z"}, genesys.ErrSignatureExpired},
		"the same time written differently": {seconds, []string{millis}, genesys.ErrSignatureMismatch},
		"none":                              {seconds, nil, genesys.ErrSignatureMissing},
		"two lines, the first right":        {seconds, []string{seconds, "0"}, genesys.ErrSignatureSeveral},
		"two lines, the second right":       {seconds, []string{"0", seconds}, genesys.ErrSignatureSeveral},
		"two lines, both right":             {seconds, []string{seconds, seconds}, genesys.ErrSignatureSeveral},
		"empty":                             {"", []string{""}, genesys.ErrSignatureMalformed},
		"before 1970":                       {"-1", []string{"-1"}, genesys.ErrSignatureMalformed},
		"in words":                          {"now", []string{"now"}, genesys.ErrSignatureMalformed},
	} {
		t.Run(name, func(t *testing.T) {
			body := []byte("{}")
			d := &genesys.Delivery{Body: body, Received: now, Header: http.Header{
				"X-Sig": {genesys.Sign("key", append([]byte(c.signed+"."), body...))}, "X-Time": c.lines,
			}}
			assert.ErrorIs(t, v.Verify(t.Context(), d), c.want)
		})
	}
}

// TestBase64Signature: only the text that encodes the bytes is a signature, so that nobody can make
// another of it that verifies, too.
func TestBase64Signature(t *testing.T) {
	body := []byte(`{"id":"7"}`)
	for algorithm, hash := range map[string]func() hash.Hash{"sha1": sha1.New, "sha256": sha256.New, "sha512": sha512.New} {
		mac := hmac.New(hash, []byte("key"))
		mac.Write(body)
		for encoding, padded := range map[string]*base64.Encoding{"base64": base64.StdEncoding, "base64url": base64.URLEncoding} {
			v, err := genesys.NewVerifier(genesys.Verification{Header: "X-Sig", Algorithm: algorithm, Encodings: []string{encoding}}, []string{"key"})
			require.NoError(t, err)
			good := padded.EncodeToString(mac.Sum(nil))
			bare := strings.TrimRight(good, "=")
			padding := good[len(bare):]
			for name, c := range map[string]struct {
				text string
				want error
			}{
				"padded":                 {good, nil},
				"not padded":             {bare, nil},
				"a loose bit":            {looseBit(bare), genesys.ErrSignatureMalformed},
				"a loose bit and padded": {looseBit(bare) + padding, genesys.ErrSignatureMalformed},
				"too much padding":       {good + "=", genesys.ErrSignatureMalformed},
				"a line break":           {bare + strings.Repeat("\n", len(padding)), genesys.ErrSignatureMalformed},
				"hex":                    {hex.EncodeToString(mac.Sum(nil)), genesys.ErrSignatureMalformed},
				"another first letter":   {otherFirst(good), genesys.ErrSignatureMismatch},
			} {
				d := &genesys.Delivery{Header: http.Header{"X-Sig": {c.text}}, Body: body}
				assert.ErrorIs(t, v.Verify(t.Context(), d), c.want, "%s in %s: %s", algorithm, encoding, name)
			}
		}
	}
}

// looseBit sets a bit at the end of base64, its padding taken off, that stands for nothing.
func looseBit(text string) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/A"
	last := len(text) - 1
	return text[:last] + letters[strings.IndexByte(letters, text[last])+1:][:1]
}

func otherFirst(text string) string {
	if text[0] == 'A' {
		return "B" + text[1:]
	}
	return "A" + text[1:]
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
