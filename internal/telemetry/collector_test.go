package telemetry

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	otlp "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	spans "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// collector takes OTLP over HTTP and over gRPC, packed or not.
type collector struct {
	*httptest.Server
	t      *testing.T
	mu     sync.Mutex
	spans  []*spans.Span
	about  map[string]string // of the process that sent them
	header http.Header       // of the latest request
}

func newCollector(t *testing.T) *collector {
	t.Helper()
	c := &collector{t: t, about: map[string]string{}}
	c.Server = httptest.NewUnstartedServer(c)
	c.Config.Protocols = new(http.Protocols)
	c.Config.Protocols.SetHTTP1(true)
	c.Config.Protocols.SetUnencryptedHTTP2(true)
	c.Start()
	t.Cleanup(c.Close)
	return c
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	assert.NoError(c.t, err)
	packed := r.Header.Get("Content-Encoding") == "gzip"
	if r.Header.Get("Content-Type") == "application/grpc" {
		assert.Equal(c.t, "/opentelemetry.proto.collector.trace.v1.TraceService/Export", r.URL.Path)
		body, packed = unframed(c.t, body)
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set(http.TrailerPrefix+"Grpc-Status", "0")
		_, _ = w.Write(make([]byte, 5)) // an empty message
	} else {
		assert.Equal(c.t, "/v1/traces", r.URL.Path)
	}
	if packed {
		body = unpacked(c.t, body)
	}
	var request otlp.ExportTraceServiceRequest
	assert.NoError(c.t, proto.Unmarshal(body, &request))
	c.keep(&request, r.Header)
}

func (c *collector) keep(request *otlp.ExportTraceServiceRequest, header http.Header) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.header = header.Clone()
	for _, of := range request.ResourceSpans {
		for _, a := range of.Resource.Attributes {
			c.about[a.Key] = a.Value.GetStringValue()
		}
		for _, by := range of.ScopeSpans {
			c.spans = append(c.spans, by.Spans...)
		}
	}
}

// unframed is the one message of a gRPC request.
func unframed(t *testing.T, body []byte) (message []byte, packed bool) {
	require.GreaterOrEqual(t, len(body), 5)
	assert.EqualValues(t, len(body)-5, binary.BigEndian.Uint32(body[1:5]))
	return body[5:], body[0] == 1
}

func unpacked(t *testing.T, body []byte) []byte {
	r, err := gzip.NewReader(bytes.NewReader(body))
	assert.NoError(t, err)
	raw, err := io.ReadAll(r)
	assert.NoError(t, err)
	return raw
}
