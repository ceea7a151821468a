package ndjson

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"unicode/utf8"

	"github.com/sirupsen/logrus"
	"github.com/sirupsen/logrus/hooks/test"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/targettest"
)

func TestConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		path := filepath.Join(t.TempDir(), "events.ndjson")
		return targettest.Fixture{
			Target:  newTarget(t, mesh.Target{URL: "file:" + path}),
			Arrived: func(t testing.TB) []targettest.Arrival { return arrivals(t, path) },
		}
	})
}

func newTarget(t testing.TB, target mesh.Target) *Target {
	t.Helper()
	made, err := New(target, "analytics", quiet())
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, made.Close()) })
	return made
}

func quiet() *logrus.Logger {
	log, _ := test.NewNullLogger()
	return log
}

// arrivals reads files as a consumer of them does, and fails on anything that is no whole line.
func arrivals(t testing.TB, paths ...string) []targettest.Arrival {
	t.Helper()
	var found []targettest.Arrival
	for _, path := range paths {
		written, err := os.ReadFile(path)
		require.NoError(t, err)
		for line := range bytes.Lines(written) {
			require.True(t, bytes.HasSuffix(line, []byte("}\n")), "torn: %.100q", line)
			found = append(found, parseLine(t, line))
		}
	}
	return found
}

func parseLine(t testing.TB, line []byte) targettest.Arrival {
	t.Helper()
	require.True(t, utf8.Valid(line), "JSON is UTF-8: %.100q", line)
	var fields struct {
		envelope
		Body       json.RawMessage `json:"body"`
		BodyBase64 []byte          `json:"body_base64"`
	}
	decoder := json.NewDecoder(bytes.NewReader(line))
	decoder.DisallowUnknownFields()
	require.NoError(t, decoder.Decode(&fields), "%.100q", line)
	a := targettest.Arrival{
		Source: fields.Source, Type: fields.Type, Interaction: fields.Interaction,
		Sequence: fields.Sequence, Key: fields.IdempotencyKey, Body: fields.BodyBase64,
	}
	if fields.Body != nil {
		a.Body = fields.Body
	}
	return a
}
