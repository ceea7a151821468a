package ingress

import (
	"bufio"
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/textproto"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"github.com/synadia-io/orbit.go/jetstreamext"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// hostileKeys are what the corpus signs with. The sources know the first two alone.
var hostileKeys = map[string]string{
	"current":  "whsec_current_0123456789abcdef",
	"previous": "whsec_previous_0123456789abcd",
	"wrong":    "whsec_wrong_0123456789abcdef00",
	"empty":    "",
	"blank":    " ",
}

// hostileStreams are the sources that the corpus attacks: one for each way to verify, and one for each limit.
const hostileStreams = `{
	"sources": [
		{"name": "genesys", "path": "/webhooks/genesys", "preset": "genesys", "secrets": ["${current}", "${previous}"], "stream": "INTERACTIONS"},
		{"name": "timed", "path": "/webhooks/timed", "preset": "hmac", "secrets": ["${current}", "${previous}"], "stream": "OTHERS",
			"verification": {"encodings": ["hex", "base64"], "signed": "{timestamp}.{body}", "timestamp_header": "X-Timestamp"},
			"identity": {"interaction": "id", "event_type": "type"}, "dedupe_key": "{source}:{interaction}"},
		{"name": "standard", "path": "/webhooks/standard", "preset": "standard-webhooks", "secrets": ["${current64}", "${previous64}"],
			"stream": "OTHERS", "identity": {"interaction": "data.id"}, "dedupe_key": "{source}:{interaction}"},
		{"name": "message", "path": "/webhooks/message", "preset": "http-message-signature", "secrets": ["${current64}", "${previous64}"],
			"stream": "OTHERS", "identity": {"interaction": "data.id"}, "dedupe_key": "{source}:{interaction}"},
		{"name": "bridge", "path": "/webhooks/bridge", "preset": "genesys-eventbridge", "secrets": ["${current}", "${previous}"],
			"stream": "OTHERS"},
		{"name": "basic", "path": "/webhooks/basic", "verification": {"method": "basic"}, "secrets": ["${basic}"],
			"stream": "OTHERS", "identity": {"interaction": "id"}, "dedupe_key": "{source}:{interaction}"},
		{"name": "bearer", "path": "/webhooks/bearer", "verification": {"method": "bearer"}, "secrets": ["${current}", "${previous}"],
			"stream": "OTHERS", "identity": {"interaction": "id"}, "dedupe_key": "{source}:{interaction}"},
		{"name": "jwt", "path": "/webhooks/jwt", "verification": {"method": "jwt", "audience": "mesh", "issuer": "desk"},
			"secrets": ["${current}", "${previous}"], "stream": "OTHERS", "identity": {"interaction": "id"}, "dedupe_key": "{source}:{interaction}"},
		{"name": "engage", "path": "/webhooks/engage", "preset": "genesys-engage", "secrets": ["${current}", "${previous}"],
			"stream": "OTHERS"},
		{"name": "pinned", "path": "/webhooks/pinned", "preset": "genesys", "secrets": ["${current}"], "stream": "OTHERS",
			"identity": {"organization": "org"}, "organizations": ["acme"], "max_event_age": "24h", "max_body_bytes": 1024,
			"dedupe_key": "{source}:{interaction}"},
		{"name": "limited", "path": "/webhooks/limited", "preset": "genesys", "secrets": ["${current}"], "stream": "OTHERS",
			"rate_limit": "2/h", "dedupe_key": "{source}:{interaction}"}
	],
	"streams": [
		{"name": "INTERACTIONS", "subjects": ["genesys.>"], "max_age": "1h", "duplicate_window": "10m", "allow_atomic": true},
		{"name": "OTHERS", "subjects": ["timed.>", "standard.>", "message.>", "bridge.>", "basic.>", "bearer.>", "jwt.>", "engage.>", "pinned.>",
			"limited.>"], "max_age": "1h", "duplicate_window": "10m", "allow_atomic": true},
		{"name": "DEAD_LETTERS", "subjects": ["dead.>"]},
		{"name": "QUARANTINE", "subjects": ["quarantine.>"], "duplicate_window": "10m", "allow_atomic": true},
		{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}
	]
}`

// keptStreams are where events may be kept.
var keptStreams = []string{"INTERACTIONS", "OTHERS", "QUARANTINE"}

func hostileEnv(name string) (string, bool) {
	if key, ok := strings.CutSuffix(name, "64"); ok {
		return base64.StdEncoding.EncodeToString([]byte(hostileKeys[key])), true
	}
	if name == "basic" {
		return "mesh:" + hostileKeys["current"], true
	}
	return hostileKeys[name], true
}

// hostileTopic is a file of testdata/hostile. Its cases run in their order, for some are about what came before.
type hostileTopic struct {
	name string
	// To, Proof and Over go for all cases that have none of their own.
	To    string
	Proof []written
	Over  written
	Cases []*hostileCase
}

// hostileCase is one connection to the ingress: what is sent, what must be answered, and what must be stored of it.
type hostileCase struct {
	Name, Why string
	// To is the name of the source.
	To string
	// Line is the request line; "POST <the source's path> HTTP/1.1" if there is none.
	Line written
	// Proof are the header lines that shall prove where it comes from.
	Proof []written
	// Over is what {current} and its like sign; the body if there is none.
	Over    written
	Headers []written
	Body    written
	// Framing is "length" (default), "chunked" (one chunk) or "none".
	Framing string
	// Raw is the whole of what is sent, instead of all the above.
	Raw written
	// Ends closes our side of the connection after the last byte.
	Ends bool
	// Answers are all that come. Closed: the server then hangs up by itself. Else the connection must be good for another request.
	Answers []hostileAnswer
	Closed  bool
}

// hostileAnswer is an answer that is expected, by the one field that is set, and with Header some of its headers; "" for one that
// must not be there.
type hostileAnswer struct {
	// Refused is the status and the reason of genmesh's own refusal, such as "401 unauthorized".
	Refused string
	// Plain is what net/http refuses by itself, such as "400 Bad Request".
	Plain string
	// Line is the status line of an answer without a body.
	Line string
	// Health is the answer of /healthz or /readyz: its status and its word, such as "200 ok".
	Health string
	// Accepted, Duplicate and Quarantined are events that are kept.
	Accepted, Duplicate, Quarantined *hostileEvent
	// Events are those of a delivery that brought several; the answer has the status of the best.
	Events []hostileAnswer
	Header map[string]string
}

// hostileEvent is an event as it lies in its stream. What is not said must be empty there, but Body, which then is the one that was
// sent, and MsgID and Detail, which then are not looked at.
type hostileEvent struct {
	Subject, Reason, Detail  string
	MsgID                    string `json:"msg_id"`
	Interaction, Type, Media written
	Body                     written
}

// written is a text as the corpus has it: a JSON string, or a list of strings, {"hex": "00ff"} and {"repeat": "a", "times": 1000}.
type written []fragment

type fragment struct {
	Text, Hex, Repeat string
	Times             int
}

func (w *written) UnmarshalJSON(raw []byte) error {
	var text string
	if json.Unmarshal(raw, &text) == nil {
		*w = written{{Text: text}}
		return nil
	}
	var parts []json.RawMessage
	if err := json.Unmarshal(raw, &parts); err != nil {
		return err
	}
	*w = make(written, len(parts))
	for i, part := range parts {
		if part[0] == '"' {
			if err := json.Unmarshal(part, &(*w)[i].Text); err != nil {
				return err
			}
			continue
		}
		if err := json.Unmarshal(part, &(*w)[i]); err != nil {
			return err
		}
	}
	return nil
}

// bytes writes it out; texts go through fill.
func (w written) bytes(fill func(string) string) []byte {
	var b []byte
	for _, f := range w {
		raw, err := hex.DecodeString(f.Hex)
		if err != nil {
			panic("the corpus has bad hex: " + f.Hex)
		}
		b = append(append(append(b, fill(f.Text)...), raw...), strings.Repeat(f.Repeat, f.Times)...)
	}
	return b
}

func asItIs(s string) string { return s }

func (w written) String() string { return string(w.bytes(asItIs)) }

// sender fills in what a case leaves to the moment of sending: lengths, times and signatures.
type sender struct {
	body, over []byte
	now        time.Time
}

// A placeholder is {length}, {body}, {chunked}, {digest}, {now} or the name of a key, which stands for an HMAC-SHA256 in hex, with what
// is done to it: {now|add -600}, {wrong|sha1|base64}, {current|flip 0|cut 8}.
var placeholder = regexp.MustCompile(`\{(length|body|chunked|digest|now|current|previous|wrong|empty|blank)(\|[^{}]*)?\}`)

func (s *sender) fill(text string) string {
	return placeholder.ReplaceAllStringFunc(text, func(found string) string {
		name, rest, _ := strings.Cut(strings.Trim(found, "{}"), "|")
		var changes []string
		if rest != "" {
			changes = strings.Split(rest, "|")
		}
		switch name {
		case "length":
			return strconv.Itoa(len(s.body))
		case "body":
			return string(s.body)
		case "chunked":
			return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(s.body), s.body)
		case "digest":
			sum := sha256.Sum256(s.body)
			return base64.StdEncoding.EncodeToString(sum[:])
		case "now":
			return timeWith(s.now, changes)
		}
		return s.signature(name, changes)
	})
}

