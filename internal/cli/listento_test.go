package cli

import (
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/meshtest"
)

// hook is a program of a developer.
type hook struct {
	*httptest.Server
	mu     sync.Mutex
	status int
	got    []*http.Request
	bodies []string
}

func newHook(t *testing.T) *hook {
	h := &hook{status: http.StatusOK}
	h.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		assert.NoError(t, err)
		h.mu.Lock()
		defer h.mu.Unlock()
		h.got, h.bodies = append(h.got, r), append(h.bodies, string(body))
		w.WriteHeader(h.status)
		if h.status != http.StatusOK {
			_, _ = io.WriteString(w, "no \x1b[31m such contact")
		}
	}))
	t.Cleanup(h.Close)
	return h
}

func (h *hook) answer(status int) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.status = status
}

func (h *hook) requests() ([]*http.Request, []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.got, h.bodies
}

// await waits until so many requests came.
func (h *hook) await(t *testing.T, n int) ([]*http.Request, []string) {
	t.Helper()
	require.Eventually(t, func() bool { got, _ := h.requests(); return len(got) >= n }, 20*time.Second, 10*time.Millisecond)
	return h.requests()
}

// listen runs genmesh listen, with a stdin that stays open.
func (a *archive) listen(env map[string]string, args ...string) (*serving, io.Writer) {
	a.t.Helper()
	ctx, cancel := contextOf(a.t)
	in, keys := io.Pipe()
	s := &serving{t: a.t, out: new(lines), err: new(lines), cancel: cancel, code: make(chan int, 1)}
	go func() {
		s.code <- Execute(ctx, Process{
			Args: append([]string{"listen", "--server", a.url, "--streams", a.file}, args...), In: in, Out: s.out, Err: s.err, Version: "v1.2.3",
			LookupEnv: func(name string) (string, bool) { value, ok := env[name]; return value, ok },
		})
	}()
	a.t.Cleanup(func() {
		s.end()
		_ = keys.Close()
	})
	return s, keys
}

// message is an event as ingress publishes it.
func (a *archive) message(interaction string) *nats.Msg {
	e := a.event(interaction, "connected")
	e.Subject = "genesys.07.interaction.call." + interaction
	return e.Msg("")
}

func TestListenMirrorsWhatASubscriberGets(t *testing.T) {
	a := newArchive(t, choosyStreams(t))
	a.putBody("call-0", call)
	before := a.liveConsumers("INTERACTIONS")
	h := newHook(t)
	env := map[string]string{"REDACT_KEY": testSecret, "CRM_KEY": testSecret, "CRM_TOKEN": testSecret,
		"CRM_SIGNING": base64.StdEncoding.EncodeToString([]byte(testSecret))}
	s, keys := a.listen(env, "crm", "--forward", h.URL+"/hook", "--print")
	s.await(s.err, "listening to what crm gets of INTERACTIONS")

	a.putBody("call-1", call)
	a.putBody("call-2", strings.Replace(call, `:5,`, `:1,`, 1))
	a.putBody("call-3\x1b[2J", call)
	got, bodies := h.await(t, 2)
	s.await(s.out, `(?s)call-1 ✓ 200 OK in \S+ [0-9a-f]{32}\n.*call-3\\x1b\[2J ✓ 200 OK`)
	assert.Equal(t, "call-1", got[0].Header.Get("Genmesh-Interaction"), "when passed call-2 by, and it begins with what comes now")
	assert.Equal(t, "crm", got[0].Header.Get("Genmesh-Subscriber"))
	assert.Equal(t, "blue", got[0].Header.Get("X-Tenant"))
	assert.NotEmpty(t, got[0].Header.Get("Webhook-Signature"))
	assert.Empty(t, got[0].Header.Get("Authorization"))
	assert.Empty(t, got[0].Header.Get("X-Api-Key"))
	assert.Contains(t, bodies[0], `"phone":"***"`)
	s.await(s.out, `Webhook-Signature: v1,`)
	s.await(s.out, `"phone": "\*\*\*"`)

	h.answer(http.StatusUnprocessableEntity)
	_, err := fmt.Fprintln(keys, "r")
	require.NoError(t, err)
	s.await(s.out, `call-3\\x1b\[2J ✗ 422 Unprocessable Entity in \S+ \(sent 2 times\)`)
	s.await(s.out, `answered: no \\x1b\[31m such contact`)
	_, err = fmt.Fprintln(keys, "r "+got[0].Header.Get("Idempotency-Key")[:8])
	require.NoError(t, err)
	again, _ := h.await(t, 4)
	assert.Equal(t, got[0].Header.Get("Idempotency-Key"), again[3].Header.Get("Idempotency-Key"))
	assert.Equal(t, "2", again[3].Header.Get("Genmesh-Attempt"))

	for line, want := range map[string]string{"r zzzzz": "none of the last 2 events has the key", "r z": "too short", "x": "r and Enter sends"} {
		_, err = fmt.Fprintln(keys, line)
		require.NoError(t, err)
		s.await(s.err, want)
	}
	_, err = fmt.Fprintln(keys, "q")
	require.NoError(t, err)
	assert.Equal(t, exitOK, s.end())
	assert.Equal(t, before, a.liveConsumers("INTERACTIONS"), "its own consumer is as it was, and none is left behind")
	for _, r := range s.out.String() + s.err.String() {
		assert.False(t, r != '\n' && r < ' ', "%U", r)
	}
}

