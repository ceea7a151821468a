package forward

import (
	"bytes"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	logtest "github.com/sirupsen/logrus/hooks/test"
	standardwebhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
	"github.com/genmesh/genmesh/workers/targettest"
)

// The example of the specification's own libraries.
const publishedKey = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

const newKey = "whsec_bmV3LWtleS1uZXcta2V5LW5ldy1rZXktbmV3LWtleQ=="

// env is an environment of pairs of name and value.
func env(pairs ...string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for i := 0; i < len(pairs); i += 2 {
			if pairs[i] == name {
				return pairs[i+1], true
			}
		}
		return "", false
	}
}

func signerOf(t testing.TB, keys ...string) signer {
	t.Helper()
	s, err := newSigner([]mesh.Secret{"${KEYS}"}, Options{LookupEnv: env("KEYS", strings.Join(keys, "\n"))})
	require.NoError(t, err)
	return s
}

func TestSignatureIsThePublishedOne(t *testing.T) {
	for _, key := range []string{publishedKey, strings.TrimPrefix(publishedKey, "whsec_")} {
		h := http.Header{}
		signerOf(t, key).sign(h, "msg_p5jXN8AQM9LWM0D4loKWxJek", time.Unix(1614265330, 0), []byte(`{"test": 2432232314}`))
		assert.Equal(t, http.Header{
			"Webhook-Id":        {"msg_p5jXN8AQM9LWM0D4loKWxJek"},
			"Webhook-Timestamp": {"1614265330"},
			"Webhook-Signature": {"v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="},
		}, h)
	}
}

func TestAnotherImplementationAcceptsWhatIsSignedAndNothingElse(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		id := rapid.StringMatching(`[0-9a-f]{32}`).Draw(t, "id")
		body := rapid.SliceOf(rapid.Byte()).Draw(t, "body")
		key := rapid.SliceOfN(rapid.Byte(), 1, 64).Draw(t, "key")
		keys, err := signingKeys("whsec_" + base64.StdEncoding.EncodeToString(key))
		require.NoError(t, err)
		h := http.Header{}
		signer{{value: keys}}.sign(h, id, time.Now(), body)

		receiver, err := standardwebhooks.NewWebhookRaw(key)
		require.NoError(t, err)
		require.NoError(t, receiver.Verify(body, h))
		require.Error(t, receiver.Verify(append(bytes.Clone(body), ' '), h))
		if len(body) > 0 {
			changed := bytes.Clone(body)
			changed[rapid.IntRange(0, len(body)-1).Draw(t, "at")] ^= 1
			require.Error(t, receiver.Verify(changed, h))
		}
		h.Set("Webhook-Id", id+"0")
		require.Error(t, receiver.Verify(body, h))
	})
}

// receiver is a subscriber that verifies by one key.
func receiver(t *testing.T, key string) *httptest.Server {
	t.Helper()
	verifier, err := standardwebhooks.NewWebhook(key)
	require.NoError(t, err)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if verifier.Verify(body, r.Header) != nil || r.Header.Get("webhook-id") != r.Header.Get("Idempotency-Key") {
			w.WriteHeader(http.StatusUnauthorized)
		}
	}))
	t.Cleanup(server.Close)
	return server
}

func TestAKeyIsRotatedWithoutARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "keys")
	require.NoError(t, os.WriteFile(file, []byte(publishedKey+"\n"), 0o600))
	log, logged := logtest.NewNullLogger()
	target := func(server *httptest.Server) *Target {
		return openTarget(t, mesh.Target{URL: server.URL, SigningSecrets: []mesh.Secret{mesh.Secret("file:" + file)}}, Options{Logger: log})
	}
	before, after := receiver(t, publishedKey), receiver(t, newKey)
	toBefore, toAfter := target(before), target(after)
	takes := func(target *Target) bool { return target.Handle(t.Context(), targettest.Event(1)) == nil }
	assert.True(t, takes(toBefore))
	assert.False(t, takes(toAfter), "it does not know the old key")

	require.NoError(t, os.WriteFile(file, []byte(newKey+"\n\n"+publishedKey+"\n"), 0o600))
	require.Eventually(t, func() bool { return takes(toAfter) }, 20*time.Second, 50*time.Millisecond)
	assert.True(t, takes(toBefore), "the old key signs too")

	require.NoError(t, os.WriteFile(file, []byte("half a k"), 0o600))
	toAfter.signer[0].checked = time.Time{} // as if a second had passed
	assert.True(t, takes(toAfter), "what can't be read changes nothing")
	toAfter.signer[0].checked = time.Time{}
	assert.True(t, takes(toAfter))
	require.Len(t, logged.AllEntries(), 1, "and is told once")
	told, err := logged.LastEntry().String()
	require.NoError(t, err)
	assert.Contains(t, told, "signing_secrets[0] can't be read again")
	assert.NotContains(t, told, "half a k")
}

