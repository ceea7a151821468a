package mesh

import (
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const genesysPreset = `{
	"verification": {"header": "X-Genesys-Signature"},
	"identity": {
		"interaction": "data.id", "event_id": "id", "event_type": "eventTypeId", "media": "data.type",
		"occurred": "timestamp", "fingerprint": ["eventTypeId", "timestamp", "data"],
		"delivery_id_header": "X-Genesys-Event-ID", "delivery_type_header": "X-Genesys-Event-Type"
	}
}`

func parseOptions(env map[string]string) ParseOptions {
	return ParseOptions{
		Presets:       map[string]json.RawMessage{"genesys": json.RawMessage(genesysPreset)},
		TargetSchemes: []string{"http", "https", "log", "file"},
		LookupEnv: func(name string) (string, bool) {
			value, ok := env[name]
			return value, ok
		},
	}
}

// sampleFile is a streams.json of the tests' own: the one that ships is there for its users to edit.
func sampleFile(t testing.TB) []byte {
	data, err := os.ReadFile("testdata/streams.json")
	require.NoError(t, err)
	return data
}

func TestFileNeedsNoEnvironmentWhereItHasDefaults(t *testing.T) {
	topology, err := ParseTopology(sampleFile(t), parseOptions(nil))
	require.NoError(t, err)
	require.Len(t, topology.Sources, 1)
	require.Equal(t, Selectors{"data.id"}, topology.Sources[0].Identity.Interaction)
	require.Equal(t, "log:", topology.Subscribers[0].Target.URL)
	require.Equal(t, 1, topology.Streams[0].Replicas)

	raw, err := json.Marshal(topology)
	require.NoError(t, err)
	again, err := ParseTopology(raw, parseOptions(nil))
	require.NoError(t, err, string(raw))
	require.Equal(t, topology, again)
}

// editedFile is the sample file with texts replaced, pair by pair, each once.
func editedFile(t testing.TB, pairs ...string) string {
	t.Helper()
	text := string(sampleFile(t))
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, text, pairs[i])
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return text
}

func mistakesOf(t testing.TB, text string, env map[string]string) Mistakes {
	t.Helper()
	_, err := ParseTopology([]byte(text), parseOptions(env))
	require.Error(t, err)
	var mistakes Mistakes
	require.ErrorAs(t, err, &mistakes)
	for _, m := range mistakes {
		require.Positive(t, m.Line)
		require.LessOrEqual(t, m.Line, strings.Count(text, "\n")+1)
		require.Positive(t, m.Column)
	}
	return mistakes
}

const (
	inSource     = `"name": "genesys",`
	inStream     = `"name": "INTERACTIONS",`
	inSubscriber = `"name": "crm",`
	inTarget     = `"timeout": "10s"`
	inAPI        = `"api": {"region": "eu-central-1", "client_id": "mesh", "client_secret": "${CLIENT_SECRET}"},`
	genesysAgain = `{"name": "genesys2", "path": "/webhooks/two", "preset": "genesys", "secret": "${X}", "stream": "INTERACTIONS", "subject": "{source}.{partition}.{type}"},`
)