func timeWith(at time.Time, changes []string) string {
	text := ""
	for _, change := range changes {
		what, n, _ := strings.Cut(change, " ")
		switch what {
		case "add":
			seconds, _ := strconv.Atoi(n)
			at = at.Add(time.Duration(seconds) * time.Second)
		case "millis":
			text = strconv.FormatInt(at.UnixMilli(), 10)
		case "rfc3339":
			text = at.UTC().Format(time.RFC3339)
		default:
			panic("the corpus asks for an unknown change: " + change)
		}
	}
	if text == "" {
		text = strconv.FormatInt(at.Unix(), 10)
	}
	return text
}

func (s *sender) signature(key string, changes []string) string {
	mac := s.mac(hostileKeys[key], "sha256")
	text := ""
	encoded := func() string {
		if text == "" {
			text = hex.EncodeToString(mac)
		}
		return text
	}
	for _, change := range changes {
		what, argument, _ := strings.Cut(change, " ")
		n, _ := strconv.Atoi(argument)
		switch what {
		case "sha1", "sha512":
			mac = s.mac(hostileKeys[key], what)
		case "unkeyed":
			sum := sha256.Sum256(s.over)
			mac = sum[:]
		case "swapped": // the key is what is signed, and what is signed is the key
			swapped := hmac.New(sha256.New, s.over)
			swapped.Write([]byte(hostileKeys[key]))
			mac = swapped.Sum(nil)
		case "first":
			mac = mac[:n]
		case "flip":
			mac[n] ^= 1
		case "zero":
			clear(mac)
		case "base64":
			text = base64.StdEncoding.EncodeToString(mac)
		case "raw64":
			text = base64.RawStdEncoding.EncodeToString(mac)
		case "plain":
			text = hostileKeys[key]
		case "upper":
			text = strings.ToUpper(encoded())
		case "mixed":
			text = strings.ToUpper(encoded()[:32]) + encoded()[32:]
		case "cut":
			text = encoded()[:n]
		case "from":
			text = encoded()[n:]
		default:
			panic("the corpus asks for an unknown change: " + change)
		}
	}
	return encoded()
}

