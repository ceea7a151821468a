package deploy_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/cli"
)

const webhookSecret = "the secret of the roles' test"

// part is genmesh in one role.
type part struct {
	t   *testing.T
	env map[string]string
}

// part makes a genmesh that has the certificate of a role, and nothing else to say who it is.
func (n *node) part(role, streams string, more map[string]string) part {
	n.t.Helper()
	certificate, key := n.roles.signed(role + ".genmesh")
	env := map[string]string{
		"NATS_URL": n.url(), "NATS_CERT": certificate, "NATS_KEY": key, "NATS_CA": n.roles.file,
		"GENMESH_STREAMS": streams, "GENESYS_WEBHOOK_SECRET": webhookSecret, "CRM_URL": "https://crm.example.com",
	}
	if prefix := inboxes(n.t, role); prefix != "" {
		env["NATS_INBOX_PREFIX"] = prefix
	}
	maps.Copy(env, more)
	return part{n.t, env}
}

// through is a genmesh that goes through a console.
func through(t *testing.T, console string) part {
	return part{t, map[string]string{"GENMESH_CONSOLE_URL": "http://" + console}}
}

func (p part) process(out, err io.Writer, args []string) cli.Process {
	return cli.Process{
		Args: args, In: strings.NewReader(""), Out: out, Err: err, Version: "test",
		LookupEnv: func(name string) (string, bool) { value, ok := p.env[name]; return value, ok },
	}
}

// run runs a command to its end and returns its exit code.
func (p part) run(args ...string) (code int, out, problems string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), time.Minute)
	defer cancel()
	var o, e output
	code = cli.Execute(ctx, p.process(&o, &e, args))
	return code, o.String(), e.String()
}

// runs runs a command that has to end well.
func (p part) runs(args ...string) string {
	p.t.Helper()
	code, out, problems := p.run(args...)
	require.Zero(p.t, code, "genmesh %s\n%s%s", strings.Join(args, " "), out, problems)
	return out
}

// serve runs a part of the mesh until end is called or the test ends, and waits until it is ready at an address.
func (p part) serve(ready string, args ...string) (end func()) {
	p.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var log output
	ended := make(chan int, 1)
	go func() { ended <- cli.Execute(ctx, p.process(&log, &log, append([]string{"serve"}, args...))) }()
	end = sync.OnceFunc(func() {
		cancel()
		assert.Zero(p.t, <-ended)
		if p.t.Failed() {
			p.t.Log(args, log.String())
		}
	})
	p.t.Cleanup(end)
	require.Eventually(p.t, func() bool { return status(p.t, "http://"+ready+"/readyz") == http.StatusOK }, time.Minute, 50*time.Millisecond)
	return end
}

// output is what a process that goes on writes.
type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// status is what a GET is answered; 0 is no answer.
func status(t *testing.T, url string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return 0
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}
