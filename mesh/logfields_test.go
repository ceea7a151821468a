package mesh_test

import (
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"

	"github.com/genmesh/genmesh/mesh"
)

// Whoever knows one of them finds all that the log has about an event, wherever on its way that was written.
func TestLogFieldsNameAnEventAndItsTrace(t *testing.T) {
	e := mesh.Event{Source: "genesys", Interaction: "call-1", ID: "e-1", Type: "interaction", TraceParent: "00-0-0-00"}
	named := logrus.Fields{"source": "genesys", "interaction": "call-1", "id": "e-1", "type": "interaction"}
	assert.Equal(t, named, e.LogFields(), "it is stored nowhere yet, and its trace context is none")

	e.TraceParent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	e.Stream, e.Sequence = "INTERACTIONS", 7
	named["trace_id"], named["span_id"] = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	named["stream"], named["sequence"] = "INTERACTIONS", uint64(7)
	assert.Equal(t, named, e.LogFields())

	e.Origin, e.Stream, e.Sequence = mesh.Place{Stream: "INTERACTIONS", Sequence: 7}, "DEAD_LETTERS", 900
	assert.Equal(t, named, e.LogFields(), "a replayed one is found where it was first stored")
}
