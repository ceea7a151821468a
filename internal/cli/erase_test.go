package cli

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// archive is a server with the events of interactions.
type archive struct {
	t         *testing.T
	url, file string
	js        jetstream.JetStream
	committer *mesh.Committer
	letters   *mesh.DeadLetters
}

func newArchive(t *testing.T, streams string) *archive {
	t.Helper()
	server := meshtest.Start(t)
	a := &archive{t: t, url: server.URL(), file: filepath.Join(t.TempDir(), "streams.json"), js: server.JetStream()}
	require.NoError(t, os.WriteFile(a.file, []byte(streams), 0o600))
	o := run(t, "apply", "--server", a.url, "--streams", a.file)
	require.Equal(t, exitOK, o.code, o.err)
	topology := topologyOf(t, streams)
	var err error
	a.letters, err = mesh.NewDeadLetters(a.js, topology)
	require.NoError(t, err)
	a.committer, err = mesh.NewCommitter(a.js, topology, meshtest.Quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- a.committer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	return a
}

func (a *archive) run(args ...string) outcome {
	a.t.Helper()
	return run(a.t, append([]string{args[0], "--server", a.url, "--streams", a.file}, args[1:]...)...)
}

func (a *archive) event(interaction, state string) mesh.Event {
	return mesh.Event{
		Source: "genesys", Organization: "org-1", Interaction: interaction, ID: "e-" + state, Type: "interaction", Media: "call",
		Fingerprint: state, Received: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Body: []byte(`{"state":"` + state + `"}`),
	}
}

func (a *archive) put(interaction, state string) mesh.Event {
	a.t.Helper()
	receipt, err := a.committer.Commit(a.t.Context(), a.event(interaction, state))
	require.NoError(a.t, err)
	e, err := mesh.GetEvent(a.t.Context(), a.js, receipt.Stream, receipt.Sequence)
	require.NoError(a.t, err)
	return e
}

// life is an interaction of two events, with a dead letter and one event in quarantine.
func (a *archive) life(interaction string) mesh.Event {
	a.t.Helper()
	first := a.put(interaction, "connected")
	a.put(interaction, "ended")
	require.NoError(a.t, a.letters.Bury(a.t.Context(), mesh.DeadLetter{
		Event: first, Subscriber: "crm", Reason: mesh.DeadRejected, Attempts: 1, Status: 422, Error: "the target answered 422",
	}))
	_, err := a.committer.Quarantine(a.t.Context(), a.event(interaction, "odd"), "schema")
	require.NoError(a.t, err)
	return first
}

// audits are the records of the audit, oldest first, but of the apply that made it.
func (a *archive) audits() []mesh.Audit {
	a.t.Helper()
	stream, err := a.js.Stream(a.t.Context(), "AUDIT")
	require.NoError(a.t, err)
	var records []mesh.Audit
	for sequence := range stream.CachedInfo().State.LastSeq {
		msg, err := stream.GetMsg(a.t.Context(), sequence+1)
		require.NoError(a.t, err)
		assert.NotContains(a.t, string(msg.Data), "call-42")
		var record mesh.Audit
		require.NoError(a.t, json.Unmarshal(msg.Data, &record))
		if record.Action != admin.ActionApply {
			records = append(records, record)
		}
	}
	return records
}

func TestEraseShowsAsksErasesTellsAndRecords(t *testing.T) {
	a := newArchive(t, editedStreams(t, `"name": "crm",`, `"name": "crm", "filter_subjects": ["genesys.*.interaction.>"],`))
	a.life("call-42")
	a.life("call-4")

	assert.Contains(t, a.run("erase", "call-42").err, "--because is missing")
	o := a.run("erase", "call-42", "--dry-run")
	assert.Equal(t, exitOK, o.code, o.err)
	assert.Contains(t, o.out, "nothing was erased")
	o = a.run("erase", "call-42", "--because", "ticket 7")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, `erase 4 messages of interaction "call-42" from 3 streams for good? Confirm with --yes`)
	assert.Empty(t, a.audits(), "nothing was done so far")

	o = a.run("erase", "call-42", "--because", "ticket 7", "--yes")
	require.Equal(t, exitOK, o.code, o.err)
	lines := strings.Split(o.out, "\n")
	assert.Equal(t, "STREAM FOUND ERASED LEFT PROBLEM", strings.Join(strings.Fields(lines[0]), " "))
	for i, want := range []string{"INTERACTIONS 2 2 0 -", "DEAD_LETTERS 1 1 0 -", "QUARANTINE 1 1 0 -"} {
		assert.Equal(t, want, strings.Join(strings.Fields(lines[i+1]), " "))
	}
	assert.Contains(t, o.out, "told the subscribers of genesys: erasure event 5 of stream INTERACTIONS")
	assert.Contains(t, o.out, "NOT told, for their filters do not take it: crm;")
	assert.Empty(t, o.err)

	records := a.audits()
	require.Len(t, records, 2)
	assert.Equal(t, mesh.AuditIntended, records[0].Result)
	assert.Equal(t, mesh.StreamErasure{Stream: "INTERACTIONS", Found: 2, Left: 2}, records[0].Streams[0])
	assert.Equal(t, mesh.AuditDone, records[1].Result)
	assert.Equal(t, mesh.StreamErasure{Stream: "INTERACTIONS", Found: 2, Erased: 2}, records[1].Streams[0])
	assert.Equal(t, mesh.HashInteraction("call-42"), records[1].InteractionSHA256)
	assert.Equal(t, "genmesh", records[1].Who.Connection)
	assert.NotEmpty(t, records[1].Who.OSUser)
	assert.Equal(t, "ticket 7", records[1].Reason)

	o = a.run("erase", "call-42", "--because", "ticket 7", "--yes")
	assert.Equal(t, exitOK, o.code)
	assert.Contains(t, o.out, `nothing of interaction "call-42" is stored`)
	assert.Contains(t, o.out, "--notify-again")
	assert.Len(t, a.audits(), 2)
	assert.Contains(t, a.run("erase", "call-4", "--dry-run").out, "INTERACTIONS  2", "another interaction is untouched")
}

