package cli

import (
	"bufio"
	"bytes"
	"context"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// serving is a command that runs until the test ends it.
type serving struct {
	t      *testing.T
	out    *lines
	err    *lines
	reload chan struct{}
	cancel context.CancelFunc
	code   chan int
}

// lines is an output that a test can wait on.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func serve(t *testing.T, env map[string]string, args ...string) *serving {
	t.Helper()
	ctx, cancel := contextOf(t)
	s := &serving{t: t, out: new(lines), err: new(lines), reload: make(chan struct{}), cancel: cancel, code: make(chan int, 1)}
	streams := []byte(editedStreams(t))
	go func() {
		s.code <- Execute(ctx, Process{
			Args: args, In: strings.NewReader(""), Out: s.out, Err: s.err, Version: "v1.2.3", Streams: streams,
			LookupEnv: func(name string) (string, bool) { value, ok := env[name]; return value, ok },
			Reload:    func(context.Context) <-chan struct{} { return s.reload },
		})
	}()
	t.Cleanup(func() { s.end() })
	return s
}

// await waits until the pattern is in an output and returns its first group.
func (s *serving) await(l *lines, pattern string) string {
	s.t.Helper()
	var found []string
	require.Eventually(s.t, func() bool {
		found = regexp.MustCompile(pattern).FindStringSubmatch(l.String())
		return found != nil
	}, 20*time.Second, 20*time.Millisecond, "%s\nstdout: %s\nstderr: %s", pattern, s.out, s.err)
	return found[len(found)-1]
}

// end asks the command to end, as a signal does, and returns its exit code.
func (s *serving) end() int {
	s.cancel()
	select {
	case code := <-s.code:
		s.code <- code // for who asks again
		assert.NotContains(s.t, s.out.String()+s.err.String(), testSecret, "the output holds the secret")
		return code
	case <-time.After(30 * time.Second):
		s.t.Error("the command does not end")
		return -1
	}
}

func devArgs(t *testing.T, more ...string) []string {
	return append([]string{"dev", "--http", "127.0.0.1:0", "--console", "127.0.0.1:0", "--nats", "127.0.0.1:0",
		"--data", filepath.Join(t.TempDir(), "data"), "--log-format", "text"}, more...)
}

func TestDevTakesAnEventToItsSubscribers(t *testing.T) {
	for name, secret := range map[string]string{"well-known secret": "", "secret of one's own": testSecret} {
		t.Run(name, func(t *testing.T) {
			record := filepath.Join(t.TempDir(), "compliance.ndjson")
			env := map[string]string{"COMPLIANCE_URL": "file:" + filepath.ToSlash(record), secretVariable: secret}
			dev := serve(t, env, devArgs(t)...)
			url := dev.await(dev.out, `webhooks +(http://\S+)`)
			server := dev.await(dev.out, `NATS +(nats://\S+)`)
			assert.Equal(t, secret == "", strings.Contains(dev.err.String(), "GENESYS_WEBHOOK_SECRET is not set"))

			o := invocation{env: env}.run(t, "send", "--url", url)
			assert.Equal(t, exitOK, o.code, o.err)
			assert.Contains(t, o.out, "202 Accepted")
			require.Eventually(t, func() bool {
				data, err := os.ReadFile(record)
				return err == nil && bytes.Count(data, []byte("\n")) == 1
			}, 20*time.Second, 20*time.Millisecond)

			o = invocation{env: env}.run(t, "dead", "list", "--server", server)
			assert.Equal(t, "no dead letters\n", o.out, o.err)
			assert.Equal(t, exitOK, dev.end(), dev.err)
		})
	}
}

func TestDevReloadsOnAHangUp(t *testing.T) {
	path := file(t, "streams.json", editedStreams(t))
	dev := serve(t, nil, devArgs(t, "--streams", path)...)
	dev.await(dev.out, `edit (.*) and save it`)
	select {
	case dev.reload <- struct{}{}:
	case <-time.After(20 * time.Second):
		t.Fatal("nobody listens for reloads")
	}
	dev.await(dev.err, "streams.json is in force")
	assert.Equal(t, exitOK, dev.end())
}

// TestDevNamesTheFileThatIsWrong as compilers do, and says what an edit could not change.
func TestDevNamesTheFileThatIsWrong(t *testing.T) {
	path := file(t, "mesh.json", editedStreams(t))
	dev := serve(t, nil, devArgs(t, "--streams", path)...)
	dev.await(dev.out, `edit (.*) and save it`)
	require.NoError(t, os.WriteFile(path, []byte(editedStreams(t, `"target": {"url": "${CRM_URL:-log:}", "timeout": "10s"}`, `"description": "x"`)), 0o600))
	dev.await(dev.err, `(`+regexp.QuoteMeta(path)+`:\d+:\d+: subscribers\[0\])`)
	require.NoError(t, os.WriteFile(path, []byte(editedStreams(t, `"name": "crm",`, `"name": "crm", "start": "now",`)), 0o600))
	dev.await(dev.err, `(start .{0,2}"now.{0,2}": it counts for a new subscriber, and crm began by deliver_policy all)`)
	assert.NotContains(t, dev.err.String(), " streams.json:", "which is not its name")
	assert.Equal(t, exitOK, dev.end())
}

