package mesh

import (
	"encoding/json"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

const genesysPreset = `{
	"signature": {"header": "X-Genesys-Signature"},
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

func shippedFile(t testing.TB) []byte {
	data, err := os.ReadFile("../streams.json")
	require.NoError(t, err)
	return data
}

func TestShippedFileNeedsNoEnvironment(t *testing.T) {
	topology, err := ParseTopology(shippedFile(t), parseOptions(nil))
	require.NoError(t, err)
	require.Len(t, topology.Sources, 1)
	require.Equal(t, "data.id", topology.Sources[0].Identity.Interaction)
	require.Equal(t, "log:", topology.Subscribers[0].Target.URL)
	require.Equal(t, 1, topology.Streams[0].Replicas)

	raw, err := json.Marshal(topology)
	require.NoError(t, err)
	again, err := ParseTopology(raw, parseOptions(nil))
	require.NoError(t, err, string(raw))
	require.Equal(t, topology, again)
}
