package ingress

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func readerOf(t testing.TB, fields string) *Reader {
	t.Helper()
	r, err := NewReader(sourceOf(fields))
	require.NoError(t, err)
	return r
}

// read is what becomes of one body.
func (r *Reader) readBody(t testing.TB, body string) []Reading {
	t.Helper()
	return r.Read(http.Header{}, mesh.Event{Source: "genesys", Received: time.Now(), Body: []byte(body)})
}

func (r *Reader) readOne(t testing.TB, body string) mesh.Event {
	t.Helper()
	readings := r.readBody(t, body)
	require.Len(t, readings, 1)
	require.Empty(t, readings[0].Reason, readings[0].Event.Detail)
	return readings[0].Event
}

func sampleOf(t testing.TB, preset string) string {
	t.Helper()
	for _, p := range genesys.Presets() {
		if p.Name == preset {
			return string(p.Sample)
		}
	}
	t.Fatalf("no preset %s", preset)
	return ""
}

// TestPresetsReadTheirSenders reads the sample of each preset as its sender would send it.
func TestPresetsReadTheirSenders(t *testing.T) {
	conversation := "7c1d9e52-0f4b-4b8a-9a67-1e2d3c4b5a69"
	at := func(ms int) time.Time { return time.Date(2026, 1, 1, 0, 0, 0, ms*1e6, time.UTC) }
	for preset, want := range map[string]mesh.Event{
		"genesys": {Interaction: "987654321", Type: "interaction", Media: "call", ID: "4f1c2f6e-5d0b-4a7e-9d57-0f6f3a1f7c11", Occurred: at(0)},
		"genesys-eventbridge": {Interaction: conversation, Type: "v2.detail.events.conversation.{id}.customer.end", Media: "VOICE",
			ID: "3b6f7a52-6c2d-4f0e-8a57-5d1f0c9e2b41", Organization: "0d4f5a9e-1b7c-4d9e-8f0a-2c3b4a5d6e7f", Occurred: at(123)},
		"genesys-open-messaging": {Interaction: conversation, Type: "Text", Media: "message", ID: "0c9d4b7e6f5a4938a2b1c0d9e8f7a6b5", Occurred: at(0)},
		"genesys-trigger":        {Interaction: conversation, Type: "v2.detail.events.conversation.{id}.customer.end", Media: "CHAT", Occurred: at(123)},
		"genesys-notification":   {Interaction: conversation, Type: "v2.users.{id}.conversations", Occurred: at(120)},
		"hmac":                   {},
		"standard-webhooks":      {Type: "contact.created", Occurred: at(0)},
		"http-message-signature": {Type: "session.opened", Occurred: at(0)},
	} {
		e := readerOf(t, `"preset": "`+preset+`"`).readOne(t, sampleOf(t, preset))
		want.Source, want.Body, want.Received, want.Fingerprint = "genesys", e.Body, e.Received, e.Fingerprint
		assert.Equal(t, want, e, preset)
		assert.Equal(t, sampleOf(t, preset), string(e.Body), "byte for byte")
	}
}

func TestEventBridgeMayStripItsEnvelope(t *testing.T) {
	r := readerOf(t, `"preset": "genesys-eventbridge"`)
	full := sampleOf(t, "genesys-eventbridge")
	detail := full[strings.Index(full, `{"topicName"`) : len(full)-1]
	body := detail[strings.Index(detail, `{"eventTime"`):strings.Index(detail, `, "metadata"`)]

	whole, partly, bare := r.readOne(t, full), r.readOne(t, detail), r.readOne(t, body)
	assert.Equal(t, whole.Interaction, partly.Interaction)
	assert.Equal(t, whole.Interaction, bare.Interaction)
	assert.Equal(t, whole.Type, partly.Type, "the ids of a topic become {id}")
	assert.Equal(t, whole.Fingerprint, partly.Fingerprint, "the same event, however it was wrapped")
	assert.Equal(t, whole.Occurred, bare.Occurred)
	assert.Empty(t, bare.Type)
}