func (s *sender) mac(key, algorithm string) []byte {
	mac := hmac.New(sha256.New, []byte(key))
	switch algorithm {
	case "sha1":
		mac = hmac.New(sha1.New, []byte(key))
	case "sha512":
		mac = hmac.New(sha512.New, []byte(key))
	}
	mac.Write(s.over)
	return mac.Sum(nil)
}

// request is all that a case sends.
func (c *hostileCase) request(path string) []byte {
	s := &sender{body: c.Body.bytes(asItIs), now: time.Now()}
	s.over = s.body
	if len(c.Over) > 0 {
		s.over = c.Over.bytes(s.fill)
	}
	if len(c.Raw) > 0 {
		return c.Raw.bytes(s.fill)
	}
	lines := []written{c.Line, {{Text: "Host: mesh.example.com"}}}
	if len(c.Line) == 0 {
		lines[0] = written{{Text: "POST " + path + " HTTP/1.1"}}
	}
	ending := map[string]struct{ header, body string }{
		"": {"Content-Length: {length}", "{body}"}, "chunked": {"Transfer-Encoding: chunked", "{chunked}"}, "none": {},
	}[c.Framing]
	if ending.header != "" {
		lines = append(lines, written{{Text: ending.header}})
	}
	var b []byte
	for _, line := range slices.Concat(lines, c.Proof, c.Headers) {
		b = append(append(b, line.bytes(s.fill)...), "\r\n"...)
	}
	return append(append(b, "\r\n"...), s.fill(ending.body)...)
}

