package mesh_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// edited parses the sample streams.json after replacing texts in it, pair by pair.
func edited(t *testing.T, pairs ...string) *mesh.Topology {
	t.Helper()
	data, err := os.ReadFile("testdata/streams.json")
	require.NoError(t, err)
	text := string(data)
	for i := 0; i < len(pairs); i += 2 {
		require.Contains(t, text, pairs[i])
		text = strings.Replace(text, pairs[i], pairs[i+1], 1)
	}
	return meshtest.Topology(t, text)
}

func planned(t *testing.T, topology *mesh.Topology, js jetstream.JetStream) mesh.Plan {
	t.Helper()
	plan, err := topology.Plan(context.Background(), js)
	require.NoError(t, err)
	return plan
}

func apply(t *testing.T, topology *mesh.Topology, js jetstream.JetStream) {
	t.Helper()
	require.NoError(t, planned(t, topology, js).Apply(context.Background(), js, true))
	requireEmpty(t, planned(t, topology, js))
}

func requireEmpty(t *testing.T, plan mesh.Plan) {
	t.Helper()
	require.True(t, plan.Empty(), text(t, plan))
}

func text(t *testing.T, plan mesh.Plan) string {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, plan.WriteText(&b))
	return b.String()
}

func steps(plan mesh.Plan) []string {
	var names []string
	for _, s := range plan.Steps {
		names = append(names, string(s.Action)+" "+string(s.Kind)+" "+s.Name)
	}
	return names
}

func publish(t *testing.T, js jetstream.JetStream, subject string, n int) {
	t.Helper()
	for range n {
		_, err := js.Publish(context.Background(), subject, []byte("{}"))
		require.NoError(t, err)
	}
}

