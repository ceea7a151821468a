package genesys_test

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
)

var now = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// method is one way to verify, with two keys that fit it.
type method struct {
	name string
	genesys.Verification
	current, previous, other string
	// timed methods sign a time, bodied ones the body.
	timed, bodied bool
	// proof is the header that carries the signature or key.
	proof string
}

func methods() []method {
	text := func(m method) method {
		m.current, m.previous, m.other = "the current key", "the previous key", "a forger's key"
		return m
	}
	encoded := func(m method) method {
		m = text(m)
		for _, key := range []*string{&m.current, &m.previous, &m.other} {
			*key = base64.StdEncoding.EncodeToString([]byte(*key))
		}
		return m
	}
	hmac := func(name string, v genesys.Verification) method {
		v.Method, v.Header = genesys.MethodHMAC, "X-Sig"
		return text(method{name: name, Verification: v, timed: v.TimestampHeader != "", bodied: true, proof: "X-Sig"})
	}
	basic := method{name: "basic", Verification: genesys.Verification{Method: genesys.MethodBasic}, proof: "Authorization"}
	basic.current, basic.previous, basic.other = "mesh:current", "mesh:previous", "mesh:other"
	return []method{
		hmac("hmac", genesys.Verification{}),
		hmac("hmac sha512", genesys.Verification{Algorithm: "sha512"}),
		hmac("hmac sha1", genesys.Verification{Algorithm: "sha1", Prefix: "sha1="}),
		hmac("hmac base64", genesys.Verification{Encodings: []string{"base64"}, Prefix: "sha256="}),
		hmac("hmac base64url", genesys.Verification{Encodings: []string{"base64url"}}),
		hmac("hmac timed", genesys.Verification{Signed: "{timestamp}.{body}", TimestampHeader: "X-Time"}),
		encoded(method{name: "standard-webhooks", Verification: genesys.Verification{Method: genesys.MethodStandardWebhooks},
			timed: true, bodied: true, proof: "Webhook-Signature"}),
		encoded(method{name: "http-message-signature",
			Verification: genesys.Verification{Method: genesys.MethodMessageSignature, Components: []string{"@authority"}},
			timed:        true, bodied: true, proof: "Signature"}),
		text(method{name: "header", Verification: genesys.Verification{Method: genesys.MethodHeader, Header: "X-Api-Key"}, proof: "X-Api-Key"}),
		basic,
		text(method{name: "bearer", Verification: genesys.Verification{Method: genesys.MethodBearer}, proof: "Authorization"}),
		text(method{name: "jwt", Verification: genesys.Verification{Method: genesys.MethodJWT, Issuer: "aws", Audience: "mesh"}, proof: "Authorization"}),
	}
}

// delivery is a signed one. Tokens are judged by the clock, so the time is now.
func (m method) delivery(t testing.TB, key string) *genesys.Delivery {
	t.Helper()
	d := &genesys.Delivery{
		Method: http.MethodPost, Host: "mesh.example.com", URI: "/webhooks/x?y=1", Header: http.Header{},
		Body: []byte(`{"id":"1","name":"Zoë","data":{"id":"42"}}`), Received: time.Now(),
	}
	require.NoError(t, m.Sign(d, key))
	return d
}

func (m method) change(d *genesys.Delivery, edit func(string) string) {
	d.Header.Set(m.proof, edit(d.Header.Get(m.proof)))
}

