package cli

import (
	"encoding/base64"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const crmTarget = `"target": {"url": "${CRM_URL:-log:}", "timeout": "10s"}`

// choosyStreams is the sample with a crm that gets some calls, without telephone numbers.
func choosyStreams(t testing.TB, more ...string) string {
	return editedStreams(t, append([]string{crmTarget, `"filter_subjects": ["genesys.*.interaction.call.>"],
      "when": "data.priority >= 3",
      "redact": ["data.phone", {"path": "data.name", "with": "hash"}],
      "redact_key": "${REDACT_KEY}",
      "transform": "{id: .data.id, name: .data.name, phone: .data.phone}",
      "target": {
        "url": "https://crm.example.com/hook?token=hidden-in-query",
        "headers": {"X-Tenant": "blue"},
        "secret_headers": {"X-Api-Key": "${CRM_KEY}"},
        "auth": {"method": "bearer", "token": "${CRM_TOKEN}"},
        "signing_secrets": ["${CRM_SIGNING}"]
      }`}, more...)...)
}

const call = `{"id":"4f1c","timestamp":1767225600,"eventTypeId":"interaction","data":{"id":"call-1","type":"call","priority":5,"phone":"+49301","name":"Ada"}}`

func TestTryShowsTheRequestThatTheTargetWouldGet(t *testing.T) {
	streams, event := file(t, "streams.json", choosyStreams(t)), file(t, "call.json", call)
	i := invocation{env: map[string]string{
		"REDACT_KEY": testSecret, "CRM_KEY": testSecret, "CRM_TOKEN": testSecret,
		"CRM_SIGNING": "whsec_" + base64.StdEncoding.EncodeToString([]byte(testSecret)),
	}}
	o := i.run(t, "try", "crm", "--streams", streams, "--event", event)
	require.Equal(t, exitOK, o.code, o.err)
	assert.Empty(t, o.err)
	for _, want := range []string{
		"event 1 of 1, as the source genesys reads it", "interaction      call-1", ".interaction.call.call-1",
		"✓ filter_subjects take its subject", "✓ when is true: data.priority >= 3",
		"· redact hides 2 values: data.phone (mask), data.name (hash)", "✓ transform made",
		"crm gets this request", "POST https://crm.example.com/hook\n", "X-Api-Key: •••", "Authorization: Bearer •••", "X-Tenant: blue",
		"Webhook-Signature: v1,", "Ce-Type: com.genesys.cloud.interaction", `"phone": "***"`, `"id": "call-1"`,
	} {
		assert.Contains(t, o.out, want)
	}
	assert.NotContains(t, o.out, "hidden-in-query")
	assert.NotContains(t, o.out, "Ada")

	tried := parsed[tryJSON](t, i.run(t, "try", "crm", "--streams", streams, "--event", event, "-o", "json"))
	require.Len(t, tried.Events, 1)
	x := tried.Events[0]
	assert.True(t, x.Delivered && x.Matches)
	assert.Equal(t, "true", x.When.Answer)
	assert.Equal(t, "call-1", x.Event.MessageID)
	assert.Equal(t, "request", x.Sent.Kind)
	assert.Equal(t, []string{x.Event.IdempotencyKey}, x.Sent.Header["Idempotency-Key"])
	assert.Equal(t, "***", x.Sent.Body.(map[string]any)["phone"])
	assert.Empty(t, tried.StandIns)
}

func TestTryWorksWithoutSecrets(t *testing.T) {
	streams := file(t, "streams.json", choosyStreams(t))
	o := invocation{in: call}.run(t, "try", "crm", "--streams", streams, "--event", "-")
	require.Equal(t, exitOK, o.code, o.err)
	for _, want := range []string{"note: hashes are made with a stand-in", "note: the header X-Api-Key", "signed with a stand-in", "auth.token", "CRM_SIGNING"} {
		assert.Contains(t, o.err, want)
	}
	assert.Contains(t, o.out, "X-Api-Key: •••")
	assert.Contains(t, o.out, "Webhook-Signature: v1,")
}

func TestTryTellsWhatKeepsAnEvent(t *testing.T) {
	streams := file(t, "streams.json", choosyStreams(t))
	for name, tc := range map[string]struct {
		body, decided string
		want          []string
	}{
		"another subject":  {strings.Replace(call, `"type":"call"`, `"type":"chat"`, 1), "filter_subjects", []string{"✗ filter_subjects do not take its subject"}},
		"not chosen":       {strings.Replace(call, `:5,`, `:2,`, 1), "when", []string{"✗ when is false", "crm does not get it: when passes it by"}},
		"a missing field":  {strings.Replace(call, `"priority":5,`, ``, 1), "when", []string{"✗ when is unknown", "unknown: "}},
		"no interaction":   {strings.Replace(call, `"id":"call-1",`, ``, 1), "quarantine", []string{"✗ it goes to quarantine: no_interaction"}},
		"not even JSON":    {"\x1b[2Jhello", "quarantine", []string{"✗ it goes to quarantine: invalid_json"}},
		"control sequence": {strings.Replace(call, `call-1`, "call-\u009b31m", 1), "", []string{`call-\u009b31m`}},
	} {
		t.Run(name, func(t *testing.T) {
			i := invocation{in: tc.body}
			o := i.run(t, "try", "crm", "--streams", streams, "--event", "-")
			for _, want := range tc.want {
				assert.Contains(t, o.out, want)
			}
			for _, r := range o.out + o.err {
				assert.False(t, r != '\n' && (r < ' ' || r == 0x9b), "%U", r)
			}
			code := exitChanges
			if tc.decided == "" {
				code = exitOK
			}
			assert.Equal(t, code, o.code, o.err)
			assert.Equal(t, tc.decided, parsed[tryJSON](t, i.run(t, "try", "crm", "--streams", streams, "--event", "-", "-o", "json")).Events[0].Decided)
		})
	}
}

func TestTryTellsWhenAStepFails(t *testing.T) {
	streams := file(t, "streams.json", editedStreams(t, crmTarget, `"transform": ".data.name | tonumber", `+crmTarget))
	o := invocation{in: call}.run(t, "try", "crm", "--streams", streams, "--event", "-")
	assert.Equal(t, exitChanges, o.code)
	assert.Contains(t, o.out, "✗ transform: tonumber cannot be applied to this string\n")
	assert.Contains(t, o.out, `in full, which no log and no dead letter has: tonumber cannot be applied to "Ada": invalid number`)
	assert.Contains(t, o.out, "it would be a dead letter")
	x := parsed[tryJSON](t, invocation{in: call}.run(t, "try", "crm", "--streams", streams, "--event", "-", "-o", "json")).Events[0]
	assert.NotContains(t, x.Error, "Ada")
	assert.Contains(t, x.ErrorInFull, "Ada")
}

func TestTryTellsOfNoMissingFieldThatHasAValueInItsPlace(t *testing.T) {
	streams := file(t, "streams.json", editedStreams(t, crmTarget, `"when": "(data.x ?? 'a') == 'a'", `+crmTarget))
	o := invocation{in: call}.run(t, "try", "crm", "--streams", streams, "--event", "-")
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.out, "✓ when is true")
	assert.NotContains(t, o.out, "missing")
}