func TestApplyMakesWhatTheFileSaysOnce(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	topology := edited(t)
	first := planned(t, topology, js)
	require.Equal(t, []string{
		"create stream INTERACTIONS", "create stream DEAD_LETTERS", "create stream QUARANTINE", "create stream DELIVERIES", "create stream AUDIT", "create stream ADVISORIES",
		"create stream KV_genmesh",
		"create consumer INTERACTIONS/crm", "create consumer INTERACTIONS/analytics", "create consumer INTERACTIONS/compliance",
		"create consumer DEAD_LETTERS/crm", "create consumer DEAD_LETTERS/analytics", "create consumer DEAD_LETTERS/compliance",
	}, steps(first))
	require.Empty(t, first.Destructive())
	require.NoError(t, first.Apply(context.Background(), js, false))
	requireEmpty(t, planned(t, topology, js))
	require.NoError(t, first.Apply(context.Background(), js, false), "a plan that was applied can be applied again")

	consumer, err := js.PushConsumer(context.Background(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	config := consumer.CachedInfo().Config
	assert.Empty(t, config.FilterSubjects)
	assert.Empty(t, config.FilterSubject)
	assert.Equal(t, "_mesh.deliver.INTERACTIONS.crm", config.DeliverSubject)
	assert.Empty(t, config.DeliverGroup, "one process at a time serves it, by its lease")
	assert.Equal(t, jetstream.AckExplicitPolicy, config.AckPolicy)
	assert.Equal(t, 56, config.MaxDeliver)
	assert.Empty(t, config.BackOff)
	assert.Zero(t, config.IdleHeartbeat)
	assert.False(t, config.FlowControl)
	assert.Equal(t, "crm", config.Metadata[mesh.MetadataSubscriber])

	stream, err := js.Stream(context.Background(), "DEAD_LETTERS")
	require.NoError(t, err)
	assert.Equal(t, []string{"dead.>", "replay.>"}, stream.CachedInfo().Config.Subjects)
	consumer, err = js.PushConsumer(context.Background(), "DEAD_LETTERS", "crm")
	require.NoError(t, err)
	assert.Equal(t, []string{"replay.crm.>"}, consumer.CachedInfo().Config.FilterSubjects)
	assert.Equal(t, "_mesh.deliver.DEAD_LETTERS.crm", consumer.CachedInfo().Config.DeliverSubject)
}

func TestTwoProcessesApplyAtOnce(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	topology := edited(t)
	plan := planned(t, topology, js)
	var group sync.WaitGroup
	errs := make([]error, 4)
	for i := range errs {
		group.Go(func() { errs[i] = plan.Apply(context.Background(), js, false) })
	}
	group.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	requireEmpty(t, planned(t, topology, js))
}

func TestHarmlessEditsUpdate(t *testing.T) {
	for name, edit := range map[string][]string{
		"longer max_age":            {`"max_age": "168h"`, `"max_age": "169h"`},
		"larger max_bytes":          {`"max_bytes": 10737418240`, `"max_bytes": 10737418241`},
		"no max_bytes":              {`"max_bytes": 10737418240,`, ``},
		"unlimited max_bytes":       {`"max_bytes": 10737418240,`, `"max_bytes": -1,`},
		"no direct get":             {`"allow_direct": true`, `"allow_direct": false`},
		"no atomic batches":         {`"allow_atomic": true,`, ``},
		"another subject":           {`"subjects": ["genesys.>"]`, `"subjects": ["genesys.>", "crm.>"]`},
		"shorter window":            {`"duplicate_window": "2h"`, `"duplicate_window": "1h"`},
		"window of the server":      {`"duplicate_window": "2h",`, ``},
		"compression":               {`"discard": "new",`, `"discard": "new", "compression": "s2",`},
		"metadata":                  {`"discard": "new",`, `"discard": "new", "metadata": {"team": "voice"},`},
		"republish":                 {`"discard": "new",`, `"discard": "new", "republish": {"dest": "live.>", "headers_only": true},`},
		"message TTL":               {`"discard": "new",`, `"discard": "new", "subject_delete_marker_ttl": "1h",`},
		"empty placement":           {`"discard": "new",`, `"discard": "new", "placement": {"cluster": ""},`},
		"deny delete":               {`"discard": "new",`, `"discard": "new", "deny_delete": true,`},
		"ack_wait":                  {`"ack_wait": "10s"`, `"ack_wait": "31s"`},
		"more attempts":             {`"max_deliver": 56`, `"max_deliver": 57`},
		"filters":                   {`"ack_wait": "10s"`, `"filter_subjects": ["genesys.*.a.>", "genesys.*.b.>"], "ack_wait": "10s"`},
		"one filter":                {`"ack_wait": "10s"`, `"filter_subject": "genesys.*.a.>", "ack_wait": "10s"`},
		"rate limit":                {`"ack_wait": "10s"`, `"rate_limit_bps": 1000000, "ack_wait": "10s"`},
		"sampling":                  {`"ack_wait": "10s"`, `"sample_freq": "10%", "ack_wait": "10s"`},
		"pause":                     {`"ack_wait": "10s"`, `"pause_until": "2999-01-01T00:00:00Z", "ack_wait": "10s"`},
		"pause that is over":        {`"ack_wait": "10s"`, `"pause_until": "1999-01-01T00:00:00Z", "ack_wait": "10s"`},
		"subscriber metadata":       {`"ack_wait": "10s"`, `"metadata": {"team": "voice"}, "ack_wait": "10s"`},
		"replicas of the consumer":  {`"ack_wait": "10s"`, `"num_replicas": 1, "ack_wait": "10s"`},
		"start of a subscriber":     {`"ack_wait": "10s"`, `"deliver_policy": "new", "ack_wait": "10s"`},
		"target of the process":     {`"url": "${CRM_URL:-log:}"`, `"url": "https://crm.example.com/"`},
		"in flight of the process":  {`"max_in_flight": 32`, `"max_in_flight": 31`},
		"one more subscriber":       {`"subscribers": [`, `"subscribers": [{"name": "billing", "stream": "INTERACTIONS"},`},
		"description of the stream": {`Interaction events`, `Events`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := meshtest.Start(t).JetStream()
			sample, changed := edited(t), edited(t, edit...)
			apply(t, sample, js)
			plan := planned(t, changed, js)
			require.Empty(t, plan.Destructive(), text(t, plan))
			require.NoError(t, plan.Apply(context.Background(), js, false))
			requireEmpty(t, planned(t, changed, js))
			// And back again: what is left out goes back to its default.
			back := planned(t, sample, js)
			require.NoError(t, back.Apply(context.Background(), js, true), text(t, back))
			requireEmpty(t, planned(t, sample, js))
		})
	}
}

// What only workers act on is shown by plan as well, and never with what a secret or a reference stands for.
func TestPlanShowsSettings(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t, `"max_in_flight": 32,`, `"max_in_flight": 32, "rate_limit": "50/s", "redact": ["data.ani"],`), js)
	plan := planned(t, edited(t, `"max_in_flight": 32,`, `"max_in_flight": 16, "rate_limit": "100/s", "when": "data.type == 'call'",`), js)
	shown := text(t, plan)
	for _, line := range []string{"rate_limit     50/s → 100/s", "max_in_flight  32 → 16", "when           (unset) → data.type == 'call'", "burst          50 → 100"} {
		require.Contains(t, shown, line)
	}
	require.Regexp(t, `redact +\[\{"path":"data.ani","with":"mask"\}\] → \(unset\)`, shown)
	require.Len(t, plan.Steps, 1, shown)
	require.Empty(t, plan.Destructive())
	require.NoError(t, plan.Apply(context.Background(), js, false))

	consumer, err := js.PushConsumer(context.Background(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	require.Contains(t, consumer.CachedInfo().Config.Metadata["genmesh.setting.target"], `"url":"${CRM_URL:-log:}"`)
}

// Whoever reviews a plan sees each edit of a subscriber, when it is made and when it is taken back, with the reference in the place
// of each secret; and what is applied is shown no more.
func TestPlanShowsEveryFieldOfASubscriberThatIsEdited(t *testing.T) {
	const crm, target = `"name": "crm",`, `"target": {"url": "${CRM_URL:-log:}", "timeout": "10s"}`
	more := func(fields string) []string { return []string{crm, crm + fields + ","} }
	rows := map[string]struct {
		edit     []string
		from, to string
		shown    string // under which name, if it is another
	}{
		"description":     {[]string{"The CRM, which screen-pops the caller", "The CRM"}, "The CRM, which screen-pops the caller", "The CRM", ""},
		"filter_subject":  {more(`"filter_subject": "genesys.*.a.>"`), "(unset)", "genesys.*.a.>", "filter_subjects"},
		"filter_subjects": {more(`"filter_subjects": ["genesys.*.a.>", "genesys.*.b.>"]`), "(unset)", "genesys.*.a.>, genesys.*.b.>", ""},
		"replay_policy":   {more(`"replay_policy": "original"`), "instant", "original", ""},
		"ack_wait":        {[]string{`"ack_wait": "10s"`, `"ack_wait": "11s"`}, "10s", "11s", ""},
		"max_deliver":     {[]string{`"max_deliver": 56`, `"max_deliver": 57`}, "56", "57", ""},
		"max_ack_pending": {[]string{`"max_ack_pending": 256`, `"max_ack_pending": 255`}, "256", "255", ""},
		"rate_limit_bps":  {more(`"rate_limit_bps": 1000000`), "0", "1000000", ""},
		"sample_freq":     {more(`"sample_freq": "10%"`), "(unset)", "10%", ""},
		"num_replicas":    {more(`"num_replicas": 1`), "0", "1", ""},
		"mem_storage":     {more(`"mem_storage": true`), "false", "true", ""},
		"pause_until":     {more(`"pause_until": "2999-01-01T00:00:00Z"`), "(unset)", "2999-01-01T00:00:00Z", ""},
		"metadata":        {more(`"metadata": {"team": "voice"}`), "(unset)", "voice", "metadata.team"},
		"order":           {more(`"order": "none"`), "crm", "crm=shared", "consumers"},
		"partitions":      {more(`"partitions": 2`), "crm", "crm=1of2, crm=2of2", "consumers"},
		"max_attempts":    {[]string{`"max_attempts": 6`, `"max_attempts": 5`}, "6", "5", ""},
		"max_in_flight":   {[]string{`"max_in_flight": 32`, `"max_in_flight": 31`}, "32", "31", ""},
		"rate_limit":      {more(`"rate_limit": "50/s"`), "(unset)", "50/s", ""},
		"burst":           {more(`"rate_limit": "50/s", "burst": 7`), "(unset)", "7", ""},
		"backoff": {[]string{`"backoff": {"base": "1s", "factor": 2, "max": "60s"}`, `"backoff": {"base": "2s", "factor": 3, "max": "2m", "jitter": "full"}`},
			`{"base":"1s","factor":2,"max":"1m","jitter":"none"}`, `{"base":"2s","factor":3,"max":"2m","jitter":"full"}`, ""},
		"breaker":    {more(`"breaker": {"failures": 3, "for": "20s"}`), `{"failures":10,"for":"10s"}`, `{"failures":3,"for":"20s"}`, ""},
		"when":       {more(`"when": "data.type == 'call'"`), "(unset)", "data.type == 'call'", ""},
		"redact":     {more(`"redact": ["data.ani"]`), "(unset)", `[{"path":"data.ani","with":"mask"}]`, ""},
		"redact_key": {more(`"redact": [{"path": "data.ani", "with": "hash"}], "redact_key": "${REDACT_KEY}"`), "(unset)", "${REDACT_KEY}", ""},
		"transform":  {more(`"transform": "{id: .data.id}"`), "(unset)", "{id: .data.id}", ""},
		"target": {
			[]string{target, `"target": {"url": "https://crm.example.com/", "auth": {"method": "bearer", "token": "${CRM_TOKEN}"},
				"signing_secrets": ["${CRM_KEY}"], "headers": {"X-Team": "voice"}, "secret_headers": {"X-Key": "${CRM_KEY}"},
				"tls": {"ca_file": "crm.pem"}, "allow_networks": ["10.0.0.0/8"]}`},
			`{"url":"${CRM_URL:-log:}","timeout":"10s"}`,
			`{"url":"https://crm.example.com/","headers":{"X-Team":"voice"},"timeout":"10s","secret_headers":{"X-Key":"${CRM_KEY}"},` +
				`"auth":{"method":"bearer","token":"${CRM_TOKEN}"},"signing_secrets":["${CRM_KEY}"],"tls":{"ca_file":"crm.pem"},"allow_networks":["10.0.0.0/8"]}`, "",
		},
	}
	// The first two make it another subscriber. Where one begins is decided once: TestAStartThatComesTooLateIsNoted.
	elsewhere := []string{"name", "stream", "start", "deliver_policy", "opt_start_seq", "opt_start_time"}
	for i := range reflect.TypeFor[mesh.Subscriber]().NumField() {
		field, _, _ := strings.Cut(reflect.TypeFor[mesh.Subscriber]().Field(i).Tag.Get("json"), ",")
		_, ok := rows[field]
		require.True(t, ok || slices.Contains(elsewhere, field), "nobody knows whether a plan shows %s", field)
	}

	for _, name := range []string{"CRM_TOKEN", "CRM_KEY", "REDACT_KEY"} {
		t.Setenv(name, "planted")
	}
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	for field, row := range rows {
		if row.shown == "" {
			row.shown = field
		}
		sample, changed := edited(t), edited(t, row.edit...)
		there := text(t, planned(t, changed, js))
		assert.Regexp(t, changeLine(row.shown, row.from, row.to), there, field)
		apply(t, changed, js)
		back := text(t, planned(t, sample, js))
		assert.Regexp(t, changeLine(row.shown, row.to, row.from), back, field)
		apply(t, sample, js)
		assert.NotContains(t, there+back, "planted")
	}
}

// changeLine matches the line of a plan that says how a field changes.
func changeLine(field, from, to string) string {
	return fmt.Sprintf(`(?m)^    %s +%s → %s$`, regexp.QuoteMeta(field), regexp.QuoteMeta(from), regexp.QuoteMeta(to))
}

func TestPlanShowsHowANewSubscriberIsSet(t *testing.T) {
	t.Setenv("CRM_KEY", "planted")
	js := meshtest.Start(t).JetStream()
	shown := text(t, planned(t, edited(t, `"name": "crm",`, `"name": "crm", "start": "now", "partitions": 2, "rate_limit": "50/s", "transform": "{id: .data.id}",
		"breaker": {"failures": 3, "for": "20s"}, "when": "data.type == 'call'",`,
		`"target": {"url": "${CRM_URL:-log:}",`, `"target": {"url": "https://crm.example.com/", "signing_secrets": ["${CRM_KEY}"],`), js))
	_, crm, found := strings.Cut(shown, "+ create consumer INTERACTIONS/crm")
	require.True(t, found, shown)
	crm, _, _ = strings.Cut(crm, "\n+ ")
	for field, value := range map[string]string{
		"deliver_policy": "new", "ack_wait": "10s", "max_attempts": "6", "rate_limit": "50/s", "burst": "50", "partitions": "2", "order": "interaction",
		"backoff": `{"base":"1s","factor":2,"max":"1m","jitter":"none"}`, "breaker": `{"failures":3,"for":"20s"}`, "when": "data.type == 'call'",
		"transform": "{id: .data.id}", "target": `{"url":"https://crm.example.com/","timeout":"10s","signing_secrets":["${CRM_KEY}"]}`,
	} {
		assert.Regexp(t, fmt.Sprintf(`(?m)^    %s +%s$`, field, regexp.QuoteMeta(value)), crm)
	}
	assert.NotContains(t, shown, "planted")
}

func TestLossyStepsAreRefusedWithNumbers(t *testing.T) {
	for name, c := range map[string]struct {
		edit  []string
		step  string
		loses string
	}{
		"shorter max_age":   {[]string{`"max_age": "168h"`, `"max_age": "167h"`}, "update stream INTERACTIONS", "what is older than 167h"},
		"smaller max_bytes": {[]string{`"max_bytes": 10737418240`, `"max_bytes": 1073741824`}, "update stream INTERACTIONS", "what exceeds 1 GiB"},
		"first max_msgs":    {[]string{`"discard": "new"`, `"discard": "new", "max_msgs": 10`}, "update stream INTERACTIONS", "all but the last 10 messages"},
		"memory storage": {[]string{`"storage": "file"`, `"storage": "memory"`, `"max_bytes": 10737418240`, `"max_bytes": 1048576`},
			"replace stream INTERACTIONS", "the server can't change storage: the stream is made anew without its 3 messages"},
		"renamed subscriber": {[]string{`"name": "crm"`, `"name": "crm2"`}, "delete consumer INTERACTIONS/crm",
			"3 messages were not delivered yet and 0 not acknowledged"},
		"replay policy": {[]string{`"ack_wait": "10s"`, `"replay_policy": "original", "ack_wait": "10s"`},
			"replace consumer INTERACTIONS/crm", "a change of replay_policy needs a new consumer"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			js := meshtest.Start(t).JetStream()
			apply(t, edited(t), js)
			publish(t, js, "genesys.00.interaction.call.1", 3)
			changed := edited(t, c.edit...)
			plan := planned(t, changed, js)
			require.Contains(t, steps(plan), c.step)
			i := slices.IndexFunc(plan.Destructive(), func(s mesh.Step) bool { return c.step == fmt.Sprintf("%s %s %s", s.Action, s.Kind, s.Name) })
			require.GreaterOrEqual(t, i, 0)
			require.Contains(t, plan.Destructive()[i].Loses, c.loses)

			var refused *mesh.DestructiveError
			err := plan.Apply(context.Background(), js, false)
			require.ErrorAs(t, err, &refused)
			require.ErrorContains(t, err, "--allow-destroy")
			require.Equal(t, plan.Destructive(), refused.Steps)
			stream, err := js.Stream(context.Background(), "INTERACTIONS")
			require.NoError(t, err)
			require.EqualValues(t, 3, stream.CachedInfo().State.Msgs)
			require.Len(t, planned(t, changed, js).Destructive(), len(refused.Steps), "what was refused is still to do")
			apply(t, changed, js)
		})
	}
}