// goodFiles are streams.json files that the parser takes.
func goodFiles(t testing.TB) map[string]string {
	return map[string]string{
		"nanoseconds":          editedFile(t, `"max_age": "168h"`, `"max_age": 604800000000000`),
		"no duplicate window":  editedFile(t, `"duplicate_window": "2h",`, ``),
		"a secret from a file": editedFile(t, `"secrets": ["${GENESYS_WEBHOOK_SECRET}", "${GENESYS_WEBHOOK_SECRET_PREVIOUS:-}"]`, `"secret": "file:/run/secrets/genesys"`),
		"pasted from nats stream info": editedFile(t, inStream, inStream+`"max_consumers": -1, "max_msgs": -1, "max_msgs_per_subject": -1,
			"max_msg_size": -1, "compression": "none", "deny_delete": false, "sealed": false, "consumer_limits": {}, "mirror_direct": false,
			"persist_mode": "default", "metadata": {"_nats.level": "1", "team": "voice"},`),
		"two sources with their own keys": editedFile(t, `"subjects": ["genesys.>"]`, `"subjects": ["genesys.>", "genesys2.>"]`,
			`"sources": [`, `"sources": [`+strings.Replace(genesysAgain, `"subject"`, `"dedupe_key": "{source}:{id}", "subject"`, 1),
			inSource, inSource+`"dedupe_key": "{source}:{interaction}",`),
		"two sources, one of them with a plain key": editedFile(t, `"subjects": ["genesys.>"]`, `"subjects": ["genesys.>", "genesys2.>"]`,
			`"sources": [`, `"sources": [`+strings.Replace(genesysAgain, `"subject"`, `"dedupe_key": "{source}:{id}", "subject"`, 1)),
		"another method than the preset's": editedFile(t, inSource, inSource+`"verification": {"method": "basic"},`),
		"everything of a source": editedFile(t, inSource, inSource+`"rate_limit": "500/s", "max_event_age": "1d12h", "repeat": "drop",
			"max_body_bytes": 983040, "max_in_flight": 1, "identity": {"organization": "org.0.id"},`),
		"notifications": editedFile(t, inSource, inSource+inAPI+`"notifications": {"topics": ["v2.users.a.conversations", "v2.users.b.conversations"]},`),
		"everything of a subscriber": editedFile(t, inSubscriber, inSubscriber+`"deliver_policy": "by_start_time",
			"opt_start_time": "2026-01-31T12:00:00+01:00", "replay_policy": "original", "rate_limit_bps": 100000, "sample_freq": "10%",
			"num_replicas": 1, "mem_storage": true, "pause_until": "2026-01-31T12:00:00Z", "metadata": {"a": "$${b}"},
			"filter_subjects": ["genesys.*.interaction.call.*", "genesys.*.interaction.chat.*"],`),
		"without a target":                editedFile(t, `"target": {"url": "${CRM_URL:-log:}", "timeout": "10s"}`, `"max_attempts": 6`, `"max_attempts": 6,`, ``),
		"a mirror":                        editedFile(t, `"streams": [`, `"streams": [{"name": "COPY", "mirror": {"name": "INTERACTIONS", "external": {"api": "a", "deliver": "b"}}},`),
		"a password from the environment": editedFile(t, `"url": "${CRM_URL:-log:}"`, `"url": "https://u:${HOME_PASSWORD:-}x@crm.example.com/${A:-b}"`),
	}
}

func TestGoodFilesSurviveARoundTrip(t *testing.T) {
	for name, text := range goodFiles(t) {
		t.Run(name, func(t *testing.T) {
			env := map[string]string{"HOME_PASSWORD": "pa55word"}
			if name == "a password from the environment" {
				text = strings.Replace(text, ":-}x@", "}@", 1)
			}
			topology, err := ParseTopology([]byte(text), parseOptions(env))
			require.NoError(t, err)
			raw, err := json.Marshal(topology)
			require.NoError(t, err)
			require.NotContains(t, string(raw), "pa55word")
			again, err := ParseTopology(raw, parseOptions(env))
			require.NoError(t, err, string(raw))
			require.Equal(t, topology, again)
		})
	}
}

