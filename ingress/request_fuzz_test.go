package ingress

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

// FuzzRequest: whatever a stranger sends, it is answered in one of our words and nothing of it is stored.
func FuzzRequest(f *testing.F) {
	for _, text := range []string{
		"POST /webhooks/genesys HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
		"POST /webhooks/genesys HTTP/1.1\r\nHost: x\r\nX-Genesys-Signature: 00\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
		"POST http://x/webhooks/genesys?a#b HTTP/1.0\r\nContent-Encoding: gzip\r\n\r\n",
		"OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n", "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n",
		"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n", "PRI * HTTP/2.0\r\n\r\n", "POST /webhooks/%67enesys HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n{}",
	} {
		f.Add([]byte(text))
	}
	store := new(memory)
	server, err := New(Options{Addr: "127.0.0.1:0", Sources: []mesh.Source{testSource()}, Verifier: verifierOf, Store: store, Logger: quiet()})
	require.NoError(f, err)
	f.Cleanup(func() { require.NoError(f, server.Close()) })
	said := map[int]string{
		200: "", 400: "empty_body incomplete_body", 401: "unauthorized", 404: "not_found", 405: "method_not_allowed",
		413: "body_too_large", 415: "content_encoding",
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		request, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(text)))
		if err != nil {
			return // net/http refuses it
		}
		w := httptest.NewRecorder()
		server.http.Handler.ServeHTTP(w, request)
		reasons, known := said[w.Code]
		require.True(t, known, "%d", w.Code)
		var answered struct{ Reason, Status string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answered))
		if w.Code == http.StatusOK {
			require.Contains(t, []string{"/healthz", "/readyz"}, request.URL.Path)
		} else {
			require.Contains(t, strings.Fields(reasons), answered.Reason)
		}
		require.Empty(t, store.all(), "it was stored without a signature")
	})
}