// readHostile reads the corpus.
func readHostile(t *testing.T) []*hostileTopic {
	t.Helper()
	files, err := filepath.Glob("testdata/hostile/*.json")
	require.NoError(t, err)
	var topics []*hostileTopic
	names := make(map[string]bool)
	for _, file := range files {
		raw, err := os.ReadFile(file)
		require.NoError(t, err)
		topic := &hostileTopic{name: strings.TrimSuffix(filepath.Base(file), ".json")}
		d := json.NewDecoder(bytes.NewReader(raw))
		d.DisallowUnknownFields()
		require.NoError(t, d.Decode(topic), file)
		for _, c := range topic.Cases {
			require.NotEmpty(t, c.Why, "%s: %s", file, c.Name)
			require.False(t, names[topic.name+"/"+c.Name], "%s: the name %q stands twice", file, c.Name)
			names[topic.name+"/"+c.Name] = true
			topic.complete(c)
		}
		topics = append(topics, topic)
	}
	require.GreaterOrEqual(t, len(names), 500)
	return topics
}

func (topic *hostileTopic) complete(c *hostileCase) {
	if c.To == "" {
		c.To = topic.To
	}
	if c.Proof == nil {
		c.Proof = topic.Proof
	}
	if c.Over == nil {
		c.Over = topic.Over
	}
}

// hostileMesh is an ingress with JetStream behind it.
type hostileMesh struct {
	*running
	js    jetstream.JetStream
	paths map[string]string // of the sources
	last  map[string]uint64 // the last sequence of each stream that was looked at
	// unauthorized are the answers to what was not signed as it must be, byte for byte but for the date.
	unauthorized map[string]string
}

func startHostileMesh(t *testing.T) *hostileMesh {
	t.Helper()
	js := meshtest.Start(t).JetStream()
	topology, err := mesh.ParseTopology([]byte(hostileStreams), mesh.ParseOptions{Presets: genesys.SourceDefaults(), LookupEnv: hostileEnv})
	require.NoError(t, err)
	meshtest.Apply(t, js, topology)
	committer, err := mesh.NewCommitter(js, topology, quiet(), nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- committer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-ended)
	})
	m := &hostileMesh{js: js, paths: make(map[string]string), last: make(map[string]uint64), unauthorized: make(map[string]string)}
	for _, source := range topology.Sources {
		m.paths[source.Name] = source.Path
	}
	m.running = start(t, committer, func(o *Options) {
		o.Sources = topology.Sources
		o.Verifier = func(s mesh.Source) (Verifier, error) {
			keys, err := s.ResolveSecrets(hostileEnv)
			if err != nil {
				return nil, err
			}
			return NewVerifier(s, keys)
		}
	})
	return m
}