// TestEveryMethodRefusesWhatItShould is the conformance suite of all ways to verify.
func TestEveryMethodRefusesWhatItShould(t *testing.T) {
	for _, m := range methods() {
		v, err := genesys.NewVerifier(m.Verification, []string{m.current, m.previous})
		require.NoError(t, err, m.name)
		good := func() *genesys.Delivery { return m.delivery(t, m.current) }
		for name, c := range map[string]struct {
			applies bool
			d       func() *genesys.Delivery
			want    error // nil: verified; errAny: refused for whatever reason
		}{
			"good":                {true, good, nil},
			"the key before":      {true, func() *genesys.Delivery { return m.delivery(t, m.previous) }, nil},
			"a key of nobody's":   {true, func() *genesys.Delivery { return m.delivery(t, m.other) }, genesys.ErrSignatureMismatch},
			"sent a minute later": {true, m.later(good, time.Minute), nil},
			"replayed much later": {m.timed, m.later(good, time.Hour), genesys.ErrSignatureExpired},
			"from the future":     {m.timed, m.later(good, -time.Hour), genesys.ErrSignatureExpired},
			"no header":           {true, m.without(good), genesys.ErrSignatureMissing},
			"two lines":           {true, m.twice(good), genesys.ErrSignatureSeveral},
			"empty":               {true, m.edited(good, func(string) string { return "" }), errAny},
			"truncated":           {true, m.edited(good, func(s string) string { return s[:len(s)-2] }), errAny},
			"longer":              {true, m.edited(good, func(s string) string { return s + "00" }), errAny},
			"a blank in it":       {true, m.edited(good, func(s string) string { return s[:len(s)-5] + " " + s[len(s)-5:] }), errAny},
			"one character off":   {true, m.edited(good, flipMiddle), errAny},
			"not ASCII":           {true, m.edited(good, func(s string) string { return s + "ä" }), errAny},
			"very long":           {true, m.edited(good, func(s string) string { return strings.Repeat(s, 1000) }), errAny},
			"body changed":        {m.bodied, m.body(good, func(b string) string { return strings.Replace(b, "42", "43", 1) }), genesys.ErrSignatureMismatch},
			"body re-encoded":     {m.bodied, m.body(good, func(b string) string { return strings.Replace(b, "ë", `\u00eb`, 1) }), genesys.ErrSignatureMismatch},
			"body with a blank":   {m.bodied, m.body(good, func(b string) string { return b + " " }), genesys.ErrSignatureMismatch},
			"body cut":            {m.bodied, m.body(good, func(b string) string { return b[:len(b)-1] }), genesys.ErrSignatureMismatch},
		} {
			if !c.applies {
				continue
			}
			t.Run(m.name+"/"+name, func(t *testing.T) {
				err := v.Verify(t.Context(), c.d())
				reason, refused := errors.AsType[genesys.SignatureError](err)
				assert.True(t, err == nil || refused, "an error of the closed set: %v", err)
				switch c.want {
				case nil:
					assert.NoError(t, err)
				case errAny:
					assert.Error(t, err)
				default:
					assert.Equal(t, c.want, reason)
				}
			})
		}
	}
}

var errAny = errors.New("any")

func flipMiddle(s string) string {
	b := []byte(s)
	i := len(b) / 2
	if b[i] == 'A' || b[i] == 'a' { // hex in either case is the same
		b[i] = 'B'
	} else {
		b[i] = 'A'
	}
	return string(b)
}

type maker = func() *genesys.Delivery

func (m method) edited(from maker, edit func(string) string) maker {
	return func() *genesys.Delivery {
		d := from()
		m.change(d, edit)
		return d
	}
}

func (m method) body(from maker, edit func(string) string) maker {
	return func() *genesys.Delivery {
		d := from()
		d.Body = []byte(edit(string(d.Body)))
		return d
	}
}

func (m method) later(from maker, by time.Duration) maker {
	return func() *genesys.Delivery {
		d := from()
		d.Received = d.Received.Add(by)
		return d
	}
}

func (m method) without(from maker) maker {
	return func() *genesys.Delivery {
		d := from()
		d.Header.Del(m.proof)
		return d
	}
}

func (m method) twice(from maker) maker {
	return func() *genesys.Delivery {
		d := from()
		d.Header.Add(m.proof, d.Header.Get(m.proof))
		return d
	}
}

