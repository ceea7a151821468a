package api

import (
	"encoding/json"
	"encoding/pem"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

const secretToken = "tok-hunter2"

func TestAClientAsksAnotherMachineByTLSOnly(t *testing.T) {
	for _, c := range []struct{ url, wrong string }{
		{"https://mesh.example.com", ""},
		{"https://mesh.example.com:8090/behind/a/proxy/", ""},
		{"http://127.0.0.1:8090", ""},
		{"http://[::1]:8090", ""},
		{"http://localhost:8090", ""},
		{"http://mesh.example.com", "https only"},
		{"http://10.0.0.1:8090", "https only"},
		{"http://127.0.0.1.example.com", "https only"},
		{"https://alice:hunter2@mesh.example.com", "no user"},
		{"https://mesh.example.com?token=hunter2", "no query"},
		{"ftp://mesh.example.com", "no URL"},
		{"mesh.example.com:8090", "no URL"},
		{"", "no URL"},
		{"https://alice:hunter2@mesh.example.com:port", "no URL"},
	} {
		_, err := NewClient(ClientOptions{URL: c.url, Token: secretToken})
		if c.wrong == "" {
			assert.NoError(t, err, c.url)
			continue
		}
		require.ErrorContains(t, err, c.wrong, c.url)
		assert.NotContains(t, err.Error(), "hunter2")
	}
	_, err := NewClient(ClientOptions{URL: "https://mesh.example.com", Token: "a\r\nX-Evil: b"})
	require.ErrorContains(t, err, "token")
	assert.NotContains(t, err.Error(), "Evil")
}

// console answers each request by a function.
func console(t *testing.T, answer http.HandlerFunc) *Client {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c, err := NewClient(ClientOptions{URL: server.URL, Token: secretToken, UserAgent: "genmesh/test"})
	require.NoError(t, err)
	t.Cleanup(c.http.CloseIdleConnections)
	return c
}

func answerJSON(w http.ResponseWriter, status int, value any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(value)
}

func TestAClientSaysWhoAsksAndByWhat(t *testing.T) {
	c := console(t, func(w http.ResponseWriter, r *http.Request) {
		assert.Equal(t, "Bearer "+secretToken, r.Header.Get("Authorization"))
		assert.Equal(t, "genmesh/test", r.UserAgent())
		answerJSON(w, http.StatusOK, streamList{})
	})
	_, err := c.Streams(t.Context())
	assert.NoError(t, err)
}

func TestTheTokenIsInNoError(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		assert.Fail(t, "nobody else may be asked", r.Header.Get("Authorization"))
	}))
	t.Cleanup(elsewhere.Close)
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		text   string
	}{
		"it sends to another place": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "is it the console's address?"},
		"it answers with a page":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) }, "is it the console's address?"},
		"it answers with no JSON": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte("{"))
		}, "of another version?"},
		"it hangs up": {func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, "the console at http://127.0.0.1:"},
		"it fails":    {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusBadGateway) }, "answers 502"},
		"it is not JSON that it fails with": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusBadGateway)
			_, _ = w.Write([]byte(strings.Repeat("x", maxProblemBytes+1)))
		}, "answers 502"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := console(t, c.answer).DeadLetters(t.Context(), admin.DeadQuery{Cause: "of call-7"})
			require.ErrorContains(t, err, c.text)
			assert.NotContains(t, err.Error(), "hunter2")
			assert.NotContains(t, err.Error(), "call-7", "nor what was asked for")
			assert.Empty(t, admin.KindOf(err))
		})
	}
}