func TestEventBridgeResendsUnderANewID(t *testing.T) {
	r := readerOf(t, `"preset": "genesys-eventbridge"`)
	first := sampleOf(t, "genesys-eventbridge")
	again := strings.NewReplacer("3b6f7a52-6c2d", "ffffffff-ffff", "2026-01-01T00:00:01Z", "2026-01-02T00:00:01Z").Replace(first)
	require.NotEqual(t, first, again)
	assert.Equal(t, r.readOne(t, first).Fingerprint, r.readOne(t, again).Fingerprint)
	later := strings.Replace(first, "61250", "61251", 1)
	assert.NotEqual(t, r.readOne(t, first).Fingerprint, r.readOne(t, later).Fingerprint)
}

func TestEventBridgeEventsWithoutAConversation(t *testing.T) {
	r := readerOf(t, `"preset": "genesys-eventbridge"`)
	presence := r.readOne(t, `{"id":"a1","detail-type":"v2.users.{id}.presence","source":"aws.partner/genesys.com/cloud/org-1/x",
		"detail":{"topicName":"v2.users.4711.presence","eventBody":{"id":"4711","presenceDefinition":{"id":"p","systemPresence":"AWAY"},"modifiedDate":"2026-01-01T00:00:00Z"},"timestamp":"2026-01-01T00:00:00.456Z"}}`)
	assert.Empty(t, presence.Interaction)
	assert.Equal(t, "org-1", presence.Organization)
	assert.Equal(t, time.Date(2026, 1, 1, 0, 0, 0, 456e6, time.UTC), presence.Occurred)

	audit := r.readOne(t, `{"id":"a2","detail-type":"v2.audits.entitytype.{id}.entityid.{id}","source":"aws.partner/genesys.com/cloud/org-1/x",
		"detail":{"eventBody":{"id":"audit-9","entityType":"user","eventTime":"2026-01-01T00:00:00.264Z"}}}`)
	assert.Equal(t, "audit-9", audit.ID, "an audit event has an id of its own")
	assert.Equal(t, time.Date(2026, 1, 1, 0, 0, 0, 264e6, time.UTC), audit.Occurred)
}

func TestOpenMessagingReceiptsAreEventsOfTheirOwn(t *testing.T) {
	r := readerOf(t, `"preset": "genesys-open-messaging"`)
	message := func(more string) string {
		return `{"id":"m1","channel":{"id":"i1","to":{"id":"c1"},"time":"2026-01-01T00:00:00.000Z"},` + more + `"direction":"Outbound"}`
	}
	sent := r.readOne(t, message(`"type":"Receipt","status":"Sent",`))
	delivered := r.readOne(t, message(`"type":"Receipt","status":"Delivered",`))
	untyped := r.readOne(t, message(`"status":"Failed",`))
	assert.Equal(t, "i1:c1", sent.Interaction, "without a conversation the channel and the customer stand in")
	assert.Equal(t, "Receipt.Sent", sent.Type)
	assert.Equal(t, "Receipt.Failed", untyped.Type)
	assert.NotEqual(t, sent.Fingerprint, delivered.Fingerprint)
	assert.Equal(t, sent.Fingerprint, r.readOne(t, message(`"status":"Sent","type":"Receipt","metadata":{"x":"1"},`)).Fingerprint)

	// The sender's word: each message has a unique combination of id and time.
	other := strings.Replace(message(`"type":"Text","text":"a",`), "00:00.000Z", "00:01.000Z", 1)
	assert.NotEqual(t, r.readOne(t, message(`"type":"Text","text":"a",`)).Fingerprint, r.readOne(t, other).Fingerprint)
	final := func(is string) string {
		return message(`"type":"Receipt","status":"Sent","isFinalReceipt":` + is + `,`)
	}
	assert.NotEqual(t, r.readOne(t, final("true")).Fingerprint, r.readOne(t, final("false")).Fingerprint)
	r.readOne(t, `{"channel":{"id":"i1","to":{"id":"c1"}},"type":"Event","events":[{"eventType":"Typing"}]}`) // has no id
}

