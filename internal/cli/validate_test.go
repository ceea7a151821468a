package cli

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
)

const brokenStreams = `{
  "sources": [{"name": "genesys", "path": "webhooks", "preset": "genesis",
    "secret": "correct-horse-battery-staple", "stream": "NOWHERE"}],
  "streams": [{"name": "INTERACTIONS", "subjects": ["genesys.>"], "max_aeg": "1h"}],
  "subscribers": [{"name": "crm", "stream": "INTERACTIONS", "target": {"url": "ftp://crm.example.com"}}]
}`

func TestValidateNamesEveryMistakeWithItsPlace(t *testing.T) {
	path := file(t, "other.json", brokenStreams)
	o := run(t, "validate", "--streams", path)
	assert.Equal(t, exitError, o.code)
	assert.Empty(t, o.out)
	for _, want := range []string{`did you mean "genesys"?`, "max_age", "NOWHERE", "ftp", "a secret is never written in this file"} {
		assert.Contains(t, o.err, want)
	}
	lines := strings.Split(strings.TrimSpace(o.err), "\n")
	for _, line := range lines[1:] {
		assert.Regexp(t, `^`+path+`:\d+:\d+: `, line)
	}

	v := parsed[validity](t, run(t, "validate", "--streams", path, "-o", "json"))
	assert.False(t, v.Valid)
	assert.Len(t, v.Mistakes, len(lines)-1)
	assert.Equal(t, 2, v.Mistakes[0].Line)
}

// TestASubscriberWithoutATargetIsAMistakeEverywhere: nothing in this program could serve it.
func TestASubscriberWithoutATargetIsAMistakeEverywhere(t *testing.T) {
	path := file(t, "mesh.json", oneSubscriber(t, `{"name": "notarget", "stream": "INTERACTIONS"}`))
	want := path + `:5:1: subscribers[0].target: missing; add such as "target": {"url": "https://crm.example.com/events"}`
	for _, command := range []string{"validate", "plan", "apply", "serve", "dev", "doctor"} {
		o := withSecret().run(t, command, "--streams", path)
		assert.Equal(t, exitError, o.code, command)
		assert.Contains(t, o.out+o.err, want, command)
	}
}

func TestValidateJSONExitsWith1OnMistakes(t *testing.T) {
	o := run(t, "validate", "-o", "json", "--streams", file(t, "s.json", "{"))
	assert.Equal(t, exitError, o.code)
	assert.False(t, parsed[validity](t, o).Valid)
	assert.Empty(t, o.err)
}

func TestValidateCountsWhatIsThere(t *testing.T) {
	o := run(t, "validate")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Equal(t, "ok: 1 source, 6 streams, 3 subscribers\n", o.out)
}

// TestTheFileThatShipsIsValid whatever its users put into it. Only what a variable stands for can't be told here.
func TestTheFileThatShipsIsValid(t *testing.T) {
	t.Chdir("../..") // where the files that it names are
	v := parsed[validity](t, run(t, "validate", "-o", "json", "--streams", "streams.json"))
	for _, mistake := range v.Mistakes {
		assert.Regexp(t, `^the environment variable \w+ is not set`, mistake.Problem)
	}
}

func TestValidateFileThatWasNamedMustExist(t *testing.T) {
	o := run(t, "validate", "--streams", "missing.json")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "there is no missing.json; name the file with --streams")

	o = invocation{env: map[string]string{"GENMESH_STREAMS": "missing.json"}}.run(t, "validate")
	assert.Contains(t, o.err, "there is no missing.json")
}

func TestValidateRefusesAHugeFile(t *testing.T) {
	o := run(t, "validate", "--streams", file(t, "huge.json", strings.Repeat(" ", mesh.MaxTopologyBytes+1)))
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "at most 1048576 bytes")
}