func TestAProblemIsAnErrorOfItsKind(t *testing.T) {
	for _, c := range []struct {
		status int
		p      problem
		is     error
		text   string
	}{
		{404, problem{Type: "urn:genmesh:problem:not-found", Detail: "no dead letter 7"}, admin.ErrNotFound, "no dead letter 7"},
		{404, problem{Type: "urn:genmesh:problem:no-audit", Detail: "nothing is audited"}, mesh.ErrNoAudit, "nothing is audited"},
		{400, problem{Type: "urn:genmesh:problem:invalid", Detail: "no\x1b[2J"}, admin.ErrInvalid, `no\x1b[2J`},
		{409, problem{Type: "urn:genmesh:problem:conflict", Detail: "not now"}, admin.ErrConflict, "not now"},
		{403, problem{Type: "urn:genmesh:problem:forbidden", Detail: "you may not"}, admin.ErrForbidden, "you may not"},
		{401, problem{Type: "about:blank", Detail: "Sign in."}, ErrUnauthenticated, "Sign in."},
		{403, problem{Type: "about:blank", Detail: "of the sign-in"}, admin.ErrForbidden, "of the sign-in"},
		{404, problem{Type: "about:blank", Detail: "of a proxy"}, nil, "of a proxy"},
		{500, problem{Type: "urn:genmesh:problem:internal", Detail: "see the log", Instance: "urn:genmesh:request:x"}, nil, "see the log (urn:genmesh:request:x)"},
	} {
		_, err := console(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(c.status)
			_ = json.NewEncoder(w).Encode(c.p)
		}).Overview(t.Context())
		assert.EqualError(t, err, c.text)
		if c.is != nil {
			assert.ErrorIs(t, err, c.is)
		} else {
			assert.Empty(t, admin.KindOf(err))
		}
	}
}

func TestAnAnswerWithoutAnEndIsNotRead(t *testing.T) {
	_, err := console(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		for r.Context().Err() == nil {
			if _, err := w.Write([]byte(strings.Repeat(" ", 1<<20))); err != nil {
				return
			}
		}
	}).Overview(t.Context())
	assert.ErrorContains(t, err, "larger than 64 MiB")
}

func TestAClientTrustsTheCertificatesThatItIsGiven(t *testing.T) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		answerJSON(w, http.StatusOK, streamList{})
	}))
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.StartTLS()
	t.Cleanup(server.Close)
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw}), 0o600))
	for ca, works := range map[string]bool{file: true, "": false} {
		c, err := NewClient(ClientOptions{URL: server.URL, Token: secretToken, CAFile: ca})
		require.NoError(t, err)
		_, err = c.Streams(t.Context())
		assert.Equal(t, works, err == nil, "%v", err)
		c.http.CloseIdleConnections()
	}
	_, err := NewClient(ClientOptions{URL: server.URL, CAFile: file + ".not"})
	assert.ErrorContains(t, err, "ca.pem.not")
	require.NoError(t, os.WriteFile(file, []byte("no certificate"), 0o600))
	_, err = NewClient(ClientOptions{URL: server.URL, CAFile: file})
	assert.ErrorContains(t, err, "has none in PEM")
}

func FuzzWhatAConsoleAnswersIsAnErrorOrAnAnswer(f *testing.F) {
	f.Add([]byte(`{"type":"urn:genmesh:problem:invalid","detail":"x\u001b"}`), []byte(`{"events":[{"body":{"a":1}}],"dead_letters":[],"quarantined":[{"body":"x"}]}`))
	f.Add([]byte(`null`), []byte(`{"events":[null],"Events":[{},{}]}`))
	f.Fuzz(func(t *testing.T, refused, line []byte) {
		c := &Client{shown: "https://mesh.example.com"}
		recorder := httptest.NewRecorder()
		recorder.Header().Set("Content-Type", "application/problem+json")
		recorder.WriteHeader(http.StatusBadRequest)
		_, _ = recorder.Write(refused)
		err := c.refused(recorder.Result())
		for _, r := range err.Error() {
			assert.False(t, r < ' ' || r == 0x9b || r == 0x202e, "%U", r)
		}
		var timeline wireTimeline
		_ = json.Unmarshal(line, &timeline)
	})
}