// TestNotificationsOfAStateThatComesBack: muted, not muted, muted again.
func TestNotificationsOfAStateThatComesBack(t *testing.T) {
	r := readerOf(t, `"preset": "genesys-notification"`)
	snapshot := func(muted, correlation string) string {
		return `{"topicName":"v2.users.u1.conversations","eventBody":{"id":"c1","participants":[{"muted":` + muted + `}]},"metadata":{"CorrelationId":"` + correlation + `"}}`
	}
	first := r.readOne(t, snapshot("true", "a")).Fingerprint
	assert.NotEqual(t, first, r.readOne(t, snapshot("false", "a")).Fingerprint, "one action may bring several states")
	assert.NotEqual(t, first, r.readOne(t, snapshot("true", "b")).Fingerprint)
	assert.Equal(t, first, r.readOne(t, snapshot("true", "a")).Fingerprint, "the same frame over two sockets")
}

func TestSignedAnewIsTheSameEvent(t *testing.T) {
	source := sourceOf(`"preset": "http-message-signature", "identity": {"interaction": "data.id"}`)
	assert.Equal(t, mesh.Template("{source}:{type}:{fingerprint}"), source.DedupeKey, "a sender's retry has another nonce")
}

func TestEngageBringsSeveralEventsInOnePost(t *testing.T) {
	r := readerOf(t, `"preset": "genesys-engage"`)
	readings := r.readBody(t, sampleOf(t, "genesys-engage"))
	require.Len(t, readings, 2)
	for i, want := range []string{"STARTED", "FINISHED"} {
		e := readings[i].Event
		require.Empty(t, readings[i].Reason)
		assert.Equal(t, want, e.Type)
		assert.Equal(t, "2f4a6c8e-1b3d-4f5a-8c7e-9d0b1a2c3e4f", e.Interaction)
		assert.Equal(t, "6b8d0f2a-4c6e-4a1b-9d3f-5e7091a3b5c7", e.ID)
		assert.JSONEq(t, `{"operationId":"6b8d0f2a-4c6e-4a1b-9d3f-5e7091a3b5c7","data":{"entities":[{"event":"`+want+`",
			"entity":{"id":"2f4a6c8e-1b3d-4f5a-8c7e-9d0b1a2c3e4f","mediaType":"chat","interactionSubtype":"WebChat"}}]}}`, string(e.Body))
	}
	assert.NotEqual(t, readings[0].Event.Fingerprint, readings[1].Event.Fingerprint)

	assert.Equal(t, reasonNoEvents, r.readBody(t, `{"operationId":"o","data":{"entities":[]}}`)[0].Reason)
	many := `{"data":{"entities":[` + strings.Repeat(`{},`, mesh.MaxEventsAtOnce) + `{}]}}`
	assert.Equal(t, reasonTooManyEvents, r.readBody(t, many)[0].Reason)
	wide := `{"pad":"` + strings.Repeat("x", 400_000) + `","data":{"entities":[` + strings.Repeat(`{},`, 30) + `{}]}}`
	assert.Equal(t, reasonTooManyEvents, r.readBody(t, wide)[0].Reason)
	assert.Empty(t, r.readBody(t, `{"operationId":"o","data":{"entities":[{}]}}`)[0].Reason, "all fields are optional")
}

func TestSplitKeepsEveryByteAroundTheList(t *testing.T) {
	body := "{ \"a\" : [ {\"x\": \"[,]\"} ,\n {\"y\":1.0} ] , \"b\":\"\\u00e4\" }"
	bodies, reason, detail := split([]byte(body), "a")
	require.Empty(t, reason+detail)
	assert.Equal(t, []string{
		"{ \"a\" : [{\"x\": \"[,]\"}] , \"b\":\"\\u00e4\" }", "{ \"a\" : [{\"y\":1.0}] , \"b\":\"\\u00e4\" }",
	}, []string{string(bodies[0]), string(bodies[1])})
}

func FuzzSplit(f *testing.F) {
	f.Add([]byte(sampleOf(f, "genesys-engage")))
	f.Add([]byte(`{"data":{"entities":[1,"]",[[]],{"a":{}}]}}`))
	f.Fuzz(func(t *testing.T, body []byte) {
		if !isGoodJSON(body) {
			return
		}
		bodies, reason, detail := split(body, "data.entities")
		require.Equal(t, reason == "", len(bodies) > 0)
		require.Equal(t, reason == "", detail == "")
		for _, b := range bodies {
			require.True(t, isGoodJSON(b), "each is as good as the whole: %s", b)
		}
	})
}