// TestDeliveriesOfAnotherImplementation verifies, or refuses, what testdata/verifications.py made.
func TestDeliveriesOfAnotherImplementation(t *testing.T) {
	raw, err := os.ReadFile("testdata/verifications.json")
	require.NoError(t, err)
	var all []struct {
		Name, Method, Header, Algorithm, Prefix, Signed, Key, Issuer, Audience string
		TimestampHeader                                                        string `json:"timestamp_header"`
		Encodings                                                              []string
		Headers                                                                map[string]string
		Body                                                                   []byte
		Received                                                               int64
		Want                                                                   genesys.SignatureError // "": verified
	}
	require.NoError(t, json.Unmarshal(raw, &all))
	require.Greater(t, len(all), 90)
	for i, c := range all {
		verification := genesys.Verification{
			Method: genesys.Method(c.Method), Header: c.Header, Algorithm: c.Algorithm, Prefix: c.Prefix, Signed: c.Signed,
			TimestampHeader: c.TimestampHeader, Encodings: c.Encodings, Issuer: c.Issuer, Audience: c.Audience,
		}
		v, err := genesys.NewVerifier(verification, []string{c.Key})
		require.NoError(t, err, c.Name)
		d := &genesys.Delivery{
			Method: http.MethodPost, Host: "Mesh.Example.com:443", URI: "/hook", Header: http.Header{}, Body: c.Body,
			Received: time.Unix(c.Received, 0).Add(time.Minute),
		}
		for name, value := range c.Headers {
			d.Header.Set(name, value)
		}
		if c.Want != "" {
			assert.ErrorIs(t, v.Verify(t.Context(), d), c.Want, "%s (%d)", c.Name, i)
			continue
		}
		assert.NoError(t, v.Verify(t.Context(), d), "%s (%d)", c.Name, i)
		d.Body = append(bytes.Clone(d.Body), '.')
		switch verification.Method {
		case genesys.MethodHeader, genesys.MethodBasic, genesys.MethodBearer, genesys.MethodJWT:
			assert.NoError(t, v.Verify(t.Context(), d), "%s with another body: it is not signed", c.Name)
		default:
			assert.Equal(t, genesys.ErrSignatureMismatch, v.Verify(t.Context(), d), "%s with another body", c.Name)
		}
	}
}

func TestStandardWebhooksAgreesWithItsOwnLibrary(t *testing.T) {
	const key = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
	library, err := webhooks.NewWebhook(key)
	require.NoError(t, err)
	v, err := genesys.NewVerifier(genesys.Verification{Method: genesys.MethodStandardWebhooks}, []string{key})
	require.NoError(t, err)
	body, at := []byte(`{"test": 2432232314}`), time.Now()

	theirs, err := library.Sign("msg_p5jXN8AQM9LWM0D4loKWxJek", at, body)
	require.NoError(t, err)
	d := &genesys.Delivery{Header: http.Header{}, Body: body, Received: at}
	require.NoError(t, (genesys.Verification{Method: genesys.MethodStandardWebhooks}).Sign(d, key))
	require.NoError(t, library.Verify(body, d.Header), "the library verifies ours")

	d.Header.Set("Webhook-Id", "msg_p5jXN8AQM9LWM0D4loKWxJek")
	d.Header.Set("Webhook-Signature", "v1a,AAAA v1,AAAA "+theirs)
	assert.NoError(t, v.Verify(t.Context(), d), "we verify theirs, beside another version's and another key's")
}

// TestMessageSignatureOfTheRFC is RFC 9421, B.2.5: the signature covers no body, so it verifies a
// request that has none, and no other.
func TestMessageSignatureOfTheRFC(t *testing.T) {
	const key = "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
	d := &genesys.Delivery{Method: http.MethodPost, Host: "example.com", URI: "/foo?param=Value&Pet=dog", Header: http.Header{
		"Date": {"Tue, 20 Apr 2021 02:07:55 GMT"}, "Content-Type": {"application/json"},
		"Signature-Input": {`sig-b25=("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"`},
		"Signature":       {"sig-b25=:pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=:"},
	}, Received: time.Unix(1618884473, 0)}
	v, err := genesys.NewVerifier(genesys.Verification{Method: genesys.MethodMessageSignature}, []string{key})
	require.NoError(t, err)
	assert.NoError(t, v.Verify(t.Context(), d))

	d.Body = []byte(`{"hello": "world"}`)
	assert.ErrorIs(t, v.Verify(t.Context(), d), genesys.ErrSignatureUncovered)
}