func TestLeftStreamIsDeletedOnlyIfItIsOurs(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	with := edited(t, `"streams": [`, `"streams": [{"name": "OLD", "subjects": ["old.>"]},`)
	apply(t, with, js)
	publish(t, js, "old.one", 2)
	foreign, err := js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "FOREIGN", Subjects: []string{"foreign"}})
	require.NoError(t, err)
	_, err = js.CreateConsumer(context.Background(), "INTERACTIONS", jetstream.ConsumerConfig{Durable: "operator"})
	require.NoError(t, err)

	plan := planned(t, edited(t), js)
	require.Equal(t, []string{"delete stream OLD"}, steps(plan))
	require.Contains(t, plan.Destructive()[0].Loses, "2 messages")
	apply(t, edited(t), js)
	_, err = js.Stream(context.Background(), "OLD")
	require.ErrorIs(t, err, jetstream.ErrStreamNotFound)
	_, err = foreign.Info(context.Background())
	require.NoError(t, err)
	_, err = js.Consumer(context.Background(), "INTERACTIONS", "operator")
	require.NoError(t, err)
}

func TestNothingIsDeletedThatWasMadeAnewSinceThePlan(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t, `"streams": [`, `"streams": [{"name": "OLD", "subjects": ["old.>"]},`), js)
	plan := planned(t, edited(t), js)
	require.NoError(t, js.DeleteStream(context.Background(), "OLD"))
	_, err := js.CreateStream(context.Background(), jetstream.StreamConfig{Name: "OLD", Subjects: []string{"old.>"}})
	require.NoError(t, err)
	require.ErrorContains(t, plan.Apply(context.Background(), js, true), "plan again")
	_, err = js.Stream(context.Background(), "OLD")
	require.NoError(t, err)
}