func TestTrySinceKnowsThatErasureEventsGoToEverySubscriber(t *testing.T) {
	old := editedStreams(t)
	a := newArchive(t, old)
	a.put("call-42", "connected")
	require.Equal(t, exitOK, a.run("erase", "call-42", "--because", "request 4711", "--yes").code)
	changed := editedStreams(t, crmTarget, `"when": "data.never == 1", "transform": "error(\"never\")", `+crmTarget)
	o := run(t, "try", "--since", "1h", "--streams", file(t, "new.json", changed), "--against", a.file, "--server", a.url)
	assert.Equal(t, exitOK, o.code, o.out+o.err)
	assert.Regexp(t, `crm +changed +1 +1 +0 +0 +0 +0\n`, o.out)
}

func TestTryShowsEachKindOfTarget(t *testing.T) {
	for url, want := range map[string]string{
		"log:":               "crm gets this line\n  the log",
		"file:crm.ndjson":    "crm gets this line\n  file:crm.ndjson",
		"nats:orders.>":      "crm gets this message\n  nats:orders.genesys.",
		"http://crm.test/x":  "POST http://crm.test/x",
		"postgres://db/mesh": "crm gets this event\n  postgres://db/mesh",
	} {
		o := invocation{in: call}.run(t, "try", "crm", "--streams", file(t, "streams.json", editedStreams(t, "${CRM_URL:-log:}", url)), "--event", "-")
		assert.Contains(t, o.out, want, o.err)
	}
}