// TestHostileRequests sends the corpus of testdata/hostile to an ingress with a real JetStream behind it. What is expected was written
// from RFC 9110 and 9112, RFC 8259 and the README, not taken from what was answered.
func TestHostileRequests(t *testing.T) {
	topics := readHostile(t)
	m := startHostileMesh(t)
	n := 0
	for _, topic := range topics {
		for _, c := range topic.Cases {
			n++
			t.Run(topic.name+"/"+c.Name, func(t *testing.T) { m.attack(t, topic, c) })
		}
		m.acceptsTheNext(t, topic.name)
	}
	t.Logf("%d cases of %d topics", n, len(topics))
	assert.Len(t, m.unauthorized, 1, "each wrong proof is answered alike")
	log := m.log.String()
	assert.NotContains(t, log, "panicked")
	for _, name := range []string{"current", "previous"} {
		assert.NotContains(t, log, hostileKeys[name])
	}
}

// slowest is the longest that any answer may take.
const slowest = time.Second

// attack runs a case. What was answered too late is sent again: what is slow by its own doing is slow each time, and a busy machine is not.
func (m *hostileMesh) attack(t *testing.T, topic *hostileTopic, c *hostileCase) {
	took := m.exchange(t, c, func(i int, got *rawAnswer) { m.check(t, topic, c, &c.Answers[i], got) })
	m.checkKept(t, c)
	for range 3 {
		if took <= slowest {
			return
		}
		took = m.exchange(t, c, func(int, *rawAnswer) {})
		for _, stream := range keptStreams {
			m.arrived(t, stream)
		}
	}
	assert.LessOrEqual(t, took, slowest, c.Why)
}

// rawAnswer is an answer as it came.
type rawAnswer struct {
	code int
	head http.Header
	line string
	body []byte
}

// exchange sends what a case sends, hands each answer on and sees to it that there is no other. It returns how long the answers took.
func (m *hostileMesh) exchange(t *testing.T, c *hostileCase, each func(i int, got *rawAnswer)) time.Duration {
	conn, err := net.Dial("tcp", m.Addr().String())
	require.NoError(t, err)
	defer conn.Close()
	request := c.request(m.paths[c.To])
	sent := make(chan struct{})
	defer func() { <-sent }()
	began := time.Now()
	go func() {
		defer close(sent)
		_, _ = conn.Write(request) // the server may hang up before it has read all
		if c.Ends {
			_ = conn.(*net.TCPConn).CloseWrite()
		}
	}()
	require.NoError(t, conn.SetDeadline(time.Now().Add(20*time.Second)))
	r := bufio.NewReader(conn)
	for i := range c.Answers {
		got, err := readRaw(r, c.Answers[i].Line != "")
		require.NoError(t, err, "answer %d (%s)", i+1, c.Why)
		each(i, got)
	}
	took := time.Since(began)
	if !c.Closed && !c.Ends {
		m.isStillInStep(t, conn, r)
		return took
	}
	rest, err := io.ReadAll(r)
	assert.True(t, err == nil || isReset(err), "%v", err)
	assert.Empty(t, string(rest), "there is one answer too many (%s)", c.Why)
	_ = conn.Close() // so that what is still being written ends
	return took
}

// isStillInStep sees to it that nothing of what was sent is left to be read as a request: the next one on the connection is answered.
func (m *hostileMesh) isStillInStep(t *testing.T, conn net.Conn, r *bufio.Reader) {
	_, err := conn.Write([]byte("GET /healthz HTTP/1.1\r\nHost: mesh.example.com\r\n\r\n"))
	require.NoError(t, err)
	got, err := readRaw(r, false)
	require.NoError(t, err, "the connection is good for another request")
	assert.Equal(t, "200 "+`{"status":"ok"}`, fmt.Sprint(got.code, " ", strings.TrimSpace(string(got.body))))
}

func isReset(err error) bool {
	_, isNet := errors.AsType[*net.OpError](err)
	return isNet && !os.IsTimeout(err)
}