func TestKeysThatCannotSign(t *testing.T) {
	for text, want := range map[string]string{
		"not base64 s3cret!":                  "signing_secrets[0]: key 1 is not",
		"whsk_bmV3LWtleQ==":                   "key 1 is not",
		publishedKey + "\ns3cret!":            "key 2 is not",
		"\n \n":                               "no key",
		"whsec_":                              "key 1 is not",
		strings.Repeat(publishedKey+"\n", 17): "17 keys; at most 16",
		"":                                    "none of them is set",
	} {
		_, err := New(mesh.Target{URL: "https://crm", SigningSecrets: []mesh.Secret{"${SIGNING:-}"}}, "crm",
			Options{LookupEnv: env("SIGNING", text)})
		require.ErrorContains(t, err, want)
		require.ErrorContains(t, err, "subscriber crm: signing_secrets")
		assert.NotContains(t, err.Error(), "s3cret")
		assert.NotContains(t, err.Error(), "MfKQ9r8")
	}
	_, err := New(mesh.Target{URL: "https://crm", SigningSecrets: []mesh.Secret{"${UNSET}"}}, "crm", Options{LookupEnv: env()})
	require.ErrorContains(t, err, "${UNSET}")
}

func TestAnUnsetOptionalKeySignsNothing(t *testing.T) {
	server := receiver(t, publishedKey)
	target := openTarget(t, mesh.Target{URL: server.URL, SigningSecrets: []mesh.Secret{"${OLD:-}", "${KEY}"}},
		Options{LookupEnv: env("KEY", publishedKey)})
	require.NoError(t, target.Handle(t.Context(), targettest.Event(1)))
	unsigned := openTarget(t, mesh.Target{URL: server.URL}, Options{})
	assert.Equal(t, workers.Refuse, targettest.FateOf(unsigned.Handle(t.Context(), targettest.Event(1))))
}

// openTarget opens a target with a timeout, and closes it with the test.
func openTarget(t testing.TB, target mesh.Target, o Options) *Target {
	t.Helper()
	target.Timeout = mesh.Duration(5 * time.Second)
	opened, err := New(target, "crm", o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, opened.Close()) })
	return opened
}

func FuzzSigningKeys(f *testing.F) {
	for _, s := range []string{"", publishedKey, publishedKey + "\n" + newKey, "whsec_", "bmV3\r\n", "a b", "\x00"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		keys, err := signingKeys(text)
		if err == nil && text != "" && len(keys) == 0 {
			t.Fatalf("%q has no key", text)
		}
		for _, key := range keys {
			if len(key) == 0 {
				t.Fatalf("%q has an empty key", text)
			}
		}
	})
}

func BenchmarkSign(b *testing.B) {
	body := bytes.Repeat([]byte("x"), 1024)
	for name, keys := range map[string][]string{"1 key": {publishedKey}, "2 keys": {publishedKey, newKey}} {
		b.Run(name, func(b *testing.B) {
			s := signerOf(b, keys...)
			h := http.Header{}
			b.ReportAllocs()
			for b.Loop() {
				s.sign(h, "0123456789abcdef0123456789abcdef", time.Now(), body)
			}
		})
	}
}

func BenchmarkHeader(b *testing.B) {
	event := targettest.Event(1)
	event.Body = bytes.Repeat([]byte("x"), 1024)
	for name, target := range map[string]mesh.Target{
		"plain": {URL: "https://crm"},
		"all": {
			URL: "https://crm", Headers: map[string]string{"X-A": "1", "X-B": "2"}, SecretHeaders: map[string]mesh.Secret{"X-Key": "${TOKEN}"},
			Auth:           &mesh.TargetAuth{Method: mesh.AuthBearer, Token: "${TOKEN}"},
			SigningSecrets: []mesh.Secret{"${KEY}"},
		},
	} {
		b.Run(name, func(b *testing.B) {
			t := openTarget(b, target, Options{LookupEnv: env("TOKEN", "t0ken", "KEY", publishedKey)})
			b.ReportAllocs()
			for b.Loop() {
				authorization, err := t.authorization.value(b.Context())
				if err != nil {
					b.Fatal(err)
				}
				t.header(b.Context(), event, authorization, time.Now())
			}
		})
	}
}