func TestSubjectMovesFromOneStreamToAnother(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	old := `"streams": [{"name": "OLD", "subjects": ["old.>"]},`
	apply(t, edited(t, `"streams": [`, old), js)
	// The new stream stands before the old one, which still has the subject.
	moved := edited(t, `"streams": [`, `"streams": [{"name": "NEW", "subjects": ["old.>"]}, {"name": "OLD", "subjects": ["older.>"]},`)
	apply(t, moved, js)
	renamed := edited(t, `"streams": [`, `"streams": [{"name": "NEWEST", "subjects": ["old.>", "older.>"]},`)
	plan := planned(t, renamed, js)
	err := plan.Apply(context.Background(), js, false)
	var refused *mesh.DestructiveError
	require.ErrorAs(t, err, &refused)
	require.ErrorContains(t, err, "create stream NEWEST")
	apply(t, renamed, js)
}

func TestReplacedConsumerGoesOnWhereItWas(t *testing.T) {
	js, ctx := meshtest.Start(t).JetStream(), context.Background()
	start := edited(t, `"ack_wait": "10s"`, `"deliver_policy": "new", "ack_wait": "10s"`)
	apply(t, start, js)
	publish(t, js, "genesys.00.interaction.call.1", 5)
	got := make(chan jetstream.Msg, 10)
	consume := func() jetstream.ConsumeContext {
		consumer, err := js.PushConsumer(ctx, "INTERACTIONS", "crm")
		require.NoError(t, err)
		running, err := consumer.Consume(func(m jetstream.Msg) { got <- m })
		require.NoError(t, err)
		return running
	}
	sequence := func(m jetstream.Msg) uint64 {
		meta, err := m.Metadata()
		require.NoError(t, err)
		return meta.Sequence.Stream
	}
	running := consume()
	for i := range 5 {
		if m := <-got; i < 2 {
			require.NoError(t, m.DoubleAck(ctx))
		}
	}
	running.Stop()
	<-running.Closed()

	changed := edited(t, `"ack_wait": "10s"`, `"deliver_policy": "new", "replay_policy": "original", "ack_wait": "10s"`)
	plan := planned(t, changed, js)
	require.Equal(t, []string{"replace consumer INTERACTIONS/crm"}, steps(plan))
	require.Contains(t, plan.Steps[0].Loses, "the attempts of 3 unacknowledged messages")
	require.Contains(t, plan.Steps[0].Loses, "above stream sequence 2")
	apply(t, changed, js)
	defer consume().Stop()
	for want := uint64(3); want <= 5; want++ {
		require.Equal(t, want, sequence(<-got))
	}
}

