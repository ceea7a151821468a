package cli

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/genesys/simulator"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

func TestSimulatedGenesysIsServedWell(t *testing.T) {
	record := filepath.Join(t.TempDir(), "compliance.ndjson")
	env := map[string]string{"COMPLIANCE_URL": "file:" + filepath.ToSlash(record), secretVariable: testSecret}
	dev := serve(t, env, devArgs(t)...)
	url := dev.await(dev.out, `webhooks +(http://\S+)`)
	ledger := filepath.Join(t.TempDir(), "ledger.ndjson")

	o := invocation{env: env}.run(t, "simulate", "--target", url, "--addr", "", "--count", "300", "--rate", "3000",
		"--duplicate-percent", "20", "--lost-answer-percent", "0", "--forge-percent", "10", "--truncate-percent", "10",
		"--unreadable-percent", "5", "--seed", "7", "--ledger", ledger, "-o", "json")
	require.Equal(t, exitOK, o.code, o.err)
	s := parsed[simulator.Summary](t, o)
	assert.Equal(t, 300, s.Of(simulator.KindEvent, simulator.Accepted))
	assert.Positive(t, s.Sent(simulator.KindDuplicate))
	assert.Equal(t, s.Sent(simulator.KindDuplicate), s.Of(simulator.KindDuplicate, simulator.Known))
	assert.Equal(t, s.Sent(simulator.KindForged), s.Of(simulator.KindForged, simulator.Refused))
	assert.Equal(t, s.Sent(simulator.KindUnreadable), s.Of(simulator.KindUnreadable, simulator.Quarantined))
	assert.Zero(t, s.Wrong())

	raw, err := os.ReadFile(ledger)
	require.NoError(t, err)
	var first simulator.Entry
	require.NoError(t, json.Unmarshal(raw[:bytes.IndexByte(raw, '\n')], &first))
	assert.NotEmpty(t, first.BodySHA256)
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(record)
		return err == nil && bytes.Count(data, []byte("\n")) == 300
	}, 20*time.Second, 20*time.Millisecond, "each event once")

	o = invocation{env: env}.run(t, "simulate", "--target", url, "--addr", "", "--count", "20", "--rate", "1000", "--seed", "8")
	require.Equal(t, exitOK, o.code, o.err)
	assert.Regexp(t, `event +20 +20`, o.out)
	assert.Contains(t, o.out, "--seed 8")
}

func TestSimulationTellsWhatEndedWrong(t *testing.T) {
	dev := serve(t, map[string]string{secretVariable: testSecret, "COMPLIANCE_URL": "log:"}, devArgs(t)...)
	url := dev.await(dev.out, `webhooks +(http://\S+)`)
	o := run(t, "simulate", "--target", url, "--addr", "", "--count", "3", "--rate", "1000", "--duplicate-percent", "0")
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "3 deliveries ended as they should not", "they were signed with the well-known secret")

	for flag, value := range map[string]string{"--rate": "0", "--duplicate-percent": "101", "--addr": "0.0.0.0:0", "--interactions": "-1", "--count": "-5", "--for": "-5s", "--target": "", "--ledger": "/nowhere/ledger"} {
		o := run(t, "simulate", "--target", url, "--addr", "", "--count", "1", flag, value)
		assert.Equal(t, exitError, o.code, flag)
	}
	assert.Equal(t, exitError, run(t, "simulate", "--target", url, "--addr", "", "--rate", "NaN").code)
	o = run(t, "simulate", "--target", "https://mesh.example.com/webhooks/genesys")
	assert.Contains(t, o.err, secretVariable, "the well-known secret is for this machine only")
}

// TestSimulateSaysAtOnceThatNobodyIsThere, and not when half a minute of retries has passed.
func TestSimulateSaysAtOnceThatNobodyIsThere(t *testing.T) {
	unused := meshtest.FreeAddr(t)
	simulation := serve(t, nil, "simulate", "--target", "http://"+unused+"/webhooks/genesys", "--addr", "")
	simulation.await(simulation.err, `(warning: nothing answers at http://`+regexp.QuoteMeta(unused)+`/webhooks/genesys: .*connection refused; deliveries are tried again)`)
	simulation.end()
	assert.Equal(t, 1, strings.Count(simulation.err.String(), "nothing answers"))
}

func TestDevSimulatesByItself(t *testing.T) {
	record := filepath.Join(t.TempDir(), "compliance.ndjson")
	dev := serve(t, map[string]string{"COMPLIANCE_URL": "file:" + filepath.ToSlash(record)}, devArgs(t, "--simulate", "200")...)
	require.Eventually(t, func() bool {
		data, err := os.ReadFile(record)
		return err == nil && bytes.Count(data, []byte("\n")) > 50
	}, 20*time.Second, 20*time.Millisecond)
	assert.Equal(t, exitOK, dev.end(), dev.err)

	o := run(t, append(devArgs(t), "--simulate", "-1")...)
	assert.Equal(t, exitError, o.code)
	assert.Contains(t, o.err, "rate")
	noSource := file(t, "streams.json", strings.Replace(editedStreams(t), `"preset": "genesys",`, `"preset": "genesys-trigger",`, 1))
	o = run(t, append(devArgs(t), "--simulate", "5", "--streams", noSource)...)
	assert.Contains(t, o.err, `preset "genesys"`)
}
