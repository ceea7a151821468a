package logtarget_test

import (
	"bytes"
	"encoding/json"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/logtarget"
	"github.com/genmesh/genmesh/workers/targettest"
)

func TestConformance(t *testing.T) {
	targettest.Run(t, func(t *testing.T) targettest.Fixture {
		var written bytes.Buffer // logrus writes one line at a time
		target, err := logtarget.New(mesh.Target{URL: "log:"}, "crm", jsonLog(&written))
		require.NoError(t, err)
		return targettest.Fixture{
			Target:  target,
			Arrived: func(t testing.TB) []targettest.Arrival { return arrivals(t, written.Bytes()) },
		}
	})
}

func TestBodiesStayOutOfTheLog(t *testing.T) {
	var written bytes.Buffer
	target, err := logtarget.New(mesh.Target{URL: "log:"}, "crm", jsonLog(&written))
	require.NoError(t, err)
	event := targettest.Event(1)
	event.Body = []byte(`{"ani":"tel:+4930123456"}`)
	require.NoError(t, target.Handle(t.Context(), event))
	assert.Contains(t, written.String(), `"subscriber":"crm"`)
	assert.Contains(t, written.String(), `"attempt":1`)
	assert.NotContains(t, written.String(), "4930123456")
}

func TestNewRefusesOtherURLs(t *testing.T) {
	assert.NoError(t, logtarget.Check(mesh.Target{URL: "LOG:"}))
	for _, url := range []string{"", "log", "log:?body=1", "log://x", "file:a"} {
		_, err := logtarget.New(mesh.Target{URL: url}, "crm", jsonLog(&bytes.Buffer{}))
		assert.ErrorContains(t, err, "subscriber crm", url)
		assert.ErrorContains(t, logtarget.Check(mesh.Target{URL: url}), "url: ", url)
	}
}

func jsonLog(out *bytes.Buffer) *logrus.Logger {
	log := logrus.New()
	log.SetOutput(out)
	log.SetFormatter(&logrus.JSONFormatter{})
	return log
}

func arrivals(t testing.TB, written []byte) []targettest.Arrival {
	var found []targettest.Arrival
	for line := range bytes.Lines(written) {
		var entry struct {
			Source, Type, Interaction string
			Sequence                  uint64
			Bytes                     int
			IdempotencyKey            string `json:"idempotency_key"`
		}
		require.NoError(t, json.Unmarshal(line, &entry))
		found = append(found, targettest.Arrival{
			Source: entry.Source, Type: entry.Type, Interaction: entry.Interaction,
			Sequence: entry.Sequence, Key: entry.IdempotencyKey, BodyBytes: entry.Bytes,
		})
	}
	return found
}
