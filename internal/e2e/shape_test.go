package e2e

import (
	"compress/gzip"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/mesh"
)

// shaped is a subscriber that gets only what its conditions and its shape leave of an event.
func shaped(name string, s *sink, shape string) string {
	return strings.Replace(subscriber(name, s), `"ack_wait"`, shape+`, "ack_wait"`, 1)
}

const wallboard = `"when": "data.n > 1", "redact": ["data.ani"],
  "transform": "if .data.n == 3 then error(\"three\") else {n: .data.n, ani: .data.ani} end"`

// call is an event with a caller's number.
func call(n int) string {
	return strings.Replace(event("1", n), `"type":"call"`, `"type":"call","ani":"+4930123456"`, 1)
}

func TestADomainSeesWhatItsShapeLeavesAndNoOther(t *testing.T) {
	crm, board := newSink(t), newSink(t)
	p := startDev(t, streams(subscriber("crm", crm), shaped("wallboard", board, wallboard)))
	for n := range 4 {
		p.send(call(n + 1))
	}
	board.await(t, 2)
	crm.await(t, 4)
	require.Eventually(t, func() bool { return len(p.dead()) == 1 }, 15*time.Second, 10*time.Millisecond)
	assert.Equal(t, map[string]int{`{"ani":"***","n":2}`: 1, `{"ani":"***","n":4}`: 1}, board.bodies())
	assert.Equal(t, 2, board.tried(), "what a step refuses or passes by is not shown to the target")
	for n := range 4 {
		assert.Equal(t, 1, crm.bodies()[call(n+1)], "the other domain gets it whole")
	}
	dead := p.dead()[0]
	assert.Equal(t, "wallboard", dead.Subscriber)
	assert.Equal(t, mesh.DeadShape, dead.Reason)
	assert.Contains(t, dead.Error, "transform")
	assert.Equal(t, call(3), string(dead.Body), "whole, so that it can be replayed once the transform is mended")
}

func TestAnEditedShapeIsInForceWithoutARestart(t *testing.T) {
	crm, board := newSink(t), newSink(t)
	p := startDev(t, streams(subscriber("crm", crm), shaped("wallboard", board, wallboard)))
	p.send(call(2))
	board.await(t, 1)
	p.awaitLog("serving subscriber", 2)

	edited := strings.Replace(wallboard, "data.n > 1", "data.n > 100", 1)
	p.edit(streams(subscriber("crm", crm), shaped("wallboard", board, edited)))
	p.awaitLog("serving subscriber", 3)
	for _, n := range []int{50, 150} {
		p.send(call(n))
	}
	board.await(t, 2)
	crm.await(t, 3)
	assert.Equal(t, map[string]int{`{"ani":"***","n":2}`: 1, `{"ani":"***","n":150}`: 1}, board.bodies())
}

// An archive can't be erased by genmesh, so it is told what to erase, whatever its conditions take.
func TestAnArchiveIsToldOfAnErasureThatItsWhenWouldPassBy(t *testing.T) {
	folder := filepath.Join(t.TempDir(), "archive")
	archive := fmt.Sprintf(`{"name": "archive", "stream": "INTERACTIONS", "when": "data.n > 1000",
	  "target": {"url": "archive+file://%s", "flush_every": "100ms"}}`, folder)
	crm := newSink(t)
	config := streams(subscriber("crm", crm), archive)
	p := startDev(t, config)
	p.send(call(1))
	crm.await(t, 1)

	topology, err := app.ParseStreams(config, lookup)
	require.NoError(t, err)
	erasure, err := mesh.PlanErasure(t.Context(), p.js, topology, "1", "")
	require.NoError(t, err)
	require.NoError(t, erasure.Run(t.Context(), func() {}))
	require.NoError(t, erasure.Notify(t.Context(), "article 17", false))

	var lines string
	require.Eventually(t, func() bool {
		lines = archived(t, folder)
		return lines != ""
	}, 15*time.Second, 20*time.Millisecond)
	assert.Equal(t, 1, strings.Count(lines, "\n"), "the event itself was passed by: %s", lines)
	assert.Contains(t, lines, mesh.ErasureType)
	assert.Contains(t, lines, "article 17")
}

// archived is what an archive holds so far.
func archived(t *testing.T, folder string) string {
	t.Helper()
	var all strings.Builder
	err := filepath.WalkDir(folder, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".ndjson.gz") {
			return nil // it is being made
		}
		file, err := os.Open(path)
		if err != nil {
			return err
		}
		defer file.Close() //nolint:errcheck // only read
		unzipped, err := gzip.NewReader(file)
		if err != nil {
			return err
		}
		_, err = io.Copy(&all, unzipped)
		return err
	})
	require.NoError(t, err)
	return all.String()
}
