package ingress

import (
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestNewEventThenRedeliveryThenLaterEvent(t *testing.T) {
	store := new(memory)
	s := start(t, store)

	first := s.post(goodBody)
	assert.Equal(t, http.StatusAccepted, first.code)
	assert.JSONEq(t, `{"status":"accepted","interaction_id":"987654321","stream":"INTERACTIONS","sequence":1,"msg_id":"987654321"}`, first.raw)
	assert.Equal(t, "application/json", first.header.Get("Content-Type"))
	assert.Equal(t, "nosniff", first.header.Get("X-Content-Type-Options"))

	again := s.post(strings.Replace(goodBody, "12345678-abcd", "another-attempt", 1))
	assert.Equal(t, http.StatusOK, again.code)
	assert.JSONEq(t, `{"status":"duplicate","interaction_id":"987654321","stream":"INTERACTIONS","sequence":1,"msg_id":"987654321"}`, again.raw)

	later := s.post(strings.Replace(goodBody, "1678886400", "1678886401", 1))
	assert.Equal(t, http.StatusAccepted, later.code)
	assert.Equal(t, uint64(2), later.Sequence)
}

func TestEnvelope(t *testing.T) {
	store := new(memory)
	source := testSource()
	source.Identity.Organization = mesh.Selectors{"org"}
	s := start(t, store, func(o *Options) { o.Sources = []mesh.Source{source} })

	body := `{"org":"acme","id":"e-1","timestamp":1678886400,"eventTypeId":"interaction","data":{"id":"42","type":"chat"}}`
	req := s.request(body)
	req.Header.Set("X-Genesys-Event-ID", strings.Repeat("ä", 200))
	req.Header.Set("X-Genesys-Event-Type", "interaction")
	req.Header.Set("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
	req.Header.Set("tracestate", "vendor=1")
	req.Header.Set("Nats-Msg-Id", "forged")
	require.Equal(t, http.StatusAccepted, s.do(req).code)

	require.Len(t, store.all(), 1)
	e := store.all()[0]
	assert.WithinDuration(t, time.Now(), e.Received, 10*time.Second)
	assert.Regexp(t, "^[0-9a-f]{32}$", e.Fingerprint)
	e.Received, e.Fingerprint = time.Time{}, ""
	assert.Equal(t, mesh.Event{
		Source: "genesys", Organization: "acme", Interaction: "42", ID: "e-1", Type: "interaction", Media: "chat",
		Occurred:   time.Unix(1678886400, 0).UTC(),
		DeliveryID: strings.Repeat("ä", 128), DeliveryType: "interaction",
		TraceParent: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", TraceState: "vendor=1",
		Body: []byte(body),
	}, e)
}

// TestRefusals is what a sender is told when its request can't be taken: nothing of it is stored.
func TestRefusals(t *testing.T) {
	good := genesys.Sign(testSecret, []byte(goodBody))
	header := func(values ...string) func(*http.Request) {
		return func(r *http.Request) { r.Header["X-Genesys-Signature"] = values }
	}
	cases := []struct {
		name   string
		body   string
		change func(*http.Request)
		code   int
		reason string
	}{
		{"no signature", goodBody, header(), 401, "unauthorized"},
		{"wrong signature", goodBody, header(genesys.Sign("other", []byte(goodBody))), 401, "unauthorized"},
		{"malformed signature", goodBody, header("sha256="), 401, "unauthorized"},
		{"two signatures, the first right", goodBody, header(good, "0"), 401, "unauthorized"},
		{"two signatures, the second right", goodBody, header("0", good), 401, "unauthorized"},
		{"unsigned rubbish", "{", header(), 401, "unauthorized"},
		{"empty body", "", nil, 400, "empty_body"},
		{"compressed", goodBody, func(r *http.Request) { r.Header.Set("Content-Encoding", "gzip") }, 415, "content_encoding"},
		{"compressed, second line", goodBody, func(r *http.Request) { r.Header["Content-Encoding"] = []string{"identity", "br"} }, 415, "content_encoding"},
		{"body above the limit", strings.Repeat(" ", 512<<10) + goodBody, nil, 413, "body_too_large"},
		{"10 MB", strings.Repeat("x", 10<<20), nil, 413, "body_too_large"},
		{"10 MB without a length", strings.Repeat("x", 10<<20), func(r *http.Request) { r.ContentLength = -1 }, 413, "body_too_large"},
		{"unknown path", goodBody, func(r *http.Request) { r.URL.Path = "/webhooks/none" }, 404, "not_found"},
		{"trailing slash", goodBody, func(r *http.Request) { r.URL.Path += "/" }, 404, "not_found"},
		{"other case", goodBody, func(r *http.Request) { r.URL.Path = "/Webhooks/Genesys" }, 404, "not_found"},
		{"unclean path", goodBody, func(r *http.Request) { r.URL.Path = "//x/../webhooks/genesys" }, 404, "not_found"},
		{"wrong method", goodBody, func(r *http.Request) { r.Method = http.MethodPut }, 405, "method_not_allowed"},
		{"OPTIONS", "", func(r *http.Request) { r.Method = http.MethodOptions }, 405, "method_not_allowed"},
	}
	store := new(memory)
	s := start(t, store)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			req := s.request(c.body)
			if c.change != nil {
				c.change(req)
			}
			got := s.do(req)
			assert.Equal(t, c.code, got.code)
			assert.JSONEq(t, fmt.Sprintf(`{"error":%q,"reason":%q}`, http.StatusText(c.code), c.reason), got.raw)
			assert.Equal(t, "application/json", got.header.Get("Content-Type"))
			assert.Equal(t, "nosniff", got.header.Get("X-Content-Type-Options"))
			assert.Empty(t, got.header.Get("Location"), "senders take a redirection for a failure")
			if c.code == http.StatusMethodNotAllowed {
				assert.Equal(t, "POST", got.header.Get("Allow"))
			}
		})
	}
	assert.Empty(t, store.all())
	assert.NotContains(t, s.log.String(), testSecret)
	assert.Equal(t, http.StatusAccepted, s.post(goodBody).code, "the next good event is taken")
}