// readRaw reads an answer; a bodiless one ends with its headers.
func readRaw(r *bufio.Reader, bodiless bool) (*rawAnswer, error) {
	text := textproto.NewReader(r)
	line, err := text.ReadLine()
	if err != nil {
		return nil, err
	}
	head, err := text.ReadMIMEHeader()
	if err != nil {
		return nil, err
	}
	a := &rawAnswer{line: line, head: http.Header(head)}
	if _, err := fmt.Sscanf(line, "HTTP/1.%d %3d", new(int), &a.code); err != nil {
		return nil, fmt.Errorf("%q is no status line: %w", line, err)
	}
	switch length := a.head.Get("Content-Length"); {
	case bodiless:
		return a, nil
	case length != "":
		n, err := strconv.Atoi(length)
		if err != nil {
			return nil, err
		}
		if n > 1<<20 {
			return nil, fmt.Errorf("an answer of %d bytes", n)
		}
		a.body = make([]byte, n)
		_, err = io.ReadFull(r, a.body)
		return a, err
	default:
		a.body, err = io.ReadAll(io.LimitReader(r, 1<<20))
		if isReset(err) {
			err = nil // it hung up with something of ours unread
		}
		return a, err
	}
}

// check compares an answer with the one that is expected.
func (m *hostileMesh) check(t *testing.T, topic *hostileTopic, c *hostileCase, want *hostileAnswer, got *rawAnswer) {
	for name, value := range want.Header {
		assert.Equal(t, value, strings.Join(got.head.Values(name), ", "), "%s (%s)", name, c.Why)
	}
	switch {
	case want.Line != "":
		assert.Equal(t, want.Line, got.line[len("HTTP/1.1 "):], c.Why)
		assert.Empty(t, got.body)
		return
	case want.Plain != "":
		assert.Equal(t, want.Plain, fmt.Sprint(got.code, " ", http.StatusText(got.code)), c.Why)
		assert.Equal(t, "close", got.head.Get("Connection"))
		assert.Less(t, len(got.body), 100, "nothing of the request is repeated")
		return
	}
	assert.Equal(t, "application/json", got.head.Get("Content-Type"))
	assert.Equal(t, "nosniff", got.head.Get("X-Content-Type-Options"))
	assert.Empty(t, got.head.Get("Location"), "senders take a redirection for a failure")
	code, expected := want.answer(c)
	assert.Equal(t, code, got.code, "%s: %s", c.Why, got.body)
	var answered map[string]any
	require.NoError(t, json.Unmarshal(got.body, &answered), "%s", got.body)
	m.checkPlaces(t, answered)
	assert.Equal(t, expected, answered, c.Why)
	if got.code == http.StatusUnauthorized && strings.HasPrefix(topic.name, "signature") {
		got.head.Del("Date")
		m.unauthorized[fmt.Sprint(got.line, got.head, string(got.body))] = c.Name
	}
}

// answer is the status and the JSON that are expected; without sequences.
func (a *hostileAnswer) answer(c *hostileCase) (code int, fields map[string]any) {
	switch {
	case a.Refused != "":
		number, reason, _ := strings.Cut(a.Refused, " ")
		code, _ = strconv.Atoi(number)
		return code, map[string]any{"error": http.StatusText(code), "reason": reason}
	case a.Health != "":
		number, word, _ := strings.Cut(a.Health, " ")
		code, _ = strconv.Atoi(number)
		return code, map[string]any{"status": word}
	case a.Accepted != nil:
		code, fields = http.StatusAccepted, a.Accepted.fields(c, "accepted")
	case a.Duplicate != nil:
		code, fields = http.StatusOK, a.Duplicate.fields(c, "duplicate")
	case a.Quarantined != nil:
		code, fields = http.StatusAccepted, a.Quarantined.fields(c, "quarantined")
	default:
		code, fields = a.several(c)
	}
	if c.To == "engage" {
		code = http.StatusOK // as its accepted_status says
	}
	return code, fields
}

func (a *hostileAnswer) several(c *hostileCase) (code int, fields map[string]any) {
	code, status := http.StatusOK, "duplicate"
	var events []any
	for i := range a.Events {
		_, one := a.Events[i].answer(c)
		events = append(events, one)
		if one["status"] == "accepted" || one["status"] == "quarantined" && status != "accepted" {
			code, status = http.StatusAccepted, one["status"].(string)
		}
	}
	return code, map[string]any{"status": status, "events": events}
}