func TestTryShowsEachEventOfABody(t *testing.T) {
	const source = `"preset": "genesys",`
	streams := file(t, "streams.json", editedStreams(t, source, source+` "identity": {"events": "list", "interaction": "list.0.id", "fingerprint": ["list"]},`))
	o := invocation{in: `{"id":"1","timestamp":1767225600,"eventTypeId":"interaction","data":{"id":"x"},"list":[{"id":"a"},{"id":"b"}]}`}.run(t, "try", "crm", "--streams", streams, "--event", "-")
	assert.Equal(t, exitOK, o.code, o.out)
	assert.Contains(t, o.out, "event 1 of 2")
	assert.Contains(t, o.out, "event 2 of 2")
	assert.Contains(t, o.out, "interaction      b")
}

func TestTryRefusesWrongUsage(t *testing.T) {
	for _, tc := range []struct {
		args []string
		want string
	}{
		{[]string{"try", "crm"}, "say what to try"},
		{[]string{"try", "--event", "x"}, "name the subscriber"},
		{[]string{"try", "crm", "--event", "x", "--since", "1h"}, "give one of them"},
		{[]string{"try", "cmr", "--event", "-"}, `no subscriber "cmr"; it has ["crm" "analytics" "compliance"]`},
		{[]string{"try", "crm", "--event", "-"}, "- is empty"},
		{[]string{"try", "crm", "--event", "-", "--source", "x"}, `no source "x"`},
		{[]string{"try", "crm", "--event", "-", "--header", "x"}, "write it as"},
		{[]string{"try", "--since", "1h", "--against", sampleFile}, "--streams and --against are both"},
		{[]string{"try", "--since", "1h", "--limit", "-1"}, "--limit must be"},
	} {
		o := run(t, tc.args...)
		assert.Equal(t, exitError, o.code, tc.args)
		assert.Contains(t, o.err, tc.want)
	}
}

func (a *archive) putBody(interaction, body string) {
	a.t.Helper()
	e := a.event(interaction, interaction)
	e.Body = []byte(body)
	_, err := a.committer.Commit(a.t.Context(), e)
	require.NoError(a.t, err)
}

// liveConsumers are the durable consumers of a stream as the server has them.
func (a *archive) liveConsumers(stream string) []string {
	a.t.Helper()
	s, err := a.js.Stream(a.t.Context(), stream)
	require.NoError(a.t, err)
	var infos []string
	list := s.ListConsumers(a.t.Context())
	for info := range list.Info() {
		info.Cluster, info.TimeStamp, info.NumPending = nil, time.Time{}, 0 // which grows with the stream
		text, err := json.Marshal(info)
		require.NoError(a.t, err)
		infos = append(infos, string(text))
	}
	require.NoError(a.t, list.Err())
	return infos
}

