package app

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
)

// marker is in everything that the stranger of these tests chooses.
const marker = "stranger"

// stranger sends what would make a label of its own wherever a metric took one from a request: names, types, paths, methods and headers
// that never come twice.
type stranger struct {
	ingress string
	client  *http.Client
}

// send sends the nth request. Each kind of request comes once in twenty.
func (s *stranger) send(ctx context.Context, n int) error {
	id := fmt.Sprintf("%s-%d", marker, n)
	method, path := http.MethodPost, "/webhooks/desk"
	body := fmt.Sprintf(`{"id": %q, "timestamp": %d, "eventTypeId": %q, "data": {"id": %q, "type": %q}}`, id, 1_700_000_000+n, id, id, id)
	signed := true
	header := http.Header{
		"User-Agent": {id}, "X-Genesys-Event-Id": {id}, "X-Genesys-Event-Type": {id}, "X-" + id: {id}, "X-Forwarded-For": {id},
		"Traceparent": {fmt.Sprintf("00-%032x-%016x-01", n+1, n+1)}, "Tracestate": {id + "=" + id},
	}
	switch kind := n % 20; kind {
	case 0, 1:
		path = "/" + id + "?" + id + "=" + id
	case 2:
		method = strings.ToUpper(strings.ReplaceAll(id, "-", ""))
	case 3, 4, 5, 6:
		signed = false
		header["X-Genesys-Signature"] = [][]string{nil, {id}, {genesys.Sign(id, []byte(body))}, {id, id}}[kind-3]
	case 7, 8, 9, 10, 11:
		body = []string{id, `["` + id + `"]`, `{"` + id + `": 1}`, strings.Repeat("[", 200) + id, strings.Replace(body, `"eventTypeId": "`, `"eventTypeId": "genmesh.`, 1)}[kind-7]
	case 12:
		body = ""
	case 13:
		header.Set("Content-Encoding", id)
	}
	if signed {
		header.Set("X-Genesys-Signature", genesys.Sign(deskKey, []byte(body)))
	}
	request, err := http.NewRequestWithContext(ctx, method, "http://"+s.ingress+path, strings.NewReader(body))
	if err != nil {
		return err
	}
	request.Header, request.Host = header, id+".example.com"
	response, err := s.client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, err = io.Copy(io.Discard, response.Body)
	return err
}

// sendAll sends the requests from one number up to another, some at a time.
func (s *stranger) sendAll(t *testing.T, from, to int) {
	numbers := make(chan int)
	var senders sync.WaitGroup
	for range 32 {
		senders.Go(func() {
			for n := range numbers {
				assert.NoError(t, s.send(t.Context(), n))
			}
		})
	}
	for n := from; n < to; n++ {
		numbers <- n
	}
	close(numbers)
	senders.Wait()
}

// series are the metrics that are counted where it happens, each with its labels and without its value. Those of the mesh as a whole come
// from a sample that is taken now and then, and stranded events are looked for twice a minute.
func (p *process) series(t *testing.T) map[string]bool {
	_, text := p.get(t, "/metrics")
	assert.NotContains(t, text, marker, "a label has what a stranger sent")
	found := map[string]bool{}
	for _, match := range regexp.MustCompile(`(?m)^(genmesh_(?:ingress|commit|worker|nats|config|console)_\S+) \S+$`).FindAllStringSubmatch(text, -1) {
		if !strings.HasPrefix(match[1], "genmesh_worker_stranded_events{") {
			found[match[1]] = true
		}
	}
	return found
}

// settled waits until the workers are through with what was taken.
func (p *process) settled(t *testing.T) {
	p.eventually(t, func() bool {
		taken := p.metric(t, `genmesh_ingress_requests_total{outcome="accepted"`)
		delivered, dead := p.metric(t, `genmesh_worker_attempts_total{outcome="delivered"`), p.metric(t, "genmesh_worker_dead_letters_total")
		return taken > 0 && delivered+dead == 2*taken
	}, "not all is settled")
}

// numbered finds the number of an event in what a target got.
var numbered = regexp.MustCompile(`"` + marker + `-(\d+)", "timestamp"`)

// refuse answers as a hostile target does: with a status and a header that hardly ever come twice, and with what it was sent.
func refuse(w http.ResponseWriter, body []byte) {
	n := 0
	if match := numbered.FindSubmatch(body); match != nil {
		n, _ = strconv.Atoi(string(match[1])) // digits
	}
	w.Header().Set(fmt.Sprintf("X-%s-%d", marker, n), marker)
	w.WriteHeader([]int{300, 400, 600, 700, 800, 900}[n/20%6] + 30 + n/120%70) // none that is tried again
	_, _ = w.Write(body)
}

// TestStrangersMakeNoMetrics: the number of series depends on streams.json and not on what arrives.
func TestStrangersMakeNoMetrics(t *testing.T) {
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		w.Header().Set("X-"+marker, marker)
		if strings.Contains(string(body), `5", "type"`) { // some of them for good
			refuse(w, body)
		}
	}))
	t.Cleanup(target.Close)
	streams := filepath.Join(t.TempDir(), "streams.json")
	writeFile(t, streams, strings.Replace(phones("X-Genesys-Event-Id", "", target.URL),
		`"verification": {"method": "header", "header": "X-Key"}, "identity": {"interaction": "call", "delivery_id_header": "X-Genesys-Event-Id"}`,
		`"preset": "genesys"`, 1))
	p := startProcess(t, Config{
		Streams: StreamsFile{Path: streams}, Embedded: &Embedded{DataDir: t.TempDir()}, Apply: true,
		Ingress: &Ingress{Addr: "127.0.0.1:0", Grace: time.Second}, Workers: &Workers{Grace: time.Second},
	})
	transport := &http.Transport{MaxIdleConnsPerHost: 32}
	t.Cleanup(transport.CloseIdleConnections)
	s := &stranger{ingress: p.addresses.Ingress, client: &http.Client{Transport: transport, Timeout: testPatience}}

	s.sendAll(t, 0, 1000)
	p.settled(t)
	before := p.series(t)
	s.sendAll(t, 1000, 10_000)
	p.settled(t)
	assert.Equal(t, before, p.series(t))

	for _, outcome := range []string{"not_found", "method_not_allowed", "unauthorized", "quarantined", "empty_body", "content_encoding", "accepted"} {
		assert.Positive(t, p.metric(t, `genmesh_ingress_requests_total{outcome="`+outcome+`"`), outcome)
	}
	assert.Positive(t, p.metric(t, "genmesh_worker_dead_letters_total"))
	_, text := p.get(t, "/metrics")
	problems, err := promlint.New(strings.NewReader(text)).Lint()
	require.NoError(t, err)
	for _, problem := range problems {
		assert.False(t, strings.HasPrefix(problem.Metric, "genmesh_"), "%s: %s", problem.Metric, problem.Text)
	}
}
