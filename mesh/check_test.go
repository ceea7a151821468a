package mesh

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// checked is what a file is refused for if whoever serves a subscriber finds fault with each.
func checked(t testing.TB, text string, env map[string]string, check func(Subscriber) error) Mistakes {
	t.Helper()
	opts := parseOptions(env)
	opts.CheckSubscriber = func(topology *Topology, s Subscriber) error {
		assert.NotEmpty(t, topology.Streams)
		return check(s)
	}
	_, err := ParseTopology([]byte(text), opts)
	var mistakes Mistakes
	require.ErrorAs(t, err, &mistakes)
	return mistakes
}

// onlyCRM finds fault with one subscriber.
func onlyCRM(err error) func(Subscriber) error {
	return func(s Subscriber) error {
		if s.Name == "crm" {
			return err
		}
		return nil
	}
}

const crmOfOneLine = `{"name": "crm", "stream": "INTERACTIONS",
  "when": "data.x = 1",
  "redact": ["a",
    {"path": "b..c"}],
  "target": {"url": "log:", "timeout": "10s"}}`

// fileOfOneCRM is a file whose subscriber begins in line 2.
func fileOfOneCRM(t testing.TB, edit ...string) string {
	text := editedFile(t)
	streams := text[strings.Index(text, `"streams"`):strings.Index(text, `"subscribers"`)]
	crm := strings.NewReplacer(edit...).Replace(crmOfOneLine)
	return "{\"subscribers\": [\n" + crm + "],\n" + strings.TrimSuffix(strings.TrimSpace(streams), ",") + "}"
}

func TestWhatASubscriberIsServedByFindsIsReportedWhereItStands(t *testing.T) {
	found := checked(t, fileOfOneCRM(t), nil, func(Subscriber) error {
		return errors.Join(
			&FieldError{Field: "when", Problem: "column 8: unexpected token", Hint: `write "=="`},
			errors.Join(&FieldError{Field: "redact[1].path", Problem: "an empty part"}, nil),
			Within("target", errors.Join(&FieldError{Field: "tls.cert_file", Problem: "missing"}, Within("url", errors.New("no topic")))),
			&FieldError{Field: "redact_key", Problem: "missing"},
			errors.New("it can't be served"))
	})
	assert.Equal(t, []string{
		`streams.json:2:1: subscribers[0].redact_key: missing`,
		`streams.json:2:1: subscribers[0]: it can't be served`,
		`streams.json:3:11: subscribers[0].when: column 8: unexpected token; write "=="`,
		`streams.json:5:14: subscribers[0].redact[1].path: an empty part`,
		`streams.json:6:13: subscribers[0].target.tls.cert_file: missing`,
		`streams.json:6:21: subscribers[0].target.url: no topic`,
	}, strings.Split(found.Error(), "\n"))
}

func TestAllMistakesAreReportedTogether(t *testing.T) {
	text := fileOfOneCRM(t, `"timeout": "10s"`, `"timeout": "1h"`, `"log:"`, `"htps://crm"`, `"when"`, `"ack_wait": true, "when"`)
	found := checked(t, text, nil, onlyCRM(errors.Join(
		&FieldError{Field: "when", Problem: "wrong"},
		&FieldError{Field: "when", Problem: "wrong in another way"},
		&FieldError{Field: "target.url", Problem: "unknown"},
		&FieldError{Field: "ack_wait", Problem: "missing"},
		&FieldError{Field: "target", Problem: "unusable"},
	)))
	var paths []string
	for _, m := range found {
		paths = append(paths, strings.TrimPrefix(m.Path, "subscribers[0].")+": "+m.Problem)
	}
	assert.Equal(t, []string{
		"ack_wait: expected a duration such as \"30s\", \"24h\" or \"7d\", found true or false", "when: wrong", "when: wrong in another way",
		`target.url: no kind of target serves the scheme "htps"`, "target.timeout: 1h is out of range: 10ms to 10m",
	}, paths, "and nothing is said twice")
}

// TestMistakesNameTheFileThatWasRead, as compilers do: whoever keeps several finds the one that is wrong.
func TestMistakesNameTheFileThatWasRead(t *testing.T) {
	_, err := ParseTopology([]byte("\n []"), ParseOptions{Name: "prod/mesh.json"})
	require.EqualError(t, err, "prod/mesh.json:2:2: expected an object, found a list")
}

func TestSourcesAreCheckedByTheirUsersToo(t *testing.T) {
	opts := parseOptions(nil)
	opts.CheckSource = func(_ *Topology, s Source) error { return &FieldError{Field: "path", Problem: s.Name + " is taken"} }
	_, err := ParseTopology(sampleFile(t), opts)
	require.EqualError(t, err, "streams.json:5:15: sources[0].path: genesys is taken")
}

// What a reference stands for may be a secret, wherever it is written.
func TestNoMistakeShowsWhatAReferenceStandsFor(t *testing.T) {
	env := map[string]string{"KEY": "hunter2", "LONG": "hunter2-and-more", "ONE": "1"}
	text := fileOfOneCRM(t, `data.x = 1`, `data.x = '${KEY}' or data.y = '${LONG}' or data.z = ${ONE} or data.a = '$${KEY}'`)
	found := checked(t, text, env, func(s Subscriber) error {
		return &FieldError{Field: "when", Problem: fmt.Sprintf("%q does not compile at column 10", s.When), Hint: "compare hunter2"}
	})
	require.Len(t, found, 1)
	assert.Equal(t, `"data.x = '${KEY}' or data.y = '${LONG}' or data.z = 1 or data.a = '${KEY}'" does not compile at column 10`, found[0].Problem)
	assert.Equal(t, "compare ${KEY}", found[0].Hint)
}

func TestChecksAreBoundedAsAllIs(t *testing.T) {
	var many []error
	for i := range 2 * maxMistakes {
		many = append(many, &FieldError{Field: "when", Problem: fmt.Sprint(i)})
	}
	assert.Len(t, checked(t, fileOfOneCRM(t), nil, onlyCRM(errors.Join(many...))), maxMistakes)
}

func TestNothingFoundIsNoError(t *testing.T) {
	assert.NoError(t, Within("target", nil))
	assert.NoError(t, Within("target", errors.Join(nil, nil)))
	opts := parseOptions(nil)
	asked := 0
	opts.CheckSubscriber = func(*Topology, Subscriber) error { asked++; return nil }
	_, err := ParseTopology(sampleFile(t), opts)
	require.NoError(t, err)
	assert.Equal(t, 3, asked)
}

func TestASchemeIsTheSameInUpperCase(t *testing.T) {
	for edit, problem := range map[string]string{
		`"HTTPS://crm", "headers": {"X-A": "1"}`: "",
		`"FILE:a.ndjson"`:                        "",
		`"FILE:a.ndjson", "proxy": "http://p"`:   "it is for http and https targets",
		`"NATS:genesys.x"`:                       "the subscriber would get each event again",
	} {
		opts := parseOptions(nil)
		opts.TargetSchemes = append(opts.TargetSchemes, "nats")
		topology, err := ParseTopology([]byte(fileOfOneCRM(t, `"log:"`, edit)), opts)
		if problem != "" {
			require.ErrorContains(t, err, problem, edit)
			continue
		}
		require.NoError(t, err, edit)
		assert.Equal(t, strings.HasPrefix(edit, `"FILE`), topology.Subscribers[0].Target.RotateBytes > 0, edit)
	}
}