func TestTryComparesConfigurationsOverStoredEvents(t *testing.T) {
	old := editedStreams(t, crmTarget, `"when": "data.priority >= 3", `+crmTarget)
	changed := editedStreams(t, crmTarget, `"when": "data.priority >= 2", "transform": "{p: (.data.p // error(\"no p\"))}", `+crmTarget,
		`"name": "analytics"`, `"name": "warehouse"`)
	a := newArchive(t, old)
	a.putBody("call-1", `{"data":{"priority":1,"p":1}}`)
	a.putBody("call-2", `{"data":{"priority":2,"p":2}}`)
	a.putBody("call-3", `{"data":{"priority":3,"p":3}}`)
	a.putBody("call-4", `{"data":{"priority":4}}`)
	before := a.liveConsumers("INTERACTIONS")

	args := []string{"try", "--since", "1h", "--streams", file(t, "new.json", changed), "--against", a.file, "--server", a.url}
	o := run(t, args...)
	assert.Equal(t, exitChanges, o.code, o.err)
	assert.Regexp(t, `crm +changed +2 +2 +1 +1 +1 +1\n`, o.out)
	assert.Regexp(t, `analytics +gone +4 +0 +0 +4 +0 +0\n`, o.out)
	assert.Regexp(t, `warehouse +new +0 +4 +4 +0 +0 +0\n`, o.out)
	assert.Regexp(t, `compliance +unchanged +- `, o.out)
	assert.Regexp(t, `crm: 1 event fails, the first is 4: transform: .*no p`, o.out)
	assert.Regexp(t, `  added +INTERACTIONS 2 +interaction +call-2\n`, o.out)
	assert.Contains(t, o.out, "tried 4 stored events")

	result := parsed[sinceJSON](t, run(t, append(args, "-o", "json", "--limit", "2")...))
	assert.Equal(t, 4, result.Events)
	assert.Len(t, result.Subscribers[0].Examples, 2)
	assert.Equal(t, diffExample{Effect: "added", Stream: "INTERACTIONS", Sequence: 2, Type: "interaction", Interaction: "call-2"},
		result.Subscribers[0].Examples[0])
	one := parsed[sinceJSON](t, run(t, append(args, "-o", "json", "crm")...))
	assert.Len(t, one.Subscribers, 1)
	assert.Equal(t, before, a.liveConsumers("INTERACTIONS"), "what reads leaves nothing behind")

	o = run(t, "try", "--since", "1h", "--streams", file(t, "same.json", old), "--against", a.file, "--server", "nats://127.0.0.1:1")
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.out, "tried 0 stored events", "nothing differs, so nothing is read")
}

// TestTryComparesWithTheFileInForce, which GENMESH_STREAMS may name: --streams is the changed one.
func TestTryComparesWithTheFileInForce(t *testing.T) {
	inForce := file(t, "mesh.json", editedStreams(t))
	changed := file(t, "new.json", editedStreams(t, `"name": "crm"`, `"name": "sales"`))
	at := invocation{env: map[string]string{"GENMESH_STREAMS": inForce}}
	server := appliedServer(t)
	since := []string{"try", "--since", "1h", "--server", server.URL()}
	o := at.run(t, append(since, "--streams", changed)...)
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Regexp(t, `crm +gone`, o.out)
	assert.Regexp(t, `sales +new`, o.out)

	for _, args := range [][]string{nil, {"--streams", inForce}, {"--streams", filepath.Dir(inForce) + "/./mesh.json"}} {
		o = at.run(t, append(since, args...)...)
		assert.Equal(t, exitError, o.code)
		assert.Contains(t, o.err, "name the changed file with --streams, the one in force with --against")
	}
	at.env["GENMESH_STREAMS"] = filepath.Join(filepath.Dir(inForce), "gone.json")
	o = at.run(t, append(since, "--streams", changed)...)
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "gone.json")
	assert.Contains(t, o.err, "name the file in force with --against")
}

func TestFailingEventsAreCountedInPlainEnglish(t *testing.T) {
	assert.Equal(t, "1 event fails", failing(1))
	assert.Equal(t, "1812 events fail", failing(1812))
}

func TestTrySinceEndsWhenItIsInterrupted(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	a.putBody("call-1", `{}`)
	ctx, cancel := contextOf(t)
	cancel()
	o := invocation{ctx: ctx}.run(t, "try", "--since", "1h", "--against", a.file, "--server", a.url,
		"--streams", file(t, "new.json", editedStreams(t, crmTarget, `"when": "false", `+crmTarget)))
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "interrupted")
}

func FuzzParseHeaders(f *testing.F) {
	for _, text := range []string{"A: b", "A:", ": b", "", "x\r\ny: z", "A : b : c"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		header, err := parseHeaders([]string{text})
		if err == nil {
			require.Len(t, header, 1)
		}
	})
}
