package e2e

import (
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBrowserReleasesQuarantine(t *testing.T) {
	b := startBrowser(t)
	crm := newSink(t)
	config := watchedStreams(subscriber("crm", crm))
	p := startDev(t, config)
	unreadable, misfit := `{"id": "torn`, strings.Replace(event("42", 1), `"call"`, `{}`, 1)
	require.Equal(t, http.StatusAccepted, p.send(unreadable).status)
	require.Equal(t, http.StatusAccepted, p.send(misfit).status)
	require.EqualValues(t, 2, p.stored("QUARANTINE"))
	v := b.visitor(p)

	v.open("/")
	v.sees(".nav", "2 in quarantine")
	v.follow(".nav", "Quarantine", "/quarantine")
	v.sees(".groups", "genesys · invalid_json · 1 event", "genesys · schema · 1 event")

	v.follow(".group:has(a[href*=invalid_json])", "The newest", "/quarantine/1")
	v.sees("main", "invalid_json", unreadable)
	v.follow("main", "Discard…", "/quarantine/confirm")
	v.sees("main h2", "Exactly 1 event")
	v.confirm("Discard", "cut off on its way")
	v.sees(".result", "1 of 1 done")

	v.follow(".nav", "Quarantine", "/quarantine")
	v.follow(".groups", "Release…", "/quarantine/confirm")
	v.press("form[aria-label=Confirm]", "Only try", "/tasks/")
	v.sees("main", "0 of 1 done, 1 failed", "schema")
	require.EqualValues(t, 1, p.stored("QUARANTINE"))

	p.edit([]byte(strings.Replace(string(config), `"preset": "genesys",`, `"preset": "genesys", "event_types": {"*": {"schema": "none"}},`, 1)))
	p.reload <- struct{}{}
	p.awaitLog("streams.json is in force", 1)
	v.follow(".nav", "Quarantine", "/quarantine")
	v.follow(".groups", "Release…", "/quarantine/confirm")
	v.confirm("Release", "the schema was too narrow")
	v.sees(".result", "1 of 1 done")
	v.follow(".nav", "Quarantine", "/quarantine")
	v.sees("main", "Nothing is in quarantine")
	crm.await(t, 1)
	assert.Equal(t, map[string]int{misfit: 1}, crm.bodies())
}