func TestSignatureFailuresAreCountedByReasonOnly(t *testing.T) {
	s := start(t, new(memory))
	for range 3 {
		for _, values := range [][]string{nil, {"a", "b"}, {"zz"}, {strings.Repeat("0", 64)}} {
			req := s.request(goodBody)
			req.Header["X-Genesys-Signature"] = values
			assert.JSONEq(t, `{"error":"Unauthorized","reason":"unauthorized"}`, s.do(req).raw)
		}
	}
	for _, reason := range []string{"missing", "several", "malformed", "mismatch"} {
		n := s.counted("genmesh_ingress_signature_failures_total", "reason="+reason, "source=genesys")
		assert.Equal(t, 3.0, n, reason)
	}
	assert.Equal(t, 12.0, s.counted("genmesh_ingress_requests_total", "outcome=unauthorized", "source=genesys"))
	assert.Equal(t, 4, strings.Count(s.log.String(), "level=warning"), "each reason once: forgers don't fill the log")
}

// TestQuarantine is what becomes of a signed body that can't go on its way.
func TestQuarantine(t *testing.T) {
	nested := func(depth int) string {
		return `{"data":{"id":"1"},"x":` + strings.Repeat("[", depth-1) + strings.Repeat("]", depth-1) + `}`
	}
	cases := []struct {
		name, body, reason string
	}{
		{"syntax", `{"data":`, "invalid_json"},
		{"duplicate name", `{"data":{"id":"1","id":"2"}}`, "invalid_json"},
		{"duplicate name, escaped", `{"data":{"id":"1"},"d\u0061ta":{"id":"2"}}`, "invalid_json"},
		{"invalid UTF-8", "{\"data\":{\"id\":\"\xff\"}}", "invalid_json"},
		{"lone surrogate", `{"data":{"id":"\ud800"}}`, "invalid_json"},
		{"NUL", "{\"data\":{\"id\":\"1\x00\"}}", "invalid_json"},
		{"trailing data", goodBody + "{}", "invalid_json"},
		{"byte order mark", "\ufeff" + goodBody, "invalid_json"},
		{"white space only", " \n", "invalid_json"},
		{"array", `[` + goodBody + `]`, "json_not_an_object"},
		{"string", `"987654321"`, "json_not_an_object"},
		{"null", `null`, "json_not_an_object"},
		{"65 deep", nested(65), "json_too_deep"},
		{"100,000 deep", strings.Repeat("[", 100_000), "json_too_deep"},
		{"no id", `{"data":{}}`, "no_interaction_id"},
		{"null id", `{"data":{"id":null}}`, "no_interaction_id"},
		{"empty id", `{"data":{"id":""}}`, "no_interaction_id"},
		{"true as id", `{"data":{"id":true}}`, "no_interaction_id"},
		{"object as id", `{"data":{"id":{"id":"1"}}}`, "no_interaction_id"},
		{"array as id", `{"data":{"id":["1"]}}`, "no_interaction_id"},
		{"other case", `{"data":{"ID":"1"}}`, "no_interaction_id"},
		{"like an erasure of genmesh", `{"eventTypeId":"genmesh.erasure","data":{"id":"1"}}`, "reserved_type"},
		{"like anything of genmesh", `{"eventTypeId":"genmesh.","data":{"id":"1"}}`, "reserved_type"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			store := new(memory)
			s := start(t, store)
			got := s.post(c.body)
			assert.Equal(t, http.StatusAccepted, got.code)
			assert.Equal(t, "quarantined", got.Status)
			assert.Equal(t, c.reason, got.Reason)
			assert.Equal(t, "QUARANTINE", got.Stream)
			assert.Equal(t, uint64(1), got.Sequence)
			assert.Equal(t, map[string]int{c.reason: 1}, store.reasons())
			require.Len(t, store.all(), 1)
			assert.Equal(t, c.body, string(store.all()[0].Body))
			assert.NotEmpty(t, store.all()[0].Fingerprint)
			assert.NotEmpty(t, store.all()[0].Detail)
			assert.NotContains(t, got.raw, store.all()[0].Detail, "it is for us and not for the sender")
			assert.Equal(t, "quarantined", s.post(c.body).Status, "a repetition is told the same")
		})
	}
	t.Run("types that only look like genmesh's are fine", func(t *testing.T) {
		store := new(memory)
		s := start(t, store)
		for i, of := range []string{"genmesh", "genmeshes.erasure", "x.genmesh.erasure", "Genmesh.erasure"} {
			assert.Equal(t, "accepted", s.post(fmt.Sprintf(`{"eventTypeId":%q,"data":{"id":"%d"}}`, of, i)).Status, of)
		}
	})
	t.Run("64 deep is fine", func(t *testing.T) {
		assert.Equal(t, "accepted", start(t, new(memory)).post(nested(64)).Status)
	})
}