// crashing stands for a process that dies before it makes a consumer.
type crashing struct{ jetstream.JetStream }

func (crashing) CreatePushConsumer(context.Context, string, jetstream.ConsumerConfig) (jetstream.PushConsumer, error) {
	return nil, errors.New("the process died")
}

func TestReplacementThatDiesHalfwaySkipsNothing(t *testing.T) {
	js, ctx := meshtest.Start(t).JetStream(), context.Background()
	apply(t, edited(t, `"ack_wait": "10s"`, `"deliver_policy": "new", "ack_wait": "10s"`), js)
	publish(t, js, "genesys.00.interaction.call.1", 3)
	changed := edited(t, `"ack_wait": "10s"`, `"deliver_policy": "new", "replay_policy": "original", "ack_wait": "10s"`)
	require.ErrorContains(t, planned(t, changed, js).Apply(ctx, crashing{js}, true), "the process died")
	_, err := js.PushConsumer(ctx, "INTERACTIONS", "crm")
	require.ErrorIs(t, err, jetstream.ErrConsumerNotFound)

	plan := planned(t, changed, js)
	require.Equal(t, []string{"create consumer INTERACTIONS/crm"}, steps(plan))
	require.Empty(t, plan.Destructive())
	apply(t, changed, js)
	consumer, err := js.PushConsumer(ctx, "INTERACTIONS", "crm")
	require.NoError(t, err)
	require.EqualValues(t, 3, consumer.CachedInfo().NumPending)
	stream, err := js.Stream(ctx, "INTERACTIONS")
	require.NoError(t, err)
	require.NotContains(t, stream.CachedInfo().Config.Metadata, "genmesh.resume.crm")
}