func TestClosedTerminalEndsDevInsteadOfReloading(t *testing.T) {
	ctx, cancel := contextOf(t)
	asked, open := make(chan struct{}), true
	reloads := endWithTerminal(ctx, asked, func() bool { return open }, cancel)
	asked <- struct{}{}
	<-reloads
	require.NoError(t, ctx.Err())
	open = false
	asked <- struct{}{}
	<-ctx.Done()
}

func TestAddressInUseNamesTheFlagThatChangesIt(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	taken := listener.Addr().String()
	for _, flag := range []string{"--http", "--console", "--nats"} {
		o := run(t, append(devArgs(t), flag, taken)...)
		assert.Equal(t, exitError, o.code)
		assert.Contains(t, o.err, "can't listen on "+taken)
		assert.Contains(t, o.err, "choose another address with "+flag)
	}
	same := meshtest.FreeAddr(t)
	o := run(t, append(devArgs(t), "--http", same, "--console", same)...)
	assert.Contains(t, o.err, "--console", "two flags with one address")
}

func TestServeInTwoProcesses(t *testing.T) {
	server := meshtest.Start(t)
	record := filepath.Join(t.TempDir(), "compliance.ndjson")
	env := map[string]string{
		"NATS_URL": server.URL(), "GENMESH_STREAMS": file(t, "streams.json", editedStreams(t)), "COMPLIANCE_URL": "file:" + filepath.ToSlash(record),
		secretVariable: testSecret, "GENMESH_CONSOLE": "127.0.0.1:0", "GENMESH_HTTP": "127.0.0.1:0",
	}
	ingress := serve(t, env, "serve", "ingress", "--apply")
	address := ingress.await(ingress.err, `"webhooks":"([^"]+)"`)
	workers := serve(t, env, "serve", "workers")
	workers.await(workers.err, `("nats":"`+regexp.QuoteMeta(server.URL())+`")`)

	o := invocation{env: env}.run(t, "send", "--url", "http://"+address+"/webhooks/genesys", "--count", "20", "-o", "json")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, 20, parsed[sendSummary](t, o).Accepted)
	require.Eventually(t, func() bool { return countLines(record) == 20 }, 20*time.Second, 20*time.Millisecond)
	assert.Equal(t, exitOK, ingress.end())
	assert.Equal(t, exitOK, workers.end())
}

func countLines(path string) int {
	f, err := os.Open(path)
	if err != nil {
		return 0
	}
	defer f.Close()
	n := 0
	for s := bufio.NewScanner(f); s.Scan(); {
		n++
	}
	return n
}

func TestServeNeedsItsSecret(t *testing.T) {
	server := meshtest.Start(t)
	s := serve(t, map[string]string{"NATS_URL": server.URL(), "GENMESH_STREAMS": sampleFile, "GENMESH_CONSOLE": "", "GENMESH_HTTP": "127.0.0.1:0"},
		"serve", "ingress", "--console", "")
	s.await(s.err, "(genmesh: .*GENESYS_WEBHOOK_SECRET)")
	assert.Equal(t, exitError, s.end())
}

func TestHintsAreCompleteAndSayNothingUntrue(t *testing.T) {
	topology := topologyOf(t, editedStreams(t))
	var out bytes.Buffer
	hints{
		topology: topology, streams: "streams.json", data: ".genmesh",
		addresses: app.Addresses{Ingress: "127.0.0.1:8080", Console: "127.0.0.1:8090", NATS: "nats://127.0.0.1:4222"},
	}.write(&out)
	for _, want := range []string{
		"webhooks    http://127.0.0.1:8080/webhooks/genesys\n", "console     http://127.0.0.1:8090\n",
		"subscriber  compliance → file:.genmesh/compliance.ndjson\n", "subscriber  crm → log:\n",
		"  go run . send\n", "  go run . dead list\n", `"X-Genesys-Signature: $signature"`, "edit streams.json and save it",
	} {
		assert.Contains(t, out.String(), want)
	}

	out.Reset()
	hints{topology: topology, addresses: app.Addresses{Ingress: "127.0.0.1:9000"}}.write(&out)
	assert.Contains(t, out.String(), "go run . send --url http://127.0.0.1:9000/webhooks/genesys\n")
	assert.NotContains(t, out.String(), "metrics")
	assert.NotContains(t, out.String(), "dead list", "there is no port to ask")
}

func TestDevListensToNotificationsWhereASourceAsksForThem(t *testing.T) {
	_, i := newOrganization(t)
	i.env["COMPLIANCE_URL"] = "log:"
	i.env["GENMESH_STREAMS"] = file(t, "streams.json", editedStreams(t, `"preset": "genesys",`, `"preset": "genesys-notification",
      "api": {"url": "${GENESYS_API}", "client_id": "simulator", "client_secret": "${GENESYS_CLIENT_SECRET}"},
      "notifications": {"topics": ["v2.users.a-001.conversations"]},`))
	dev := serve(t, i.env, devArgs(t)...)
	dev.await(dev.err, `(listening to the notification service)`)
	assert.Equal(t, exitOK, dev.end(), dev.err)
}