func TestEventAge(t *testing.T) {
	source := testSource()
	source.MaxEventAge = mesh.Duration(time.Hour)
	s := start(t, new(memory), func(o *Options) { o.Sources = []mesh.Source{source} })
	body := func(at any) string { return fmt.Sprintf(`{"timestamp":%v,"data":{"id":"1"}}`, at) }
	now := time.Now()

	assert.Equal(t, "accepted", s.post(body(now.Unix())).Status)
	assert.Equal(t, "accepted", s.post(body(now.Add(-50*time.Minute).Unix())).Status)
	assert.Equal(t, "event_age", s.post(body(now.Add(-2*time.Hour).Unix())).Reason)
	assert.Equal(t, "event_age", s.post(body(now.Add(2*time.Hour).Unix())).Reason)
	assert.Equal(t, "event_age", s.post(body(`"yesterday"`)).Reason, "an event without a time has no age to show")
}

// TestIdsAreTakenAsTheyAre: a signed event is never refused for its looks.
func TestIdsAreTakenAsTheyAre(t *testing.T) {
	for name, c := range map[string]struct{ json, id string }{
		"line breaks":     {`"a\r\nNats-Rollup: all"`, "a\r\nNats-Rollup: all"},
		"wildcards":       {`"*.>"`, "*.>"},
		"dots":            {`"a..b."`, "a..b."},
		"NUL, escaped":    {`"a\u0000b"`, "a\x00b"},
		"beyond ASCII":    {`"\ud83d\ude00"`, "😀"},
		"number":          {`987654321`, "987654321"},
		"2^53+1":          {`9007199254740993`, "9007199254740993"},
		"many digits":     {`123456789012345678901234567890`, "123456789012345678901234567890"},
		"markup":          {`"<script>\"</script>"`, `<script>"</script>`},
		"very long":       {`"` + strings.Repeat("x", 100_000) + `"`, strings.Repeat("x", 100_000)},
		"blank":           {`" "`, " "},
		"fraction":        {`1.50`, "1.50"},
		"NATS own prefix": {`"$SYS.REQ"`, "$SYS.REQ"},
	} {
		t.Run(name, func(t *testing.T) {
			store := new(memory)
			got := start(t, store).post(`{"data":{"id":` + c.json + `}}`)
			assert.Equal(t, "accepted", got.Status)
			assert.Equal(t, clip(c.id, mesh.MaxValueBytes), got.InteractionID)
			require.Len(t, store.all(), 1)
			assert.Equal(t, c.id, store.all()[0].Interaction)
		})
	}
}