func TestListenBackfillsAndEndsCleanly(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	a.putBody("call-1", `{"a":{"b":1}}`)
	s, _ := a.listen(nil, "crm", "--print", "--since", "1h", "--raw")
	s.await(s.out, ` 1 interaction call-1 [0-9a-f]{32}\nlevel=info msg=event`)
	a.putBody("call-2", `{}`)
	s.await(s.out, ` 2 interaction call-2 `)
	assert.Equal(t, exitOK, s.end())
	assert.NotContains(t, s.err.String(), "interrupted")
}

func TestListenTellsOfWhatFailsAndGoesOn(t *testing.T) {
	a := newArchive(t, editedStreams(t, crmTarget, `"transform": ".n | tonumber", `+crmTarget))
	s, _ := a.listen(nil, "crm", "--forward", "http://127.0.0.1:1/", "--since", "1h")
	s.await(s.err, "listening")
	a.putBody("call-1", `{"n":"x"}`)
	s.await(s.out, `call-1 ✗ transform: .*: crm gets a dead letter`)
	a.putBody("call-2", `{"n":"2"}`)
	s.await(s.out, `call-2 ✗ no answer from 127.0.0.1:1`)
}

func TestListenGoesOnAfterNATSWasAway(t *testing.T) {
	server := meshtest.Start(t)
	a := &archive{t: t, url: server.URL(), file: file(t, "streams.json", editedStreams(t))}
	require.Equal(t, exitOK, a.run("apply").code)
	h := newHook(t)
	s, _ := a.listen(nil, "crm", "--forward", h.URL)
	s.await(s.err, "listening")
	server.Restart()
	js := server.JetStream()
	_, err := js.PublishMsg(t.Context(), a.message("call-1"))
	require.NoError(t, err)
	got, _ := h.await(t, 1)
	assert.Equal(t, "call-1", got[0].Header.Get("Genmesh-Interaction"))
	assert.Equal(t, exitOK, s.end())
}

func TestListenRefusesWrongUsage(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"listen", "crm"}, "say what to do with the events"},
		{[]string{"listen", "crm", "--forward", "ftp://localhost"}, "--forward is no http or https URL"},
		{[]string{"listen", "crm", "--forward", "https://u:" + testSecret + "@example.com/"}, "--forward names another machine"},
		{[]string{"listen", "crm", "--print", "--since", "soon"}, `--since "soon"`},
		{[]string{"listen", "nobody", "--print"}, `no subscriber "nobody"`},
	} {
		o := run(t, tc.args...)
		assert.Equal(t, exitError, o.code)
		assert.Contains(t, o.err, tc.want)
	}
}
