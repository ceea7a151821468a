//go:build linux && !race

package app

import (
	"fmt"
	"os"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Five hundred large bodies come at once, slowly, to a process that may have 64 MiB.
func TestLargeBodiesDoNotUseUpTheMemory(t *testing.T) {
	crm := newRecord(t)
	p, pid := startChild(t, crm.url, "", "GOMEMLIMIT=64MiB")
	_, refused := flood(t, p.desk(), 500, 500_000, time.Second)
	assert.Positive(t, refused, "a quarter of a gigabyte has no room")
	assert.Less(t, mostMemory(t, pid), 192<<10)

	callers, stop := startCallers(t, p.desk(), 4)
	callers.untilMore(50, recovery, p)
	p.untilReady(t)
	stop()
	crm.awaitAll(callers, p)
}

// mostMemory is what a process ever had in memory at once, in KiB.
func mostMemory(t *testing.T, pid int) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	require.NoError(t, err)
	found := regexp.MustCompile(`VmHWM:\s+(\d+) kB`).FindSubmatch(status)
	require.NotNil(t, found)
	n, err := strconv.Atoi(string(found[1]))
	require.NoError(t, err)
	t.Logf("%d MiB", n>>10)
	return n
}
