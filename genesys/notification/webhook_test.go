package notification_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/genesys/notification"
)

const key = "correct-horse:battery-staple"

// TestFramesAreSignedAsTheSourceWantsIt posts to a server that verifies as ingress does.
func TestFramesAreSignedAsTheSourceWantsIt(t *testing.T) {
	for _, v := range []genesys.Verification{
		{Method: genesys.MethodHeader, Header: "X-Api-Key"},
		{Method: genesys.MethodHMAC, Header: "X-Sig"},
		{Method: genesys.MethodHMAC, Header: "X-Sig", Signed: "{timestamp}.{body}", TimestampHeader: "X-Time", Encodings: []string{"base64"}},
		{Method: genesys.MethodBasic}, {Method: genesys.MethodBearer}, {Method: genesys.MethodJWT, Issuer: "genmesh"},
	} {
		t.Run(string(v.Method)+v.Signed, func(t *testing.T) {
			verifier, err := genesys.NewVerifier(v, []string{key})
			require.NoError(t, err)
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				err := verifier.Verify(r.Context(), &genesys.Delivery{
					Method: r.Method, Host: r.Host, URI: r.URL.RequestURI(), Header: r.Header, Body: body, Received: time.Now(),
				})
				assert.NoError(t, err)
				assert.Equal(t, `{"topicName":"x"}`, string(body))
				assert.Equal(t, "genmesh/test", r.Header.Get("User-Agent"))
				w.WriteHeader(http.StatusAccepted)
			}))
			defer server.Close()
			w := notification.NewWebhook(notification.WebhookOptions{
				URL: server.URL + "/webhooks/desk", Verification: v, UserAgent: "genmesh/test", Key: func() (string, error) { return key, nil },
			})
			defer w.Close()
			assert.NoError(t, w.Post(t.Context(), []byte(`{"topicName":"x"}`)))
		})
	}
}

func TestTheStatusDecides(t *testing.T) {
	status := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "/elsewhere")
		w.WriteHeader(status)
	}))
	defer server.Close()
	options := notification.WebhookOptions{
		URL: server.URL, Verification: genesys.Verification{Method: genesys.MethodHeader, Header: "X-Api-Key"},
		Key: func() (string, error) { return key, nil },
	}
	w := notification.NewWebhook(options)
	defer w.Close()
	for want, statuses := range map[string][]int{
		"taken": {200, 202, 204}, "refused": {301, 307, 400, 401, 404, 405, 413, 415, 422}, "again": {408, 429, 500, 502, 503, 504},
	} {
		for _, status = range statuses {
			err := w.Post(t.Context(), []byte("{}"))
			_, refused := errors.AsType[*notification.Refusal](err)
			assert.Equal(t, want, map[bool]string{err == nil: "taken", refused: "refused", err != nil && !refused: "again"}[true], status)
		}
	}

	options.Key = func() (string, error) { return "", errors.New("the secret's file is away") }
	_, refused := errors.AsType[*notification.Refusal](notification.NewWebhook(options).Post(t.Context(), nil))
	assert.False(t, refused, "it may come back")
	options.Key, options.URL = func() (string, error) { return key, nil }, "http://127.0.0.1:1/"+key
	err := notification.NewWebhook(options).Post(t.Context(), nil)
	require.Error(t, err)
	assert.NotContains(t, err.Error(), key)
}
