package forward

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

func previewed() (mesh.Target, mesh.Event) {
	return mesh.Target{
			URL:            "https://crm.example.com/hook?key=in-the-query",
			Headers:        map[string]string{"X-Tenant": "blue", "X-Session-Token": "careless"},
			SecretHeaders:  map[string]mesh.Secret{"X-Api-Key": "${KEY}", "X-Optional": "${OPTIONAL:-}"},
			Auth:           &mesh.TargetAuth{Method: mesh.AuthBearer, Token: "${TOKEN}"},
			SigningSecrets: []mesh.Secret{"${SIGNING}"},
		}, mesh.Event{
			Source: "genesys", Interaction: "call-1", Type: "interaction", Fingerprint: "f", Attempt: 1, Body: []byte(`{"a":1}`),
		}
}

func TestPreviewShowsTheRequestAndNoSecret(t *testing.T) {
	target, e := previewed()
	env := map[string]string{"KEY": "hidden-key", "TOKEN": "hidden-token", "SIGNING": "whsec_aGlkZGVuLXNpZ25pbmc="}
	lookup := func(name string) (string, bool) { value, ok := env[name]; return value, ok }
	r, err := Preview(target, "crm", Options{LookupEnv: lookup}, e)
	require.NoError(t, err)
	assert.Equal(t, http.MethodPost, r.Method)
	assert.Equal(t, "https://crm.example.com/hook", r.URL)
	assert.Equal(t, e.Body, r.Body)
	assert.Equal(t, "blue", r.Header.Get("X-Tenant"))
	assert.Equal(t, Hidden, r.Header.Get("X-Api-Key"))
	assert.Equal(t, Hidden, r.Header.Get("X-Session-Token"), "its name says that it opens something")
	assert.Equal(t, "Bearer "+Hidden, r.Header.Get("Authorization"))
	assert.NotContains(t, r.Header, "X-Optional", "an unset optional header is not sent")
	assert.Equal(t, e.IdempotencyKey(), r.Header.Get("Idempotency-Key"))
	assert.Empty(t, r.StandIns)

	unset, err := Preview(target, "crm", Options{LookupEnv: func(string) (string, bool) { return "", false }}, e)
	require.NoError(t, err)
	assert.Len(t, unset.StandIns, 3)
	assert.NotEqual(t, r.Header.Get(webhookSignature), unset.Header.Get(webhookSignature))
	for name := range r.Header {
		assert.Contains(t, unset.Header, name, "what is unset has a stand-in")
	}
}

func TestPreviewRefusesWhatNewRefuses(t *testing.T) {
	target, e := previewed()
	target.Headers = map[string]string{"Genmesh-Stream": "x"}
	_, err := Preview(target, "crm", Options{}, e)
	assert.ErrorContains(t, err, "target of subscriber crm: headers.")
}

func TestSendTellsOfTheExchange(t *testing.T) {
	var got http.Header
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = r.Header
		w.WriteHeader(http.StatusTeapot)
		_, _ = io.WriteString(w, "short and stout")
	}))
	defer server.Close()
	_, e := previewed()
	target, err := New(mesh.Target{URL: server.URL, Headers: map[string]string{"X-Session-Token": "careless"}}, "crm", Options{})
	require.NoError(t, err)
	x, err := target.Send(t.Context(), e)
	require.NoError(t, err, "an answer is no error by itself")
	assert.Equal(t, http.StatusTeapot, x.Status)
	assert.Equal(t, "short and stout", string(x.Answer))
	assert.Positive(t, x.Took)
	assert.Equal(t, "careless", got.Get("X-Session-Token"))
	assert.Equal(t, Hidden, x.Sent.Get("X-Session-Token"))
	assert.Equal(t, got.Get("Traceparent"), x.Sent.Get("Traceparent"), "it is the request itself")

	require.NoError(t, target.Close())
	_, err = target.Send(t.Context(), e)
	assert.ErrorIs(t, err, errClosed)
}