func TestGzipBombIsNotUnpacked(t *testing.T) {
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, err := z.Write(make([]byte, 50<<20))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	store := new(memory)
	s := start(t, store)

	req := s.request(bomb.String())
	req.Header.Set("Content-Encoding", "gzip")
	assert.Equal(t, http.StatusUnsupportedMediaType, s.do(req).code)
	assert.Equal(t, "invalid_json", s.post(bomb.String()).Reason, "without the header it is no JSON")
	assert.Equal(t, bomb.Bytes(), store.all()[0].Body)
}

func TestBodyWithoutLength(t *testing.T) {
	s := start(t, new(memory))
	req := s.request(goodBody)
	req.ContentLength = -1
	req.Body = io.NopCloser(io.MultiReader(strings.NewReader(goodBody[:10]), strings.NewReader(goodBody[10:])))
	assert.Equal(t, "accepted", s.do(req).Status)
}

func TestHugeHeader(t *testing.T) {
	s := start(t, new(memory))
	req := s.request(goodBody)
	req.Header.Set("X-Huge", strings.Repeat("x", 64<<10))
	response, err := s.client.Do(req)
	require.NoError(t, err)
	defer response.Body.Close()
	assert.Equal(t, http.StatusRequestHeaderFieldsTooLarge, response.StatusCode)
}

func TestSlowBody(t *testing.T) {
	store := new(memory)
	s := prepare(t, store)
	s.http.ReadTimeout = 100 * time.Millisecond
	s.run()
	slow, never := io.Pipe()
	defer never.Close()
	go func() { _, _ = never.Write([]byte(goodBody[:20])) }()
	req := s.request(goodBody)
	req.Body = slow
	got := s.do(req)
	assert.Equal(t, http.StatusRequestTimeout, got.code)
	assert.Equal(t, "body_timeout", got.Reason)
	assert.Empty(t, store.all())
}

func TestCommitFailures(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		code   int
		reason string
	}{
		"unavailable": {fmt.Errorf("no quorum at nats://10.0.0.1: %w", mesh.ErrUnavailable), 503, "unavailable"},
		"too large":   {fmt.Errorf("stream INTERACTIONS: %w", mesh.ErrTooLarge), 413, "body_too_large"},
		"deadline":    {context.DeadlineExceeded, 503, "unavailable"},
		"unknown":     {errors.New("something else"), 503, "unavailable"},
	} {
		for kind, body := range map[string]string{"commit": goodBody, "quarantine": "{"} {
			t.Run(name+" "+kind, func(t *testing.T) {
				s := start(t, &memory{before: func(context.Context, mesh.Event) error { return c.err }})
				got := s.post(body)
				assert.Equal(t, c.code, got.code)
				assert.Equal(t, c.reason, got.Reason)
				assert.NotContains(t, got.raw, "10.0.0.1", "the cause stays in our log")
				if c.code == http.StatusServiceUnavailable {
					assert.Equal(t, "5", got.header.Get("Retry-After"))
					assert.Contains(t, s.log.String(), c.err.Error())
				}
			})
		}
	}
}

func TestSlowCommitIsUnavailable(t *testing.T) {
	s := start(t, &memory{before: func(ctx context.Context, _ mesh.Event) error {
		<-ctx.Done()
		return ctx.Err()
	}}, func(o *Options) { o.Sources[0].AnswerWithin = mesh.Duration(50 * time.Millisecond) })
	got := s.post(goodBody)
	assert.Equal(t, http.StatusServiceUnavailable, got.code)
	assert.Equal(t, "5", got.header.Get("Retry-After"))
}