func TestMessageSignatureCoversTheRequest(t *testing.T) {
	i := slices.IndexFunc(methods(), func(m method) bool { return m.name == "http-message-signature" })
	m := methods()[i]
	v, err := genesys.NewVerifier(m.Verification, []string{m.current})
	require.NoError(t, err)
	for name, change := range map[string]func(*genesys.Delivery){
		"another method": func(d *genesys.Delivery) { d.Method = http.MethodPut },
		"another host":   func(d *genesys.Delivery) { d.Host = "evil.example.com" },
		"another path":   func(d *genesys.Delivery) { d.URI = "/webhooks/y" },
		"another time": func(d *genesys.Delivery) {
			m.proof = "Signature-Input"
			m.change(d, func(s string) string { return strings.Replace(s, "created=1", "created=2", 1) })
		},
		"another digest": func(d *genesys.Delivery) { d.Header.Set("Content-Digest", "sha-256=:AAAA:") },
		"unknown digest": func(d *genesys.Delivery) { d.Header.Set("Content-Digest", "md5=:AAAA:") },
		"no digest":      func(d *genesys.Delivery) { d.Header.Del("Content-Digest") },
	} {
		d := m.delivery(t, m.current)
		change(d)
		assert.Error(t, v.Verify(t.Context(), d), name)
	}
	d := m.delivery(t, m.current)
	assert.NotEmpty(t, genesys.MessageSignatureNonce(d.Header))
	assert.Empty(t, genesys.MessageSignatureNonce(http.Header{}))
	strict := m.Verification
	strict.Components = []string{"x-tenant"}
	tenant, err := genesys.NewVerifier(strict, []string{m.current})
	require.NoError(t, err)
	assert.ErrorIs(t, tenant.Verify(t.Context(), d), genesys.ErrSignatureUncovered)
}

func TestVerificationsThatCannotBe(t *testing.T) {
	for name, c := range map[string]struct {
		v    genesys.Verification
		keys []string
	}{
		"no key":                {genesys.Verification{Header: "X"}, nil},
		"no header":             {genesys.Verification{}, []string{"key"}},
		"no key header":         {genesys.Verification{Method: genesys.MethodHeader}, []string{"key"}},
		"unknown method":        {genesys.Verification{Method: "magic"}, []string{"key"}},
		"unknown algorithm":     {genesys.Verification{Header: "X", Algorithm: "md5"}, []string{"key"}},
		"unknown encoding":      {genesys.Verification{Header: "X", Encodings: []string{"rot13"}}, []string{"key"}},
		"body not signed":       {genesys.Verification{Header: "X", Signed: "{timestamp}", TimestampHeader: "T"}, []string{"key"}},
		"time not carried":      {genesys.Verification{Header: "X", Signed: "{timestamp}{body}"}, []string{"key"}},
		"time not signed":       {genesys.Verification{Header: "X", TimestampHeader: "T"}, []string{"key"}},
		"unknown placeholder":   {genesys.Verification{Header: "X", Signed: "{url}{body}"}, []string{"key"}},
		"key that is no base64": {genesys.Verification{Method: genesys.MethodStandardWebhooks}, []string{"whsec_secret-key!"}},
		"user without password": {genesys.Verification{Method: genesys.MethodBasic}, []string{"secret-key!"}},
		"issuer with a secret":  {genesys.Verification{Method: genesys.MethodJWT, JWKSURL: "https://issuer"}, []string{"key"}},
	} {
		_, err := genesys.NewVerifier(c.v, c.keys)
		require.Error(t, err, name)
		assert.NotContains(t, err.Error(), "secret-key!", "an error never shows a key")
	}
}

