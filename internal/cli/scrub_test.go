package cli

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// What is lost is shown with what to do, makes the exit code 1, and stays until somebody says why it is settled.
func TestScrubShowsWhatIsLostUntilItIsAccepted(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	for _, call := range []string{"call-1", "call-2", "call-3"} {
		a.put(call, "connected")
	}
	o := a.run("scrub")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.out, "nothing is missing or damaged, as far as was looked")
	assert.Regexp(t, `INTERACTIONS\s+never\s+never\s+0`, o.out)

	o = a.run("scrub", "--deep")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Regexp(t, `(?m)^INTERACTIONS .* 3$`, o.out)

	stream, err := a.js.Stream(t.Context(), "INTERACTIONS")
	require.NoError(t, err)
	require.NoError(t, stream.DeleteMsg(t.Context(), 2)) // as if it were lost
	o = a.run("scrub", "--now")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.out, "1: message 2 of INTERACTIONS is missing")
	assert.Contains(t, o.out, "possible: a damaged disk")
	assert.Contains(t, o.err, "genmesh scrub --accept ID --because TEXT")

	o = a.run("scrub", "-o", "json")
	assert.Equal(t, exitError, o.code, "a program can go by the exit code")
	var report mesh.ScrubReport
	require.NoError(t, json.Unmarshal([]byte(o.out), &report))
	require.Len(t, report.Findings, 1)
	assert.Equal(t, mesh.ScrubMissing, report.Findings[0].Kind)

	for _, wrong := range [][]string{{"--accept", "1"}, {"--accept", "0", "--because", "x"}, {"--accept", "1", "--now", "--because", "x"}, {"--because", "x"}} {
		o = a.run(append([]string{"scrub"}, wrong...)...)
		assert.Equal(t, exitError, o.code, wrong)
	}
	o = a.run("scrub", "--accept", "1", "--because", "restored from the backup")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.out, "accepted: message 2 of INTERACTIONS is missing")
	assert.Equal(t, exitOK, a.run("scrub", "--now").code)
	o = a.run("audit", "--action", admin.ActionScrubAccept, "-o", "json")
	assert.Contains(t, o.out, "restored from the backup")
	assert.Contains(t, o.out, "message 2 of INTERACTIONS is missing", "the audit keeps what was accepted")
	assert.Contains(t, a.run("audit", "--action", admin.ActionScrub).out, "message 2 of INTERACTIONS is missing", "and when it was found")
}

// Through a console it is the same.
func TestScrubThroughAConsole(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	a.put("call-1", "connected")
	console := a.console()
	require.Equal(t, exitOK, through(t, console, testSecret, "scrub", "--deep").code)
	assert.Contains(t, through(t, console, testSecret, "scrub", "--accept", "7", "--because", "x").err, "there is no finding 7")
	assert.Equal(t, exitOK, through(t, console, "looks-only", "scrub").code)
	assert.NotEqual(t, exitOK, through(t, console, "looks-only", "scrub", "--now").code, "who only looks has nobody look")
}