func TestEventIsCommittedThoughTheSenderLeft(t *testing.T) {
	sender, leave := context.WithCancel(t.Context())
	store := &memory{before: func(ctx context.Context, _ mesh.Event) error {
		leave()
		return ctx.Err()
	}}
	s := start(t, store)
	w := httptest.NewRecorder()
	s.serveHTTP(w, s.request(goodBody).WithContext(sender))
	assert.Equal(t, http.StatusAccepted, w.Code)
	assert.Len(t, store.all(), 1)
}

// raw sends what no HTTP client would and returns the answer's head.
func (r *running) raw(request string) string {
	conn, err := net.Dial("tcp", r.Addr().String())
	require.NoError(r.t, err)
	defer conn.Close()
	require.NoError(r.t, conn.SetDeadline(time.Now().Add(5*time.Second)))
	_, err = io.WriteString(conn, request)
	require.NoError(r.t, err)
	answer := make([]byte, 1024)
	n, err := conn.Read(answer)
	require.NoError(r.t, err)
	return string(answer[:n])
}

func TestAnnouncedBodyAboveTheLimitIsNotAwaited(t *testing.T) {
	s := start(t, new(memory))
	assert.Contains(t, s.raw("POST /webhooks/genesys HTTP/1.1\r\nHost: x\r\nContent-Length: 10000000\r\nExpect: 100-continue\r\n\r\n"),
		"HTTP/1.1 413 ")
}

func TestOptionsOfTheWholeServer(t *testing.T) {
	s := start(t, new(memory))
	assert.Contains(t, s.raw("OPTIONS * HTTP/1.1\r\nHost: x\r\n\r\n"), "HTTP/1.1 405 ")
}

func TestSenderThatLeavesInMidBody(t *testing.T) {
	store := new(memory)
	s := start(t, store)
	conn, err := net.Dial("tcp", s.Addr().String())
	require.NoError(t, err)
	_, err = fmt.Fprintf(conn, "POST /webhooks/genesys HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n%s", goodBody)
	require.NoError(t, err)
	require.NoError(t, conn.(*net.TCPConn).CloseWrite())
	answer, err := io.ReadAll(conn)
	require.NoError(t, err)
	require.NoError(t, conn.Close())
	assert.Contains(t, string(answer), "400 Bad Request")
	assert.Contains(t, string(answer), "incomplete_body")
	assert.Empty(t, store.all())
}

func TestPanicIsOneRequestsTrouble(t *testing.T) {
	calls := 0
	s := start(t, &memory{before: func(context.Context, mesh.Event) error {
		if calls++; calls == 1 {
			panic("out of order")
		}
		return nil
	}})
	got := s.post(goodBody)
	assert.Equal(t, http.StatusInternalServerError, got.code)
	assert.JSONEq(t, `{"error":"Internal Server Error","reason":"internal"}`, got.raw)
	assert.Equal(t, http.StatusAccepted, s.post(goodBody).code)
	assert.Equal(t, 1, strings.Count(s.log.String(), "out of order"))
	assert.Contains(t, s.log.String(), "receive.go", "with the stack")
	assert.Equal(t, 1.0, s.counted("genmesh_ingress_requests_total", "outcome=internal", "source=genesys"))
	assert.Equal(t, 0.0, s.counted("genmesh_ingress_in_flight", "source=genesys"))
}

// BenchmarkReceive is what a request of 1 KB costs beside HTTP and the commit.
func BenchmarkReceive(b *testing.B) {
	s := prepare(b, forgetful{}, func(o *Options) { o.Logger = quiet() })
	defer s.Close()
	body := []byte(strings.Replace(goodBody, "c-12345", strings.Repeat("c", 860), 1))
	to := s.Server.routes.Load().receivers["genesys"]
	r := s.request(string(body))
	b.ReportAllocs()
	for b.Loop() {
		e := to.newEvent(r.Header, body)
		if err := to.verify(b.Context(), r, &e); err != nil {
			b.Fatal(err)
		}
		if reading := to.reader.Read(r.Header, e); reading[0].Reason != "" {
			b.Fatal(reading[0].Reason)
		}
	}
}