func TestReplacedStreamGetsItsConsumersBack(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	memory := edited(t, `"storage": "file"`, `"storage": "memory"`, `"max_bytes": 10737418240`, `"max_bytes": 1048576`)
	plan := planned(t, memory, js)
	require.Equal(t, []string{
		"replace stream INTERACTIONS",
		"create consumer INTERACTIONS/crm", "create consumer INTERACTIONS/analytics", "create consumer INTERACTIONS/compliance",
	}, steps(plan))
	var refused *mesh.DestructiveError
	require.ErrorAs(t, plan.Apply(context.Background(), js, false), &refused)
	require.Len(t, refused.Steps, 1)
	apply(t, memory, js)
}

func TestStreamThatCantBeReplacedIsStillThere(t *testing.T) {
	js, ctx := meshtest.Start(t).JetStream(), context.Background()
	apply(t, edited(t), js)
	tooLarge := edited(t, `"storage": "file"`, `"storage": "memory"`, `"max_bytes": 10737418240`, `"max_bytes": 1152921504606846976`)
	err := planned(t, tooLarge, js).Apply(ctx, js, true)
	require.ErrorContains(t, err, "the old one made again, empty")
	publish(t, js, "genesys.00.interaction.call.1", 1)
	apply(t, edited(t), js)
	_, err = js.PushConsumer(ctx, "INTERACTIONS", "crm")
	require.NoError(t, err)
}

