package app

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestARefusedReloadShowsUntilItIsMended(t *testing.T) {
	d := newDesk(t, "X-Old-Id")
	defer http.DefaultClient.CloseIdleConnections()
	const successful, took = "genmesh_config_last_reload_successful", "genmesh_config_last_reload_success_timestamp_seconds"
	assert.Equal(t, 1.0, d.metric(t, successful), "the process began with a good one")
	began := d.metric(t, took)
	assert.Positive(t, began)

	d.write("{")
	d.reload <- struct{}{}
	d.eventually(t, func() bool { return d.metric(t, successful) == 0 }, "the mistake shows")
	assert.Positive(t, d.metric(t, `genmesh_config_reloads_total{result="refused"}`))
	assert.Equal(t, began, d.metric(t, took), "the old one stays in force")

	d.write(phones("X-New-Id", "", d.target))
	d.reload <- struct{}{}
	d.eventually(t, func() bool { return d.metric(t, successful) == 1 }, "it is mended")
	assert.Positive(t, d.metric(t, `genmesh_config_reloads_total{result="applied"}`))
	assert.Greater(t, d.metric(t, took), began)
}
