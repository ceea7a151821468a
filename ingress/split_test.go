package ingress

import (
	"fmt"
	"strings"
	"testing"

	"github.com/genmesh/genmesh/mesh"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// What is too much for one commit is read part by part when it is released, and no part is another.
func TestPartsOfWhatWasTooMuchForOneCommit(t *testing.T) {
	r := readerOf(t, `"preset": "genesys-engage"`)
	var list []string
	for i := range mesh.MaxEventsAtOnce + 1 {
		list = append(list, fmt.Sprintf(`{"event":"T%d","entity":{"id":"a"}}`, i))
	}
	body := `{"operationId":"o","data":{"entities":[` + strings.Join(list, ", ") + `]}}`
	require.Equal(t, reasonTooManyEvents, r.readBody(t, body)[0].Reason)

	n := 0
	for reading := range r.Parts(mesh.Event{Source: "genesys", Body: []byte(body), Reason: reasonTooManyEvents}) {
		require.Empty(t, reading.Reason+reading.Event.Reason)
		require.Equal(t, fmt.Sprint("T", n), reading.Event.Type)
		require.JSONEq(t, `{"operationId":"o","data":{"entities":[`+list[n]+`]}}`, string(reading.Event.Body))
		n++
	}
	assert.Equal(t, mesh.MaxEventsAtOnce+1, n)

	wide := `{"pad":"` + strings.Repeat("x", 400_000) + `","data":{"entities":[` + strings.Repeat(`{},`, 1000) + `{}]}}`
	assert.Equal(t, []string{reasonTooManyEvents}, partReasons(r, wide), "there is a bound all the same")
	assert.Equal(t, []string{reasonInvalidJSON}, partReasons(r, `{`))
	assert.Equal(t, []string{reasonNoEvents}, partReasons(r, `{"data":{"entities":[]}}`))
	assert.Equal(t, []string{""}, partReasons(r, `{"data":{"entities":[{}]}}`))
}

func partReasons(r *Reader, body string) []string {
	var reasons []string
	for reading := range r.Parts(mesh.Event{Source: "genesys", Body: []byte(body)}) {
		reasons = append(reasons, reading.Reason)
	}
	return reasons
}
