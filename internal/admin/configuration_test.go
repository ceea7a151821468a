package admin_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

func TestTheConfigurationShowsTheFileAndHowTheServerDiffers(t *testing.T) {
	d := newDesk(t)
	file := admin.Configuration{File: "streams.json", Text: "{}", Loaded: time.Now(), Refused: "line 3: no"}
	operator := d.withOptions(func(o *admin.DirectOptions) { o.File = func() admin.Configuration { return file } })
	c, err := operator.Configuration(t.Context())
	require.NoError(t, err)
	assert.True(t, c.Plan.Empty())
	d.deleteStream("AUDIT")
	c, err = operator.Configuration(t.Context())
	require.NoError(t, err)
	require.Len(t, c.Plan.Steps, 1)
	assert.Equal(t, "AUDIT", c.Plan.Steps[0].Name)
	c.Plan = mesh.Plan{}
	assert.Equal(t, file, c)

	o, err := operator.Overview(t.Context())
	require.NoError(t, err)
	assert.Equal(t, "line 3: no", o.Refused)

	c, err = d.Configuration(t.Context())
	require.NoError(t, err)
	assert.Empty(t, c.Text)
	assert.Len(t, c.Plan.Steps, 1)
}

func TestAConfigurationWithAKeyInItShowsNoneOfIt(t *testing.T) {
	d := newDesk(t)
	d.topology.Subscribers[0].Target.Headers = map[string]string{"X-Api-Key": "hunter2"}
	file := admin.Configuration{Text: `{"subscribers": [{"target": {"url": "https://crm/?key=hunter2", "headers": {"X-Api-Key": "hunter2"}}}]}`}
	operator := d.withOptions(func(o *admin.DirectOptions) { o.File = func() admin.Configuration { return file } })
	c, err := operator.Configuration(t.Context())
	require.NoError(t, err)
	require.NotEmpty(t, c.Plan.Steps)
	shown, err := json.Marshal(c)
	require.NoError(t, err)
	assert.NotContains(t, string(shown), "hunter2")
	applied, err := operator.Apply(t.Context(), admin.By{}, true)
	require.NoError(t, err)
	shown, err = json.Marshal(applied)
	require.NoError(t, err)
	assert.NotContains(t, string(shown), "hunter2")
}