func TestNameClashIsAdopted(t *testing.T) {
	js, ctx := meshtest.Start(t).JetStream(), context.Background()
	_, err := js.CreateStream(ctx, jetstream.StreamConfig{
		Name: "INTERACTIONS", Subjects: []string{"genesys.>"}, MaxMsgSize: 1 << 20, Metadata: map[string]string{"owner": "ops"},
	})
	require.NoError(t, err)
	_, err = js.CreateConsumer(ctx, "INTERACTIONS", jetstream.ConsumerConfig{Durable: "crm", FilterSubject: "genesys.>"})
	require.NoError(t, err)
	plan := planned(t, edited(t), js)
	require.Contains(t, text(t, plan), "metadata.genmesh.managed")
	require.Contains(t, steps(plan), "update stream INTERACTIONS")
	require.Contains(t, steps(plan), "replace consumer INTERACTIONS/crm", "a pull consumer can't become a push consumer")
	apply(t, edited(t), js)
	stream, err := js.Stream(ctx, "INTERACTIONS")
	require.NoError(t, err)
	require.Equal(t, "ops", stream.CachedInfo().Config.Metadata["owner"])
	require.EqualValues(t, 1<<20, stream.CachedInfo().Config.MaxMsgSize, "what streams.json does not set stays")
}

func TestOperatorsPauseStays(t *testing.T) {
	js, ctx := meshtest.Start(t).JetStream(), context.Background()
	apply(t, edited(t), js)
	until := time.Now().Add(time.Hour)
	_, err := js.PauseConsumer(ctx, "INTERACTIONS", "crm", until)
	require.NoError(t, err)
	requireEmpty(t, planned(t, edited(t), js))
	apply(t, edited(t, `"ack_wait": "10s"`, `"ack_wait": "31s"`), js)
	consumer, err := js.PushConsumer(ctx, "INTERACTIONS", "crm")
	require.NoError(t, err)
	require.True(t, consumer.CachedInfo().Paused)
}