func TestPinnedOrganization(t *testing.T) {
	r := readerOf(t, `"preset": "genesys-eventbridge", "organizations": ["0d4f5a9e-1b7c-4d9e-8f0a-2c3b4a5d6e7f", "${UNSET:-}"]`)
	r.readOne(t, sampleOf(t, "genesys-eventbridge"))
	other := strings.Replace(sampleOf(t, "genesys-eventbridge"), "0d4f5a9e-1b7c", "eeeeeeee-1b7c", 1)
	assert.Equal(t, reasonOrganization, r.readBody(t, other)[0].Reason)
	custom := `{"source":"custom.app","detail-type":"x","detail":{"eventBody":{"organizationId":"0d4f5a9e-1b7c-4d9e-8f0a-2c3b4a5d6e7f"}}}`
	assert.Equal(t, reasonOrganization, r.readBody(t, custom)[0].Reason, "only the partner's source tells it")
}

func TestBrokenSchemaSaysWhere(t *testing.T) {
	r := readerOf(t, `"preset": "genesys"`)
	reading := r.readBody(t, `{"timestamp":1767225600,"eventTypeId":"interaction","data":{"id":"1","type":{"name":"Jane Roe"}}}`)[0]
	assert.Equal(t, reasonSchema, reading.Reason)
	assert.Equal(t, "/data/type: is object, not string", reading.Event.Detail)
	readerOf(t, `"preset": "genesys", "event_types": {"*": {"schema": "none"}}`).readOne(t, `{"timestamp":"x","data":{"id":"1","type":{"name":"x"}}}`)

	_, err := NewReader(sourceOf(`"preset": "genesys", "event_types": {"interaction": {"schema": "gone.json"}}`))
	assert.ErrorContains(t, err, "gone.json")
}

func TestQuarantinedEventReadAgainAfterAFix(t *testing.T) {
	body := `{"type":"x","interaction":{"key":"42"}}`
	before := sourceOf(`"preset": "hmac", "identity": {"interaction": "interaction.id", "event_type": "header:X-Type"}, "without_interaction": "quarantine"`)
	r, err := NewReader(before)
	require.NoError(t, err)
	bad := r.Read(http.Header{"X-Type": {"closed"}}, mesh.Event{Source: "genesys", Received: time.Unix(1, 0), Body: []byte(body)})[0]
	require.Equal(t, reasonNoInteraction, bad.Reason)
	bad.Event.Reason, bad.Event.Stream, bad.Event.Sequence = bad.Reason, "QUARANTINE", 7

	fixed := readerOf(t, `"preset": "hmac", "identity": {"interaction": "interaction.key", "event_type": "header:X-Type"}`)
	again := fixed.Reread(bad.Event)
	require.Len(t, again, 1)
	require.Empty(t, again[0].Reason)
	e := again[0].Event
	assert.Equal(t, "42", e.Interaction)
	assert.Equal(t, "closed", e.Type, "what came from a header is kept")
	assert.Equal(t, time.Unix(1, 0), e.Received)
	assert.Zero(t, e.Sequence)
	assert.Empty(t, e.Reason+e.Stream)

	either := readerOf(t, `"preset": "hmac", "identity": {"interaction": "interaction.key", "event_type": ["header:X-Type", "type"], "occurred": ["header:Date", "at"]}`)
	assert.Equal(t, "closed", either.Reread(bad.Event)[0].Event.Type, "and not replaced by what comes second")
	bad.Event.Type = ""
	assert.Equal(t, "x", either.Reread(bad.Event)[0].Event.Type)
}

func TestTopicPatterns(t *testing.T) {
	for topic, want := range map[string]string{
		"v2.users.e40f28ea-fa86-493f-a5b8-d559c8533c96.activity": "v2.users.{id}.activity",
		"v2.detail.events.conversation.{id}.customer.end":        "v2.detail.events.conversation.{id}.customer.end",
		"v2.users.AGENT_USER_ID.conversations":                   "v2.users.{id}.conversations",
		"v2.routing.queues.4711.users":                           "v2.routing.queues.{id}.users",
		"channel.metadata":                                       "channel.metadata",
		"":                                                       "",
	} {
		assert.Equal(t, want, topicPattern(topic), topic)
	}
}
