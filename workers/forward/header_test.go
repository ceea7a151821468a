package forward

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers/targettest"
)

// sent posts an event and returns the request that arrived.
func sent(t *testing.T, event mesh.Event, userinfo string, o Options) *http.Request {
	t.Helper()
	arrived := make(chan *http.Request, 1)
	server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { arrived <- r }))
	t.Cleanup(server.Close)
	address := strings.Replace(server.URL, "://", "://"+userinfo, 1) + "/events?token=t0ken"
	require.NoError(t, newTargetWith(t, address, time.Second, o).Handle(t.Context(), event))
	return <-arrived
}

func TestRequestIsABinaryModeCloudEvent(t *testing.T) {
	event := targettest.Event(42)
	event.Attempt = 3
	r := sent(t, event, "", Options{Version: "1.2.3", EventTypePrefix: "com.example."})

	assert.Equal(t, http.MethodPost, r.Method)
	assert.Equal(t, "/events?token=t0ken", r.URL.RequestURI())
	assert.Equal(t, int64(len(event.Body)), r.ContentLength)
	for name, want := range map[string]string{
		"Content-Type":        "application/json",
		"User-Agent":          "genmesh/1.2.3",
		"Idempotency-Key":     event.IdempotencyKey(),
		"ce-specversion":      "1.0",
		"ce-id":               event.IdempotencyKey(),
		"ce-source":           "/genmesh/genesys",
		"ce-type":             "com.example.interaction",
		"ce-subject":          "987654321",
		"ce-time":             "2026-11-23T14:15:00.25Z",
		"Genmesh-Subscriber":  "crm",
		"Genmesh-Stream":      "INTERACTIONS",
		"Genmesh-Sequence":    "42",
		"Genmesh-Attempt":     "3",
		"Genmesh-Interaction": "987654321",
		"Authorization":       "",
		"Accept-Encoding":     "",
	} {
		assert.Equal(t, want, r.Header.Get(name), name)
	}
}

func TestCETimeFallsBackToTheTimeOfReceipt(t *testing.T) {
	event := targettest.Event(1)
	event.Occurred = time.Time{}
	assert.Equal(t, "2026-11-23T14:15:01Z", sent(t, event, "", Options{}).Header.Get("ce-time"))
}

func TestDeliveryHeadersAreOptional(t *testing.T) {
	event := targettest.Event(1)
	event.DeliveryID = "id\r\n1"
	named := Options{DeliveryIDHeader: "X-Sender-ID", DeliveryTypeHeader: "X-Sender-Type"}
	r := sent(t, event, "", named)
	assert.Equal(t, "id%0D%0A1", r.Header.Get("X-Sender-ID"))
	assert.Equal(t, "interaction", r.Header.Get("X-Sender-Type"))

	clash := Options{DeliveryIDHeader: "Idempotency-Key"}
	assert.Equal(t, event.IdempotencyKey(), sent(t, event, "", clash).Header.Get("Idempotency-Key"))
}

func TestUserinfoBecomesBasicAuthentication(t *testing.T) {
	r := sent(t, targettest.Event(1), "crm:p%40ss@", Options{})
	user, password, ok := r.BasicAuth()
	assert.True(t, ok)
	assert.Equal(t, "crm", user)
	assert.Equal(t, "p@ss", password)
}

func TestNewRefusesWhatItCannotServe(t *testing.T) {
	for _, url := range []string{"", "crm.example.com", "ftp://crm", "https://", "https://user:s3cret@", "https:// s3cret", "http://u:s3cret@h:port/", "https:s3cret"} {
		_, err := New(mesh.Target{URL: url}, "crm", Options{})
		require.ErrorContains(t, err, "subscriber crm", url)
		assert.NotContains(t, err.Error(), "s3cret")
	}
	_, err := New(mesh.Target{URL: "https://crm"}, "crm", Options{DeliveryIDHeader: "X Y"})
	assert.ErrorContains(t, err, `"X Y"`)
}

func FuzzEncodeHeader(f *testing.F) {
	for _, s := range []string{"", "plain", "a b", "100%", "\"", "a\r\nX: y", "é😀", "\xff", "\x00\x7f"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		encoded := encodeHeader(s)
		for _, c := range []byte(encoded) {
			if c <= ' ' || c > '~' || c == '"' {
				t.Fatalf("%q becomes %q", s, encoded)
			}
		}
		if decode(encoded) != s {
			t.Fatalf("%q becomes %q, which is %q", s, encoded, decode(encoded))
		}
	})
}
