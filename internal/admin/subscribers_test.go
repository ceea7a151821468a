package admin_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

const targetTopology = `{"sources": [], "streams": [{"name": "S", "subjects": ["s.>"]}, {"name": "DEAD", "subjects": ["dead.>"]},
	{"name": "QUARANTINE", "subjects": ["quarantine.>"], "allow_atomic": true},
	{"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"]}],
	"subscribers": [{"name": "crm", "stream": "S", "target": {"url": "${TARGET}"}}, {"name": "own", "stream": "S"}]}`

func TestASubscriberIsShownWithoutTheSecretsOfItsTarget(t *testing.T) {
	js := meshtest.Start(t).JetStream()
	for url, shown := range map[string][2]string{
		"log:":                                    {"log:", "log"},
		"file:out/events.ndjson":                  {"file:out/events.ndjson", "file"},
		"nats://user:secret@host:4222/a.b":        {"nats://host:4222/a.b", "nats"},
		"https://key@crm.example/in?token=secret": {"https://crm.example/in", "https"},
	} {
		t.Run(shown[1], func(t *testing.T) {
			topology, err := mesh.ParseTopology([]byte(targetTopology), mesh.ParseOptions{
				TargetSchemes: []string{"https", "file", "nats", "log"}, LookupEnv: func(string) (string, bool) { return url, true },
			})
			require.NoError(t, err)
			d := &desk{t: t, js: js, topology: topology}
			all, err := d.withOptions(func(*admin.DirectOptions) {}).Subscribers(t.Context())
			require.NoError(t, err)
			require.Len(t, all, 2)
			assert.Equal(t, shown, [2]string{all[0].Target, all[0].Kind})
			assert.Equal(t, [2]string{"", "code"}, [2]string{all[1].Target, all[1].Kind})
		})
	}
}

func TestSubscribersAreChosenByName(t *testing.T) {
	d := newDesk(t)
	some, err := d.Subscribers(t.Context(), "analytics", "crm")
	require.NoError(t, err)
	require.Len(t, some, 2)
	assert.Equal(t, "The CRM, which screen-pops the caller", some[0].Description)
	_, err = d.Subscribers(t.Context(), "crm", "cmr")
	require.ErrorIs(t, err, admin.ErrNotFound)
}