// stream keeps the events of the source.
func (c *hostileCase) stream() string {
	if c.To == "genesys" {
		return "INTERACTIONS"
	}
	return "OTHERS"
}

func (e *hostileEvent) fields(c *hostileCase, status string) map[string]any {
	fields := map[string]any{"status": status, "stream": c.stream(), "msg_id": e.MsgID}
	if status == "quarantined" {
		fields["stream"], fields["reason"], fields["msg_id"] = "QUARANTINE", e.Reason, e.quarantineID(c)
	}
	if interaction := e.Interaction.String(); interaction != "" {
		fields["interaction_id"] = clip(interaction, mesh.MaxValueBytes)
	}
	return fields
}

// quarantineID is the Nats-Msg-Id in quarantine: the source and the body's SHA-256.
func (e *hostileEvent) quarantineID(c *hostileCase) string {
	sum := sha256.Sum256(e.sent(c))
	return c.To + ":" + hex.EncodeToString(sum[:])
}

func (e *hostileEvent) sent(c *hostileCase) []byte {
	if len(e.Body) > 0 {
		return e.Body.bytes(asItIs)
	}
	return c.Body.bytes(asItIs)
}

// checkPlaces looks up each event where the answer says that it lies, and takes the sequences out of the answer.
func (m *hostileMesh) checkPlaces(t *testing.T, answered map[string]any) {
	if events, several := answered["events"].([]any); several {
		for _, one := range events {
			m.checkPlaces(t, one.(map[string]any))
		}
	}
	sequence, ok := answered["sequence"].(float64)
	if !ok {
		return
	}
	delete(answered, "sequence")
	stream, err := m.js.Stream(t.Context(), answered["stream"].(string))
	require.NoError(t, err)
	message, err := stream.GetMsg(t.Context(), uint64(sequence))
	require.NoError(t, err, "it lies where the answer says")
	assert.Equal(t, answered["msg_id"], message.Header.Get(nats.MsgIdHdr))
}

// checkKept compares what came into the streams with what the answers are about, and with nothing else.
func (m *hostileMesh) checkKept(t *testing.T, c *hostileCase) {
	var accepted, quarantined []*hostileEvent
	var collect func(answers []hostileAnswer)
	collect = func(answers []hostileAnswer) {
		for i := range answers {
			if e := answers[i].Accepted; e != nil {
				accepted = append(accepted, e)
			}
			if e := answers[i].Quarantined; e != nil {
				quarantined = append(quarantined, e)
			}
			collect(answers[i].Events)
		}
	}
	collect(c.Answers)
	expected := map[string][]*hostileEvent{c.stream(): accepted, "QUARANTINE": quarantined}
	for _, stream := range keptStreams {
		m.checkStream(t, c, stream, expected[stream])
	}
}

func (m *hostileMesh) checkStream(t *testing.T, c *hostileCase, name string, expected []*hostileEvent) {
	messages := m.arrived(t, name)
	if !assert.Len(t, messages, len(expected), "events in %s (%s)", name, c.Why) {
		return
	}
	for i, message := range messages {
		want := *expected[i]
		if name == "QUARANTINE" {
			want.Subject, want.MsgID = "quarantine."+c.To+"."+want.Reason, want.quarantineID(c)
		}
		interaction := want.Interaction.String()
		if len(interaction) > mesh.MaxValueBytes {
			sum := sha256.Sum256([]byte(interaction))
			interaction = "=" + hex.EncodeToString(sum[:])
		}
		if want.Detail == "" {
			want.Detail = kept(t, message.Header, mesh.HeaderDetail)
		}
		assert.Equal(t,
			[]string{want.Subject, want.MsgID, interaction, want.Type.String(), want.Media.String(), want.Reason, want.Detail},
			[]string{message.Subject, message.Header.Get(nats.MsgIdHdr), kept(t, message.Header, mesh.HeaderInteraction),
				kept(t, message.Header, mesh.HeaderEventType), kept(t, message.Header, mesh.HeaderMedia),
				kept(t, message.Header, mesh.HeaderReason), kept(t, message.Header, mesh.HeaderDetail)}, c.Why)
		assert.Equal(t, string(expected[i].sent(c)), string(message.Data), "byte for byte")
		assert.Equal(t, c.To, message.Header.Get(mesh.HeaderSource))
		m.checkHeaders(t, c, name, message.Header)
	}
}