func TestMissingFileIsNeverReplacedByTheBuiltInOneAgainstACluster(t *testing.T) {
	nowhere := invocation{env: map[string]string{"GENMESH_STREAMS": ""}}
	for _, args := range [][]string{{"validate"}, {"plan"}, {"apply"}, {"serve"}, {"doctor"}, {"dead", "list"}} {
		o := nowhere.run(t, args...)
		assert.Equal(t, exitError, o.code, args)
		assert.Contains(t, o.out+o.err, "there is no streams.json", args)
	}
}

func TestValidateLooksAtSchemasAndRegions(t *testing.T) {
	for edit, problem := range map[string]string{
		`"event_types": {"*": {"schema": "builtin:genesys-interactions"}},`:           "there is no such schema",
		`"event_types": {"*": {"schema": "gone.json"}},`:                              "gone.json",
		`"api": {"region": "eu-central", "client_id": "x", "client_secret": "${X}"},`: `no region "eu-central"`,
	} {
		o := run(t, "validate", "--streams", file(t, "streams.json", editedStreams(t, `"preset": "genesys",`, `"preset": "genesys", `+edit)))
		assert.Equal(t, exitError, o.code, edit)
		assert.Contains(t, o.err, problem)
	}
}

// oneSubscriber is the sample with another crm, which begins in line 5 of what is returned.
func oneSubscriber(t *testing.T, crm string) string {
	t.Helper()
	text := editedStreams(t)
	streams := text[strings.Index(text, `"streams"`):strings.Index(text, `"subscribers"`)]
	source := `{"name": "genesys", "path": "/webhooks/genesys", "preset": "genesys", "secret": "${S}", "stream": "INTERACTIONS"}`
	return "{\n\"sources\": [" + source + "],\n\"subscribers\": [\n\n" + crm + "\n],\n" + strings.TrimSuffix(strings.TrimSpace(streams), ",") + "}"
}

func TestValidateSaysAtOnceWhatIsWrongWithASubscriber(t *testing.T) {
	path := file(t, "streams.json", oneSubscriber(t, `{"name": "crm", "stream": "INTERACTIONS", "ack_wait": "1ms",
  "when": "event.media == 'call' and\n  evnt.type == 'x'",
  "redact": ["data.ani", {"path": "data..x", "with": "hash"}],
  "transform": ".a |",
  "target": {
    "url": "HTTPS://u@crm.example.com/s3cret",
    "headers": {"X-Tenant": "a",
      "x-genesys-event-id": "b", "Genmesh-Attempt": "1"},
    "auth": {"method": "basic", "token": "${T}"},
    "tls": {"cert_file": "/nowhere/cert.pem"},
    "allow_networks": ["10.1.2.3", "10.0.0.0/8",
      "intranet"]
  }}`))
	o := run(t, "validate", "--streams", path)
	assert.Equal(t, exitError, o.code)
	var got []string
	for line := range strings.Lines(o.err) {
		if place, rest, found := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), path+":"), ": subscribers[0]."); found {
			got = append(got, strings.TrimSuffix(place+" "+rest, `; a text stands in quotes, a field of the body after "data."`))
		}
	}
	assert.Equal(t, []string{
		`5:1 redact_key: missing, but a value is to be hashed; add such as "${REDACT_KEY}"`,
		`5:55 ack_wait: 1ms is out of range: 1s to 24h`,
		`6:11 when: line 2, column 3: there is no "evnt"; did you mean "event"?`,
		`7:35 redact[1].path: "data..x" has an empty part; write such as "data.customer.phone" or "data.participants.*.address"`,
		`8:16 transform: column 5: unexpected EOF; it has to be a jq program, such as {id: .data.id, at: $event.occurred}`,
		`12:29 target.headers.x-genesys-event-id: the sender's delivery is passed on under this name; choose another`,
		`12:53 target.headers.Genmesh-Attempt: genmesh sets it, or HTTP does; leave it out`,
		`13:13 target.auth: the url has a user already; leave one of them out`,
		`14:12 target.tls: cert_file and key_file belong together; give both or neither`,
		`16:7 target.allow_networks[2]: "intranet" is no network; write such as "10.0.0.0/8"`,
	}, got)
	assert.NotContains(t, o.err, "s3cret")

	for _, args := range [][]string{{"plan"}, {"apply"}, {"serve"}, {"dev"}, {"doctor"}} {
		refused := run(t, append(args, "--streams", path)...)
		assert.Equal(t, exitError, refused.code, args)
		assert.Contains(t, strings.ReplaceAll(refused.out+refused.err, " · ", "\n"), strings.TrimPrefix(strings.TrimSpace(o.err), "genmesh: "), args)
	}
}