func TestPlanReadsWell(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	publish(t, js, "genesys.00.interaction.call.1", 1)
	plan := planned(t, edited(t, `"max_age": "168h"`, `"max_age": "24h"`, `"ack_wait": "10s"`, `"ack_wait": "1m"`), js)
	lines := strings.Split(text(t, plan), "\n")
	require.Equal(t, "~ update stream INTERACTIONS", lines[0])
	require.Equal(t, "    max_age  168h → 24h", lines[1])
	require.Contains(t, lines[2], "    ! loses: what is older than 24h; the stream holds 1 messages (")
	require.Equal(t, "~ update consumer INTERACTIONS/crm", lines[3])
	require.Equal(t, "    ack_wait  10s → 1m", lines[4])
	require.Equal(t, "~ update consumer DEAD_LETTERS/crm", lines[5], "which reads what is replayed to crm")
	require.Equal(t, "1 of 3 steps would destroy something: they need --allow-destroy.", lines[8])

	raw, err := json.Marshal(plan.Steps[1])
	require.NoError(t, err)
	require.JSONEq(t, `{"action": "update", "kind": "consumer", "name": "INTERACTIONS/crm",
		"changes": [{"field": "ack_wait", "from": "10s", "to": "1m"}]}`, string(raw))
	raw, err = json.Marshal(planned(t, edited(t), js))
	require.NoError(t, err)
	require.JSONEq(t, `{"steps": []}`, string(raw))
	require.Contains(t, text(t, planned(t, edited(t), js)), "Nothing to do")
}

func TestApplyOnAClusterChangesReplicasBothWays(t *testing.T) {
	js := meshtest.StartCluster(t).JetStream(0)
	three := strings.Repeat(`"num_replicas": "${NATS_REPLICAS:-1}" | "num_replicas": 3 | `, 4)
	replicated := edited(t, strings.Split(strings.TrimSuffix(three, " | "), " | ")...)
	require.NoError(t, planned(t, replicated, js).Apply(context.Background(), js, false))
	requireEmpty(t, planned(t, replicated, js))

	fewer := planned(t, edited(t), js)
	require.Empty(t, fewer.Destructive(), "fewer copies lose no event")
	require.Len(t, fewer.Steps, 5, "the four of the file and the state bucket")
	require.NoError(t, fewer.Apply(context.Background(), js, false))
	requireEmpty(t, planned(t, edited(t), js))
}

// What stands for a password in a proxy or a header is neither shown nor stored.
func TestSettingsHoldNoSecrets(t *testing.T) {
	t.Setenv("PROXY_PASSWORD", "planted-proxy")
	t.Setenv("API_KEY", "planted-key")
	js := meshtest.Start(t).JetStream()
	topology := edited(t, `"target": {"url": "${CRM_URL:-log:}", "timeout": "10s"}`,
		`"target": {"url": "https://crm.example.com/", "proxy": "http://u:${PROXY_PASSWORD}@p.example.com:1", "headers": {"X-Key": "${API_KEY}"}}`)
	require.Equal(t, "planted-key", topology.Subscribers[0].Target.Headers["X-Key"])
	plan := planned(t, topology, js)
	require.NotContains(t, text(t, plan), "planted")
	require.Contains(t, text(t, plan), `"proxy":"http://u:${PROXY_PASSWORD}@p.example.com:1"`)
	require.NoError(t, plan.Apply(context.Background(), js, false))
	consumer, err := js.PushConsumer(context.Background(), "INTERACTIONS", "crm")
	require.NoError(t, err)
	require.NotContains(t, fmt.Sprint(consumer.CachedInfo().Config), "planted")
}

// Whoever divides a subscriber and edits it at once sees both.
func TestPlanShowsWhatElseChangesWhereASubscriberIsDivided(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	apply(t, edited(t), js)
	shown := text(t, planned(t, edited(t, `"name": "crm",`, `"name": "crm", "partitions": 2, "transform": "{id: .data.id}",`, `"ack_wait": "10s"`, `"ack_wait": "11s"`), js))
	assert.Regexp(t, changeLine("consumers", "crm", "crm=1of2, crm=2of2"), shown)
	assert.Equal(t, 4, strings.Count(shown[:strings.Index(shown, "DEAD_LETTERS/crm")], " → "), "those, partitions and nothing else: %s", shown)
	assert.Regexp(t, changeLine("ack_wait", "10s", "11s"), shown)
	assert.Regexp(t, changeLine("transform", "(unset)", "{id: .data.id}"), shown)
}