func TestMistakes(t *testing.T) {
	for name, c := range map[string]struct {
		edit []string
		want string // "path: problem" begins with this, or contains it after the path
		hint string
	}{
		"misspelt field":            {[]string{`"ack_wait": "10s"`, `"ack_wat": "30s"`}, "subscribers[0].ack_wat: unknown field", `did you mean "ack_wait"?`},
		"swapped letters":           {[]string{`"max_deliver": 56`, `"max_delivre": 56`}, "subscribers[0].max_delivre: unknown field", `did you mean "max_deliver"?`},
		"unknown top field":         {[]string{`"sources": [`, `"queues": [], "sources": [`}, "queues: unknown field", ""},
		"field twice":               {[]string{inStream, inStream + inStream}, "streams[0].name: the field stands here twice", ""},
		"string for a number":       {[]string{`"max_attempts": 6`, `"max_attempts": "6"`}, "subscribers[0].max_attempts: expected a whole number, found a string", ""},
		"fraction for an integer":   {[]string{`"max_attempts": 6`, `"max_attempts": 6.5`}, "subscribers[0].max_attempts: expected a whole number, found 6.5", ""},
		"number for a string":       {[]string{inStream, inStream + `"description": 1,`}, "", ""},
		"null":                      {[]string{`"max_attempts": 6`, `"max_attempts": null`}, "expected a whole number, found null", "leave the field out"},
		"string for a list":         {[]string{`["genesys.>"]`, `"genesys.>"`}, "streams[0].subjects: expected a list, found a string", ""},
		"string for a boolean":      {[]string{`"allow_direct": true`, `"allow_direct": "true"`}, "streams[0].allow_direct: expected true or false", ""},
		"no duration":               {[]string{`"max_age": "168h"`, `"max_age": "1 week"`}, `streams[0].max_age: expected a duration such as "30s", "24h" or "7d", found "1 week"`, ""},
		"unknown enum":              {[]string{`"retention": "limits"`, `"retention": "limit"`}, `streams[0].retention: "limit" is none of limits, interest, workqueue`, `did you mean "limits"?`},
		"unknown repeat":            {[]string{inSource, inSource + `"repeat": "droop",`}, `sources[0].repeat: "droop" is none of keep, drop`, `"drop"`},
		"no time":                   {[]string{inSubscriber, inSubscriber + `"pause_until": "tomorrow",`}, "subscribers[0].pause_until: expected a time", ""},
		"no rate":                   {[]string{inSource, inSource + `"rate_limit": "500",`}, `sources[0].rate_limit: "500" is not a rate`, ""},
		"backoff of NATS":           {[]string{`{"base": "1s", "factor": 2, "max": "60s"}`, `["1s", "2s"]`}, "subscribers[0].backoff: genmesh computes the backoff itself", `"base": "1s"`},
		"deliver group":             {[]string{inSubscriber, inSubscriber + `"deliver_group": "x",`}, "subscribers[0].deliver_group: is set by genmesh", "remove it"},
		"heartbeat":                 {[]string{inSubscriber, inSubscriber + `"idle_heartbeat": "5s",`}, "subscribers[0].idle_heartbeat: is set by genmesh", "remove it"},
		"unset variable":            {[]string{`${CRM_URL:-log:}`, `${CRM_URL}`}, "subscribers[0].target.url: the environment variable CRM_URL is not set", "${NAME:-default}"},
		"broken reference":          {[]string{`${CRM_URL:-log:}`, `${CRM_URL`}, `a reference begins with "${" but has no "}"`, ""},
		"literal secret":            {[]string{`"${GENESYS_WEBHOOK_SECRET}"`, `"hunter2"`}, "sources[0].secrets[0]: a secret is never written in this file", `"${ENV_NAME}"`},
		"secret as a default":       {[]string{`"${GENESYS_WEBHOOK_SECRET}"`, `"${A:-hunter2}"`}, "sources[0].secrets[0]: a secret is never written", ""},
		"secret in a relative file": {[]string{`"${GENESYS_WEBHOOK_SECRET}"`, `"file:hunter2"`}, "sources[0].secrets[0]: a secret is never written", ""},
		"no secret":                 {[]string{`"secrets": ["${GENESYS_WEBHOOK_SECRET}", "${GENESYS_WEBHOOK_SECRET_PREVIOUS:-}"],`, ``}, "sources[0].secret: missing", ""},
		"secret and secrets":        {[]string{inSource, inSource + `"secret": "${A}",`}, "sources[0].secret: there are both", ""},
		"unknown preset":            {[]string{`"preset": "genesys"`, `"preset": "genesis"`}, `sources[0].preset: there is no preset "genesis"`, `did you mean "genesys"?`},
		"no signature header":       {[]string{`"preset": "genesys"`, `"identity": {"interaction": "id"}`}, "sources[0].verification.header: missing", ""},
		"no interaction":            {[]string{`"preset": "genesys"`, `"verification": {"header": "X-Sig"}`}, "sources[0].identity.interaction: missing", ""},
		"identity that queries":     {[]string{inSource, inSource + `"identity": {"interaction": "data.#.id"},`}, `sources[0].identity.interaction: "data.#.id" is not a plain path`, ""},
		"identity too deep":         {[]string{inSource, inSource + `"identity": {"interaction": "` + strings.Repeat("a.", 16) + `a"},`}, "sources[0].identity.interaction: ", ""},
		"header with a blank":       {[]string{inSource, inSource + `"verification": {"header": "X Sig"},`}, "sources[0].verification.header: ", ""},
		"bad source name":           {[]string{inSource, `"name": "Genesys",`}, `sources[0].name: "Genesys" is no name`, ""},
		"reserved source name":      {[]string{inSource, `"name": "replay",`}, `sources[0].name: "replay" is reserved`, ""},
		"path with a parameter":     {[]string{`"/webhooks/genesys"`, `"/webhooks/:id"`}, "sources[0].path: ", ""},
		"path that is not clean":    {[]string{`"/webhooks/genesys"`, `"/webhooks/../x"`}, "sources[0].path: ", ""},
		"path of genmesh":           {[]string{`"/webhooks/genesys"`, `"/api/x"`}, `sources[0].path: "/api/x" is genmesh's own`, ""},
		"body above NATS":           {[]string{inSource, inSource + `"max_body_bytes": 983041,`}, "sources[0].max_body_bytes: 983041 is out of range: 1 to 983040", ""},
		"unknown stream":            {[]string{`"stream": "INTERACTIONS"`, `"stream": "INTERACTION"`}, `sources[0].stream: there is no stream "INTERACTION"`, `did you mean "INTERACTIONS"?`},
		"source into dead letters":  {[]string{`"stream": "INTERACTIONS"`, `"stream": "DEAD_LETTERS"`}, "sources[0].stream: DEAD_LETTERS keeps dead letters", ""},
		"subject not taken":         {[]string{`["genesys.>"]`, `["genesis.>"]`}, `sources[0].stream: INTERACTIONS does not take "genesys.*.*.*.*"`, `add "genesys.>"`},
		"subject without start":     {[]string{inSource, inSource + `"subject": "{source}.{type}",`}, "sources[0].subject: a subject must begin with", ""},
		"subject with an id":        {[]string{inSource, inSource + `"subject": "{source}.{partition}.{id}",`}, "sources[0].subject: {id} can't stand in a subject", ""},
		"subject with a mixture":    {[]string{inSource, inSource + `"subject": "{source}.{partition}.x{type}",`}, `sources[0].subject: the part "x{type}" is neither`, ""},
		"subject with a wildcard":   {[]string{inSource, inSource + `"subject": "{source}.{partition}.*",`}, `sources[0].subject: the part "*" is neither`, ""},
		"unknown placeholder":       {[]string{inSource, inSource + `"subject": "{source}.{partition}.{interacton}",`}, `sources[0].subject: unknown placeholder {interacton}; did you mean "interaction"?`, ""},
		"key of nothing":            {[]string{inSource, inSource + `"dedupe_key": "{source}",`}, "sources[0].dedupe_key: a dedupe_key needs", ""},
		"key with a partition":      {[]string{inSource, inSource + `"dedupe_key": "{partition}{id}",`}, "sources[0].dedupe_key: {partition} can't stand", ""},
		"sources that share":        {[]string{`["genesys.>"]`, `["genesys.>", "genesys2.>"]`, `"sources": [`, `"sources": [` + genesysAgain}, "sources[0].dedupe_key: several sources feed the stream INTERACTIONS", `"{source}:{interaction}"`},
		"sources that share, and one drops": {[]string{`["genesys.>"]`, `["genesys.>", "genesys2.>"]`, inSource, inSource + `"repeat": "drop",`,
			`"sources": [`, `"sources": [` + strings.Replace(genesysAgain, `"subject"`, `"dedupe_key": "{source}:{id}", "subject"`, 1)},
			"sources[1].dedupe_key: several sources feed the stream INTERACTIONS", `"{source}:{interaction}"`},
		"tokens for anybody": {[]string{inSource, inSource + `"verification": {"method": "jwt", "jwks_url": "https://issuer.example.com/keys"},`,
			`"secrets": ["${GENESYS_WEBHOOK_SECRET}", "${GENESYS_WEBHOOK_SECRET_PREVIOUS:-}"],`, ``},
			"sources[0].verification.audience: missing: an issuer makes tokens for others, too", "for genmesh"},
		"tolerance of no time": {[]string{inSource, inSource + `"verification": {"tolerance": "5m"},`}, "sources[0].verification.tolerance: no time is signed", "timestamp_header"},
		"issuer and secret": {[]string{inSource, inSource + `"verification": {"method": "jwt", "audience": "mesh", "jwks_url": "https://issuer.example.com/keys"},`},
			"sources[0].verification.jwks_url: tokens are verified by their issuer's keys or by a secret", "remove it"},
		"source twice":           {[]string{`"sources": [`, `"sources": [` + strings.Replace(genesysAgain, "genesys2", "genesys", 1)}, `sources[1].name: "genesys" is taken by sources[0].name`, ""},
		"path twice":             {[]string{`"sources": [`, `"sources": [` + strings.Replace(genesysAgain, "/two", "/genesys", 1)}, `sources[1].path: "/webhooks/genesys" is taken`, ""},
		"bad stream name":        {[]string{inStream, `"name": "INTER.ACTIONS",`}, `streams[0].name: "INTER.ACTIONS" is no name`, ""},
		"stream twice":           {[]string{`"name": "QUARANTINE"`, `"name": "INTERACTIONS"`}, "streams[2].name: \"INTERACTIONS\" is taken", ""},
		"overlapping streams":    {[]string{`["quarantine.>"]`, `["quarantine.>", "genesys.01.>"]`}, `streams[2].subjects[1]: "genesys.01.>" overlaps "genesys.>" of streams[0]`, ""},
		"overlapping subjects":   {[]string{`["genesys.>"]`, `["genesys.>", "genesys.a.b"]`}, `streams[0].subjects[1]: "genesys.a.b" overlaps`, ""},
		"everything":             {[]string{`["genesys.>"]`, `[">"]`}, `streams[0].subjects[0]: ">" takes "replay.>"`, ""},
		"the server's subject":   {[]string{`["genesys.>"]`, `["genesys.>", "$SYS.>"]`}, `streams[0].subjects[1]: "$SYS.>" is the server's own`, ""},
		"not a subject":          {[]string{`["genesys.>"]`, `["genesys.>", "a..b"]`}, `streams[0].subjects[1]: "a..b" is not a NATS subject`, ""},
		"no subjects":            {[]string{`"subjects": ["quarantine.>"],`, ``}, "streams[2].subjects: missing", ""},
		"work queue":             {[]string{`"retention": "limits"`, `"retention": "workqueue"`}, "streams[0].retention: only limits retention", `"limits"`},
		"window above age":       {[]string{`"duplicate_window": "2h"`, `"duplicate_window": "169h"`}, "streams[0].duplicate_window: 169h is longer than max_age", "168h"},
		"window too small":       {[]string{`"duplicate_window": "2h"`, `"duplicate_window": "99ms"`}, "streams[0].duplicate_window: 99ms is out of range", ""},
		"async persistence":      {[]string{inStream, inStream + `"persist_mode": "async",`}, "streams[0].persist_mode: async acknowledges before it writes", ""},
		"no acknowledgement":     {[]string{inStream, inStream + `"no_ack": true,`}, "streams[0].no_ack: ", ""},
		"evicting stream":        {[]string{`"discard": "new"`, `"discard": "old"`}, "streams[0].discard: old deletes the oldest events", ""},
		"evicting subjects":      {[]string{inStream, inStream + `"max_msgs_per_subject": 5,`}, "streams[0].max_msgs_per_subject: ", ""},
		"mirror that is fed":     {[]string{inStream, inStream + `"mirror": {"name": "X"},`}, "streams[0].mirror: a mirror can't be published to", ""},
		"sealed":                 {[]string{inStream, inStream + `"sealed": true,`}, "streams[0].sealed: ", ""},
		"too many replicas":      {[]string{`"num_replicas": "${NATS_REPLICAS:-1}"`, `"num_replicas": 6`}, "streams[0].num_replicas: 6 is out of range", ""},
		"messages too small":     {[]string{inStream, inStream + `"max_msg_size": 1000,`}, "streams[0].max_msg_size: 1000 is too small", "540672"},
		"genmesh's metadata":     {[]string{inStream, inStream + `"metadata": {"genmesh.own": "no"},`}, "streams[0].metadata.genmesh.own: ", ""},
		"no dead letters":        {[]string{`"subjects": ["dead.>"]`, `"subjects": ["dread.>"]`}, `streams: no stream takes "dead.>"`, `"name": "DEAD_LETTERS"`},
		"part of the quarantine": {[]string{`["quarantine.>"]`, `["quarantine.genesys.>"]`}, `streams: no stream takes "quarantine.>"`, `"name": "QUARANTINE"`},
		"no advisories":          {[]string{`"$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>",`, ``}, `no stream takes "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"`, "ADVISORIES"},
		"bad subscriber name":    {[]string{inSubscriber, `"name": "c.r.m",`}, `subscribers[0].name: "c.r.m" is no name`, ""},
		"subscriber twice":       {[]string{inSubscriber, `"name": "analytics",`}, `subscribers[1].name: "analytics" is taken by subscribers[0].name`, ""},
		"reader of dead letters": {[]string{`screen-pops the caller", "stream": "INTERACTIONS"`, `", "stream": "DEAD_LETTERS"`}, "subscribers[0].stream: DEAD_LETTERS keeps dead letters, not events", ""},
		"filter of nothing":      {[]string{inSubscriber, inSubscriber + `"filter_subject": "genesis.>",`}, `subscribers[0].filter_subject: "genesis.>" matches nothing`, "genesys.>"},
		"overlapping filters":    {[]string{inSubscriber, inSubscriber + `"filter_subjects": ["genesys.*.a.>", "genesys.01.>"],`}, "subscribers[0].filter_subjects[1]: ", ""},
		"both filters":           {[]string{inSubscriber, inSubscriber + `"filter_subject": "genesys.>", "filter_subjects": ["genesys.>"],`}, "subscribers[0].filter_subject: there are both", ""},
		"no room for replays": {[]string{`"subjects": ["dead.>"],`, `"subjects": ["dead.>"], "max_consumers": 2,`},
			"streams[1].max_consumers: 2 is too few", "raise it"},
		"one file, two writers": {[]string{`"url": "${CRM_URL:-log:}"`, `"url": "file:.genmesh/./compliance.ndjson"`},
			"subscribers[2].target.url: subscribers[0] writes this file already", "a file of its own"},
		"too few deliveries":       {[]string{`"max_deliver": 56`, `"max_deliver": 6`}, "subscribers[0].max_deliver: 6 is not above max_attempts 6", "write 56"},
		"endless deliveries":       {[]string{`"max_deliver": 56`, `"max_deliver": -1`}, "subscribers[0].max_deliver: -1 is not above", ""},
		"hasty ack_wait":           {[]string{`"ack_wait": "10s"`, `"ack_wait": "500ms"`}, "subscribers[0].ack_wait: 500ms is out of range: 1s to 24h", ""},
		"too many pending":         {[]string{`"max_ack_pending": 256`, `"max_ack_pending": 10001`}, "subscribers[0].max_ack_pending: 10001 is out of range", ""},
		"more calls than pending":  {[]string{`"max_in_flight": 32`, `"max_in_flight": 257`}, "subscribers[0].max_in_flight: 257 calls at once", ""},
		"shrinking backoff":        {[]string{`"factor": 2`, `"factor": 0.5`}, "subscribers[0].backoff.factor: 0.5 is out of range", ""},
		"backoff upside down":      {[]string{`"max": "60s"`, `"max": "500ms"`}, "subscribers[0].backoff.max: 500ms is below the base, 1s", ""},
		"unknown jitter":           {[]string{`"factor": 2`, `"factor": 2, "jitter": "some"`}, `subscribers[0].backoff.jitter: "some" is none of none, full`, ""},
		"start without a place":    {[]string{inSubscriber, inSubscriber + `"deliver_policy": "by_start_sequence",`}, "subscribers[0].opt_start_seq: ", ""},
		"more replicas than kept":  {[]string{inSubscriber, inSubscriber + `"num_replicas": 3,`}, "subscribers[0].num_replicas: 3 is out of range", ""},
		"odd sampling":             {[]string{inSubscriber, inSubscriber + `"sample_freq": "often",`}, "subscribers[0].sample_freq: ", ""},
		"stream that forgets":      {[]string{inStream, inStream + `"consumer_limits": {"inactive_threshold": "1h"},`}, "subscribers[0].stream: INTERACTIONS deletes consumers", ""},
		"unknown scheme":           {[]string{`${CRM_URL:-log:}`, `htps://crm`}, `subscribers[0].target.url: no kind of target serves the scheme "htps"`, `did you mean "https"?`},
		"no host":                  {[]string{`${CRM_URL:-log:}`, `https:///x`}, "subscribers[0].target.url: the URL has no host", ""},
		"fragment":                 {[]string{`${CRM_URL:-log:}`, `https://crm/#x`}, "subscribers[0].target.url: a fragment is never sent", ""},
		"password in the file":     {[]string{`${CRM_URL:-log:}`, `https://u:hunter2@crm/`}, "subscribers[0].target.url: a password is never written", "${PASSWORD}"},
		"its own subject":          {[]string{`${CRM_URL:-log:}`, `nats:genesys.x`}, "subscribers[0].target.url: INTERACTIONS takes genesys.x", "another stream"},
		"escaped password":         {[]string{`${CRM_URL:-log:}`, `https://u:h%75nter2@crm/`}, "subscribers[0].target.url: a password is never written", ""},
		"password as a default":    {[]string{`${CRM_URL:-log:}`, `${CRM_URL:-https://u:hunter2@crm/}`}, "subscribers[0].target.url: a password is never written", ""},
		"not a URL":                {[]string{`${CRM_URL:-log:}`, `https://u:hunter2@c rm/`}, "subscribers[0].target.url: not a URL", ""},
		"notifications of nobody":  {[]string{inSource, inSource + `"notifications": {"topics": ["v2.users.a.conversations"]},`}, "sources[0].api: missing: notifications come from", "add it"},
		"notifications of nothing": {[]string{inSource, inSource + inAPI + `"notifications": {"topics": []},`}, "sources[0].notifications.topics: 0 topics; 1 to 1000", ""},
		"topic twice":              {[]string{inSource, inSource + inAPI + `"notifications": {"topics": ["v2.a", "v2.b", "v2.a"]},`}, `sources[0].notifications.topics[2]: "v2.a" is there twice`, "remove it"},
		"no topic":                 {[]string{inSource, inSource + inAPI + `"notifications": {"topics": ["v2 a"]},`}, `sources[0].notifications.topics[0]: "v2 a" is no topic`, ""},
		"notifications that nobody can sign": {[]string{inSource, inSource + inAPI + `"notifications": {"topics": ["v2.a"]}, "verification": {"method": "jwt", "jwks_url": "https://issuer.example.com/keys"},`},
			"sources[0].verification.jwks_url: genmesh forwards notifications and can't sign", "a method with a secret"},
		"notifications without a secret": {[]string{`"secrets": ["${GENESYS_WEBHOOK_SECRET}", "${GENESYS_WEBHOOK_SECRET_PREVIOUS:-}"],`, ``, inSource, inSource + inAPI +
			`"notifications": {"topics": ["v2.a"]}, "subscription": {"event_types": ["interaction"], "target_url": "https://mesh.example.com/x"},`},
			"sources[0].secret: missing: notifications are signed with it", "a source of their own"},
		"slow target": {[]string{inTarget, `"timeout": "1h"`}, "subscribers[0].target.timeout: 1h is out of range", ""},
	} {
		t.Run(name, func(t *testing.T) {
			text := editedFile(t, c.edit...)
			mistakes := mistakesOf(t, text, nil)
			require.NotContains(t, mistakes.Error(), "hunter2")
			i := slices.IndexFunc(mistakes, func(m Mistake) bool { return strings.Contains(m.Path+": "+m.Problem, c.want) })
			require.GreaterOrEqual(t, i, 0, "%v", mistakes)
			require.Contains(t, mistakes[i].Hint, c.hint)
		})
	}
}