func TestValidateRefusesTargetsThatCouldNeverBeOpened(t *testing.T) {
	for url, problem := range map[string]string{
		"nats:dead.crm":               `events can't be published to "dead.crm"`,
		"nats:orders.*":               "is no subject to publish to",
		"kafka://broker.example.com":  "not of the form",
		"kafka://h/topic?tls=maybe":   "neither true nor false",
		"kafka://h/topic?retries=1":   "unknown parameter",
		"kafka://h:99999999999/topic": "settings of the Kafka client",
		"rabbit://h/":                 "not of the form",
		"postgres://h/":               "not of the form",
		"postgres://h/db?sslmode=on":  "a parameter that is wrong",
		"log:loud":                    `"log:" and nothing more`,
		"file:folder/":                "not of the form",
		"archive+file://h/x":          "not of the form",
		"https://0x7f.1/":             "an IP address in a form",
		"http://crm":                  "",
		"NATS:orders.>":               "",
		"LOG:":                        "",
		"POSTGRES://h/db?sslmode=verify-full&sslrootcert=/nowhere/ca.pem":       "",
		"postgres://h/db?sslcert=/nowhere/c&sslkey=/nowhere/k&genmesh_schema=a": "",
		"kafka://u:${P}@h/topic?sasl=scram-sha-512":                             "",
	} {
		path := file(t, "streams.json", oneSubscriber(t, `{"name": "crm", "stream": "INTERACTIONS",
			"target": {"url": "`+url+`"}}`))
		o := invocation{env: map[string]string{"P": "s3cret"}}.run(t, "validate", "--streams", path)
		if problem == "" {
			assert.Equal(t, exitOK, o.code, "%s: %s", url, o.err)
			continue
		}
		assert.Equal(t, exitError, o.code, url)
		assert.Contains(t, o.err, path+":6:22: subscribers[0].target.url: ", url)
		assert.Contains(t, o.err, problem, url)
	}
}

func TestValidateReadsNoFileOfATarget(t *testing.T) {
	for _, url := range []string{"https://crm", "kafka://h/topic", "rabbit://h/exchange"} {
		path := file(t, "streams.json", oneSubscriber(t, `{"name": "crm", "stream": "INTERACTIONS",
			"target": {"url": "`+url+`", "tls": {"cert_file": "/nowhere/c", "key_file": "/nowhere/k", "ca_file": "/nowhere/ca"}}}`))
		o := run(t, "validate", "--streams", path)
		assert.Equal(t, exitOK, o.code, o.err)
	}
}

func TestValidatePlacesWhatIsWrongWithASource(t *testing.T) {
	path := file(t, "streams.json", strings.ReplaceAll(oneSubscriber(t, ""), `"secret"`, `"event_types": {"a.*": {"schema": "gone.json"}, "b": {"schema": "builtin:none"}},
		"api": {"region": "eu-central", "client_id": "x", "client_secret": "${X}"}, "secret"`))
	o := run(t, "validate", "--streams", path)
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, ":2:106: sources[0].event_types.a.*: ")
	assert.Contains(t, o.err, ":2:136: sources[0].event_types.b: ")
	assert.Contains(t, o.err, ":3:21: sources[0].api.region: there is no region")

	o = run(t, "plan", "--streams", path)
	assert.NotContains(t, o.err, "gone.json", "a file that this machine may do without")
	assert.Contains(t, o.err, "builtin:none")
}
