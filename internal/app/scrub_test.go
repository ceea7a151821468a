package app

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A store that lost a file while the process stood still is told by everything that an operator looks at, in the first round.
func TestALostFileOfTheStoreIsShown(t *testing.T) {
	data := t.TempDir()
	c := recorder(t, "log:")
	c.Embedded = &Embedded{DataDir: data}
	p := startProcess(t, c)
	callers, stop := startCallers(t, p.desk(), 1)
	callers.untilMore(5, testPatience, p)
	stop()
	p.eventually(t, func() bool { return p.metric(t, `genmesh_scrub_looked_timestamp_seconds{stream="DESK"}`) > 0 }, "nobody looks")
	assert.Zero(t, p.metric(t, "genmesh_scrub_missing_messages"))
	p.stop()

	blocks, err := filepath.Glob(filepath.Join(data, "jetstream", "$G", "streams", "*", "msgs", "1.blk"))
	require.NoError(t, err)
	for _, block := range blocks {
		if strings.Contains(block, "DESK") {
			require.NoError(t, os.Remove(block))
		}
	}
	began := time.Now()
	p = startProcess(t, c)
	p.eventually(t, func() bool { return p.metric(t, "genmesh_scrub_findings") > 0 }, "nothing is found")
	assert.Less(t, time.Since(began), 20*time.Second)
	assert.Positive(t, p.metric(t, "genmesh_scrub_missing_messages"))
	_, streams := p.get(t, "/api/v1/streams")
	assert.Contains(t, streams, `"health":"stuck"`)
	_, overview := p.get(t, "/api/v1/overview")
	assert.Contains(t, overview, "genmesh scrub tells what to do")
	_, page := p.get(t, "/streams")
	assert.Contains(t, page, "Why it is settled")
	assert.Contains(t, p.log.String(), "genmesh scrub tells more")
	status, _ := p.get(t, "/readyz")
	assert.Equal(t, http.StatusOK, status, "what comes in is stored all the same")
}