func TestMistakesStandWhereTheyAre(t *testing.T) {
	text := "{\n  \"streams\": [\n    {\"name\": \"A\", \"subject\": []},\n\t{\"name\": 1}\n  ]\n}"
	mistakes := mistakesOf(t, text, nil)
	lines := strings.Split(mistakes.Error(), "\n")
	require.Contains(t, lines, `streams.json:3:19: streams[0].subject: unknown field; did you mean "subjects"?`)
	require.Contains(t, lines, `streams.json:4:11: streams[1].name: expected a string, found a number`)
	require.Contains(t, lines, `streams.json:3:5: streams[0].subjects: missing: the subjects that the stream takes; add such as "subjects": ["genesys.>"]`)
}

func manyFields(n int) string {
	fields := make([]string, n)
	for i := range fields {
		fields[i] = fmt.Sprintf(`"f%d": 1`, i)
	}
	return strings.Join(fields, ",")
}

func TestReportsAreBounded(t *testing.T) {
	require.Len(t, mistakesOf(t, "{"+manyFields(500)+"}", nil), 100)
}

func TestSyntaxIsReportedWithItsPlace(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"empty":          {"", "streams.json:1:1: not JSON"},
		"cut":            {"{\n\"streams\": [", "streams.json:2:13: not JSON"},
		"trailing comma": {"{\n\"streams\": [],\n}", "streams.json:2:"},
		"invalid UTF-8":  {"{\"streams\": \"\xff\"}", "invalid UTF-8"},
		"trailing data":  {"{\"streams\": []}\n {}", "streams.json:2:2: there is more text"},
		"no object":      {"[]", "streams.json:1:1: expected an object, found a list"},
		"too deep":       {strings.Repeat(`{"a":`, 40), "at most 16 levels"},
		"too wide":       {"{" + manyFields(600) + "}", "at most 512 are read"},
		"too large":      {strings.Repeat(" ", MaxTopologyBytes+1), "at most 1048576"},
	} {
		t.Run(name, func(t *testing.T) {
			require.ErrorContains(t, mistakesOf(t, c.text, nil), c.want)
		})
	}
}