func TestEraseTellsAgainOnlyWhenAsked(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	o := a.run("erase", "call-42", "--because", "ticket 7", "--yes", "--notify-again")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "name the source")
	o = a.run("erase", "call-42", "--because", "ticket 7", "--yes", "--notify-again", "--source", "genesys", "-o", "json")
	require.Equal(t, exitOK, o.code, o.err)
	result := parsed[admin.ErasureResult](t, o)
	assert.Equal(t, []mesh.ErasureNotice{{Source: "genesys", Stream: "INTERACTIONS", Sequence: 1}}, result.Notices)
	assert.True(t, result.Audited)
	o = a.run("erase", "call-42", "--because", "ticket 7", "--yes", "--notify-again")
	assert.Equal(t, exitOK, o.code, "the earlier erasure event says which source: %s", o.err)
}

func TestEraseReportsWhatAStreamRefuses(t *testing.T) {
	a := newArchive(t, editedStreams(t, `"subjects": ["quarantine.>"],`, `"subjects": ["quarantine.>"], "deny_delete": true,`))
	a.life("call-42")
	o := a.run("erase", "call-42", "--because", "ticket 7", "--yes", "-o", "json")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "not everything was erased")
	assert.Equal(t, []mesh.StreamErasure{
		{Stream: "INTERACTIONS", Found: 2, Erased: 2}, {Stream: "DEAD_LETTERS", Found: 1, Erased: 1},
		{Stream: "QUARANTINE", Found: 1, Left: 1, Problem: "the stream has deny_delete: nothing can be deleted from it"},
	}, parsed[admin.ErasureResult](t, o).Streams)
	assert.Equal(t, mesh.AuditIncomplete, a.audits()[1].Result)
}

func TestEraseWarnsWhereNothingIsAudited(t *testing.T) {
	a := newArchive(t, strings.Replace(editedStreams(t), `"audit.>"`, `"elsewhere.>"`, 1))
	a.life("call-42")
	o := a.run("erase", "call-42", "--because", "ticket 7", "--yes")
	assert.Equal(t, exitOK, o.code)
	assert.Contains(t, o.err, "warning: this is not audited")
}

func TestEraseDoesNothingThatItCannotRecord(t *testing.T) {
	a := newArchive(t, editedStreams(t))
	a.life("call-42")
	require.NoError(t, a.js.DeleteStream(t.Context(), "AUDIT"))
	o := a.run("erase", "call-42", "--because", "ticket 7", "--yes")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "nothing was erased")
	assert.Contains(t, a.run("erase", "call-42", "--dry-run").out, "INTERACTIONS  2")
}