// kept is an envelope value of a stored event.
func kept(t *testing.T, h nats.Header, name string) string {
	value, err := url.PathUnescape(h.Get(name))
	require.NoError(t, err)
	return value
}

// batchHeaders are the committer's own where it stores several events at once.
var batchHeaders = []string{jetstreamext.BatchIDHeader, jetstreamext.BatchSeqHeader, jetstreamext.BatchCommitHeader}

// checkHeaders sees to it that nothing of the request became a header of NATS, whose own ones are commands to the server.
func (m *hostileMesh) checkHeaders(t *testing.T, c *hostileCase, stream string, h nats.Header) {
	for name, values := range h {
		own := strings.HasPrefix(name, "Genmesh-") || name == nats.MsgIdHdr || name == mesh.HeaderTraceParent || name == mesh.HeaderTraceState ||
			name == jetstream.ExpectedStreamHeader && slices.Equal(values, []string{stream}) ||
			len(c.Answers[0].Events) > 0 && slices.Contains(batchHeaders, name)
		assert.True(t, own, "header %s: %s", name, values)
		for _, value := range values {
			assert.True(t, isPrintable(value) && len(value) <= 3*mesh.MaxValueBytes, "header %s: %q", name, value)
		}
	}
}

// TestEveryLiveKeyIsTried: whichever of the keys signed it, and whatever stands before it, a delivery is taken; without that key it is not.
func TestEveryLiveKeyIsTried(t *testing.T) {
	keys := []string{"first", "second", "third", "fourth", "fifth"}
	live := func(keys ...string) func(*Options) {
		return func(o *Options) {
			o.Verifier = func(s mesh.Source) (Verifier, error) { return NewVerifier(s, keys) }
		}
	}
	for i, key := range keys {
		body := fmt.Sprintf(`{"data":{"id":"%d"}}`, i)
		for _, with := range []bool{true, false} {
			others := slices.Concat(keys[:i], keys[i+1:])
			s := start(t, new(memory), live(others...))
			if with {
				s = start(t, new(memory), live(keys...))
			}
			req := s.request(body)
			req.Header.Set("X-Genesys-Signature", genesys.Sign(key, []byte(body)))
			assert.Equal(t, map[bool]int{true: http.StatusAccepted, false: http.StatusUnauthorized}[with], s.do(req).code, "%s, live: %t", key, with)
		}
	}
}

// arrived are the messages of a stream since it was looked at the last time.
func (m *hostileMesh) arrived(t *testing.T, name string) []*jetstream.RawStreamMsg {
	stream, err := m.js.Stream(t.Context(), name)
	require.NoError(t, err)
	var messages []*jetstream.RawStreamMsg
	for m.last[name] < stream.CachedInfo().State.LastSeq {
		m.last[name]++
		message, err := stream.GetMsg(t.Context(), m.last[name])
		require.NoError(t, err)
		messages = append(messages, message)
	}
	return messages
}

// acceptsTheNext sees to it that a topic left the ingress as it was.
func (m *hostileMesh) acceptsTheNext(t *testing.T, topic string) {
	body := fmt.Sprintf(`{"eventTypeId":"interaction","data":{"id":"after-%s","type":"call"}}`, topic)
	req := m.request(body)
	req.Header.Set("X-Genesys-Signature", genesys.Sign(hostileKeys["current"], []byte(body)))
	got := m.do(req)
	require.Equal(t, "accepted", got.Status, "the next good event after %s: %s", topic, got.raw)
	require.Len(t, m.arrived(t, "INTERACTIONS"), 1)
}