func TestSeveralMistakesAreReportedAtOnce(t *testing.T) {
	text := editedFile(t, `"ack_wait": "10s"`, `"ack_wat": "30s"`, `"max_age": "168h"`, `"max_age": true`,
		`${ANALYTICS_URL:-log:}`, `gopher:`, `"preset": "genesys"`, `"preset": "avaya"`)
	require.Len(t, mistakesOf(t, text, nil), 4, mistakesOf(t, text, nil).Error())
}

func TestReferencesStandForNumbers(t *testing.T) {
	topology, err := ParseTopology(sampleFile(t), parseOptions(map[string]string{"NATS_REPLICAS": "3", "CRM_URL": "https://a:b@crm/x?y=z"}))
	require.NoError(t, err)
	require.Equal(t, 3, topology.Streams[0].Replicas)
	require.Equal(t, "https://crm", topology.Subscribers[0].Target.Display())
	raw, err := json.Marshal(topology.Subscribers[0])
	require.NoError(t, err)
	require.Contains(t, string(raw), `"${CRM_URL:-log:}"`)

	bad := mistakesOf(t, string(sampleFile(t)), map[string]string{"NATS_REPLICAS": "three"})
	require.ErrorContains(t, bad, "streams[0].num_replicas: expected a whole number")
}

