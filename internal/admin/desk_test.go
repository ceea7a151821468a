package admin_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// desk is where an operator works on a server that is as the tests' own streams.json says: the one that ships is there for its users to edit.
type desk struct {
	*admin.Direct
	t         *testing.T
	js        jetstream.JetStream
	topology  *mesh.Topology
	letters   *mesh.DeadLetters
	committer *mesh.Committer
	by        admin.By
}

// newDesk edits the streams.json, by texts to replace in pairs.
func newDesk(t *testing.T, edits ...string) *desk {
	t.Helper()
	d := newDeskUnapplied(t, edits...)
	_, err := d.topology.Apply(t.Context(), d.js, false, mesh.Draining{})
	require.NoError(t, err)
	d.letters, err = mesh.NewDeadLetters(d.js, d.topology)
	require.NoError(t, err)
	d.committer, err = mesh.NewCommitter(d.js, d.topology, meshtest.Quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.committer.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		assert.NoError(t, <-done)
	})
	return d
}

func newDeskUnapplied(t *testing.T, edits ...string) *desk {
	t.Helper()
	d := &desk{t: t, js: meshtest.Start(t).JetStream(), by: admin.By{Who: mesh.Actor{User: "alice"}, Reason: "ticket 7"}}
	d.edit(edits...)
	d.Direct = admin.NewDirect(admin.DirectOptions{
		JetStream: d.js, Topology: func() *mesh.Topology { return d.topology }, Logger: meshtest.Quiet(),
	})
	return d
}

// edit puts another streams.json in force, without applying it.
func (d *desk) edit(edits ...string) {
	d.t.Helper()
	data, err := os.ReadFile("testdata/streams.json")
	require.NoError(d.t, err)
	text := string(data)
	for i := 0; i < len(edits); i += 2 {
		require.Contains(d.t, text, edits[i])
		text = strings.Replace(text, edits[i], edits[i+1], 1)
	}
	d.topology, err = mesh.ParseTopology([]byte(text), mesh.ParseOptions{
		Presets: genesys.SourceDefaults(), TargetSchemes: []string{"log", "file"},
		LookupEnv: func(string) (string, bool) { return "", false },
	})
	require.NoError(d.t, err)
}

// bury makes dead letters of crm, one of each interaction; the body of each says the how many-th it is.
func (d *desk) bury(interactions ...string) {
	d.t.Helper()
	for i, interaction := range interactions {
		require.NoError(d.t, d.letters.Bury(d.t.Context(), mesh.DeadLetter{
			Event: mesh.Event{
				Source: "genesys", Interaction: interaction, Type: "interaction", Fingerprint: fmt.Sprint(i),
				Subject: "genesys.07.interaction.call." + interaction, Body: fmt.Appendf(nil, `{"n":%d}`, i),
				Stream: "INTERACTIONS", Sequence: uint64(i + 1), Stored: time.Date(2026, 1, 2, 3, 4, 5, i, time.UTC),
			},
			Subscriber: "crm", Reason: mesh.DeadRejected, Attempts: 1, Status: 422, Error: "the target answered 422",
		}))
	}
}

func (d *desk) put(interaction, state string) {
	d.t.Helper()
	_, err := d.committer.Commit(d.t.Context(), mesh.Event{
		Source: "genesys", Interaction: interaction, Type: "interaction", Media: "call", Fingerprint: state,
		Received: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Body: []byte(`{"state":"` + state + `"}`),
	})
	require.NoError(d.t, err)
}

// stored are the messages of a stream that a subject takes, in order.
func (d *desk) stored(stream, subject string) []*jetstream.RawStreamMsg {
	d.t.Helper()
	s, err := d.js.Stream(d.t.Context(), stream)
	require.NoError(d.t, err)
	var all []*jetstream.RawStreamMsg
	for next := uint64(1); ; {
		msg, err := s.GetMsg(d.t.Context(), next, jetstream.WithGetMsgSubject(subject))
		if err != nil {
			require.ErrorIs(d.t, err, jetstream.ErrMsgNotFound)
			return all
		}
		all, next = append(all, msg), msg.Sequence+1
	}
}

// audits are the records of the audit, the oldest first. None says anything of an interaction that the tests use.
func (d *desk) audits() []mesh.Audit {
	d.t.Helper()
	var records []mesh.Audit
	for _, msg := range d.stored("AUDIT", "audit.>") {
		assert.NotContains(d.t, string(msg.Data), "call-")
		var record mesh.Audit
		require.NoError(d.t, json.Unmarshal(msg.Data, &record))
		assert.Equal(d.t, "alice", record.Who.User)
		assert.Equal(d.t, "audit."+record.Action, msg.Subject)
		records = append(records, record)
	}
	return records
}

func (d *desk) deleteStream(name string) {
	d.t.Helper()
	require.NoError(d.t, d.js.DeleteStream(d.t.Context(), name))
}