// FuzzProof: nobody makes a proof but who has the key, whatever else he writes.
func FuzzProof(f *testing.F) {
	all := methods()
	for i, m := range all {
		for _, key := range []string{m.current, m.other} {
			proof := m.delivery(f, key).Header.Get(m.proof)
			bare := strings.TrimRight(proof, "=")
			for _, text := range []string{
				proof, strings.ToLower(proof), proof[:len(proof)-1], proof + "=", bare, looseBit(bare), flipMiddle(proof), otherFirst(proof), key,
			} {
				f.Add(uint8(i), text, []byte(`{}`))
			}
		}
	}
	f.Fuzz(func(t *testing.T, which uint8, proof string, body []byte) {
		m := all[int(which)%len(all)]
		v, err := genesys.NewVerifier(m.Verification, []string{m.current})
		require.NoError(t, err)
		d := m.delivery(t, m.other)
		if m.bodied {
			d.Body = body // which nobody signed
		}
		d.Header.Set(m.proof, proof)
		err = v.Verify(t.Context(), d)
		_, refused := errors.AsType[genesys.SignatureError](err)
		require.True(t, err == nil || refused, "an error of the closed set: %v", err)
		if err == nil && !m.genuine(proof) {
			t.Fatalf("%s verified %q, which the key's owner did not make", m.name, proof)
		}
		require.NoError(t, v.Verify(t.Context(), m.delivery(t, m.current)), "nor does it keep the owner out")
	})
}

// genuine tells of a proof over no body whether the current key made it.
func (m method) genuine(proof string) bool {
	switch m.Method {
	case genesys.MethodHeader:
		return proof == m.current
	case genesys.MethodBasic:
		scheme, rest, _ := strings.Cut(proof, " ")
		return strings.EqualFold(scheme, "Basic") && rest == base64.StdEncoding.EncodeToString([]byte(m.current))
	case genesys.MethodBearer:
		scheme, rest, _ := strings.Cut(proof, " ")
		return strings.EqualFold(scheme, "Bearer") && rest == m.current
	case genesys.MethodJWT:
		scheme, token, _ := strings.Cut(proof, " ")
		dot := strings.LastIndex(token, ".")
		if !strings.EqualFold(scheme, "Bearer") || dot < 0 {
			return false
		}
		mac := hmac.New(sha256.New, []byte(m.current))
		mac.Write([]byte(token[:dot]))
		sent := strings.NewReplacer("\r", "", "\n", "").Replace(token[dot+1:]) // no HTTP header has such
		return sent == base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
	}
	return false
}

func BenchmarkMethods(b *testing.B) {
	for _, m := range methods() {
		b.Run(strings.ReplaceAll(m.name, " ", "-"), func(b *testing.B) {
			d := m.delivery(b, m.current)
			d.Body = []byte(strings.Repeat("x", 1024))
			d.Header = http.Header{}
			require.NoError(b, m.Sign(d, m.current))
			v, err := genesys.NewVerifier(m.Verification, []string{m.current})
			require.NoError(b, err)
			b.ReportAllocs()
			for b.Loop() {
				if err := v.Verify(b.Context(), d); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func TestPresetsAreComplete(t *testing.T) {
	names := slices.Sorted(maps.Keys(genesys.SourceDefaults()))
	assert.Equal(t, []string{
		"genesys", "genesys-engage", "genesys-eventbridge", "genesys-notification", "genesys-open-messaging", "genesys-trigger",
		"hmac", "http-message-signature", "standard-webhooks",
	}, names)
	for _, p := range genesys.Presets() {
		assert.NotEmpty(t, p.About, p.Name)
		assert.NotEmpty(t, p.Sender, p.Name)
		assert.True(t, json.Valid(p.Sample), p.Name)
	}
}