func TestPresetFillsFieldByField(t *testing.T) {
	text := editedFile(t, inSource, inSource+`"identity": {"media": "data.mediaType"},`)
	topology, err := ParseTopology([]byte(text), parseOptions(nil))
	require.NoError(t, err)
	require.Equal(t, Selectors{"data.mediaType"}, topology.Sources[0].Identity.Media)
	require.Equal(t, Selectors{"data.id"}, topology.Sources[0].Identity.Interaction)
	require.Equal(t, "X-Genesys-Signature", topology.Sources[0].Verification.Header)
}

func TestDefaults(t *testing.T) {
	text := editedFile(t, `"subscribers": [`, `"subscribers": [{"name": "billing", "stream": "INTERACTIONS", "max_ack_pending": 8},`)
	topology, err := ParseTopology([]byte(text), parseOptions(nil))
	require.NoError(t, err)
	require.Equal(t, Subscriber{
		Name: "billing", Stream: "INTERACTIONS", AckWait: Duration(10 * time.Second), MaxDeliver: 56, MaxAckPending: 8,
		MaxAttempts: 6, MaxInFlight: 8, Backoff: Backoff{Base: Duration(time.Second), Factor: 2, Max: Duration(time.Minute), Jitter: "none"},
		Order: OrderInteraction, Partitions: 1, Breaker: Breaker{Failures: 10, For: Duration(10 * time.Second)},
	}, topology.Subscribers[0])
	source := topology.Sources[0]
	require.Equal(t, DefaultSubject, source.Subject)
	require.Equal(t, DefaultDedupeKey, source.DedupeKey)
	require.Equal(t, RepeatKeep, source.Repeat)
	require.Equal(t, 524288, source.MaxBodyBytes)
	require.Equal(t, 4096, source.MaxInFlight)
	require.EqualValues(t, 104857600, topology.Subscribers[3].Target.RotateBytes)
}

func TestStreamForSubject(t *testing.T) {
	topology, err := ParseTopology(sampleFile(t), parseOptions(nil))
	require.NoError(t, err)
	for subject, want := range map[string]string{
		"genesys.00.interaction.call.1": "INTERACTIONS", "dead.>": "DEAD_LETTERS", "quarantine.>": "QUARANTINE",
		"replay.crm.genesys.x": "DEAD_LETTERS", "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>": "ADVISORIES",
		">": "", "crm.1": "",
	} {
		stream, ok := topology.StreamFor(subject)
		require.Equal(t, want != "", ok, subject)
		require.Equal(t, want, stream.Name, subject)
	}
}

func TestTooManyEntriesAreRefused(t *testing.T) {
	entry := `{"name": "a", "stream": "INTERACTIONS"},`
	text := editedFile(t, `"subscribers": [`, `"subscribers": [`+strings.Repeat(entry, 300))
	require.ErrorContains(t, mistakesOf(t, text, nil), "303 elements; at most 256")
	stream := `{"name": "A", "subjects": ["a"]},`
	text = editedFile(t, `"streams": [`, `"streams": [`+strings.Repeat(stream, 70))
	require.ErrorContains(t, mistakesOf(t, text, nil), "76 entries; at most 64")
}

func FuzzParseTopology(f *testing.F) {
	f.Add(sampleFile(f))
	for _, text := range goodFiles(f) {
		f.Add([]byte(text))
	}
	f.Add([]byte(`{"streams": [{"name": "A", "sources": [{"name": "B"}], "mirror": null}], "sources": [{"preset": "genesys"}]}`))
	f.Add([]byte(`{"subscribers": [{"target": {"url": "${X}"}, "backoff": []}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		topology, err := ParseTopology(data, parseOptions(map[string]string{"X": "1"}))
		if err != nil {
			mistakesOf(t, string(data), map[string]string{"X": "1"})
			return
		}
		raw, err := json.Marshal(topology)
		require.NoError(t, err)
		again, err := ParseTopology(raw, parseOptions(map[string]string{"X": "1"}))
		require.NoError(t, err, string(raw))
		require.Equal(t, topology, again)
	})
}

// What "nats stream info --json" prints under "config" of a stream that genmesh made.
func TestPastedConfigurationOfOurOwnStreamIsGood(t *testing.T) {
	text := editedFile(t, `"subjects": ["dead.>"],`, `"subjects": ["dead.>", "replay.>"],
		"metadata": {"genmesh.managed": "true", "genmesh.fields": "subjects", "genmesh.resume.crm": "7", "_nats.level": "0", "team": "voice"},`)
	topology, err := ParseTopology([]byte(text), parseOptions(nil))
	require.NoError(t, err)
	require.Equal(t, []string{"dead.>"}, topology.Streams[1].Subjects)
	require.Equal(t, map[string]string{"team": "voice"}, topology.Streams[1].Metadata)
}
