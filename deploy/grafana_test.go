package deploy_test

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// panel is one of the dashboard, or a row of them.
type panel struct {
	ID         int
	Type       string
	Title      string
	Repeat     string
	Datasource *struct{ UID string }
	Targets    []struct {
		Expr       string
		Datasource struct{ UID string }
	}
	GridPos struct{ X, Y, W, H int }
	Panels  []panel // of a row that is folded
}

// dashboard is what the tests look at of it.
type dashboard struct {
	ID, UID     any
	Title       string
	Annotations struct{ List []struct{ Expr string } }
	Templating  struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []panel
}

func readDashboard(t *testing.T) (d dashboard) {
	t.Helper()
	require.NoError(t, json.Unmarshal([]byte(read(t, "grafana/genmesh.json")), &d))
	return d
}

// all are the panels, those of folded rows among them.
func (d dashboard) all() (all []panel) {
	for _, p := range d.Panels {
		all = append(append(all, p), p.Panels...)
	}
	return all
}

// TestDashboardCanBeImportedAnywhere: nothing in it names the Grafana that it was made in.
func TestDashboardCanBeImportedAnywhere(t *testing.T) {
	d := readDashboard(t)
	assert.Nil(t, d.ID)
	assert.Nil(t, d.UID)
	variables := map[string]bool{}
	for _, v := range d.Templating.List {
		variables[v.Name] = true
	}
	ids := map[int]string{}
	for _, p := range d.all() {
		assert.Empty(t, ids[p.ID], "%s has the number of another panel", p.Title)
		ids[p.ID] = p.Title
		assert.LessOrEqual(t, p.GridPos.X+p.GridPos.W, 24, p.Title)
		if p.Type == "row" {
			assert.True(t, p.Repeat == "" || variables[p.Repeat], p.Repeat)
			continue
		}
		require.NotNil(t, p.Datasource, p.Title)
		assert.Equal(t, "${datasource}", p.Datasource.UID, p.Title)
		require.NotEmpty(t, p.Targets, p.Title)
		for _, target := range p.Targets {
			assert.Equal(t, "${datasource}", target.Datasource.UID, p.Title)
			for _, name := range names(target.Expr, `\$(\w+)`) {
				assert.True(t, variables[name] || strings.HasPrefix(name, "__"), "%s uses the variable %s", p.Title, name)
			}
		}
	}
	assert.Greater(t, len(ids), 40)
}

func TestDashboardPanelsDoNotOverlap(t *testing.T) {
	d := readDashboard(t)
	taken := map[[2]int]string{}
	for _, p := range d.all() {
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				require.Empty(t, taken[[2]int{x, y}], "%s lies on another panel", p.Title)
				taken[[2]int{x, y}] = p.Title
			}
		}
	}
}

// TestPrometheusTakesTheQueriesOfTheDashboard has promtool read them as rules, with what Grafana puts in for its variables.
func TestPrometheusTakesTheQueriesOfTheDashboard(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: the queries of the dashboard are not checked")
	}
	d := readDashboard(t)
	var queries []string
	for _, p := range d.all() {
		for _, target := range p.Targets {
			queries = append(queries, target.Expr)
		}
	}
	for _, a := range d.Annotations.List {
		queries = append(queries, a.Expr)
	}
	var file strings.Builder
	file.WriteString("groups:\n- name: dashboard\n  rules:\n")
	for i, query := range queries {
		query = strings.ReplaceAll(query, "$__rate_interval", "1m")
		query = regexp.MustCompile(`\$\w+`).ReplaceAllString(query, ".*")
		fmt.Fprintf(&file, "  - {record: 'query:%d', expr: %q}\n", i, query)
	}
	path := filepath.Join(t.TempDir(), "queries.yml")
	require.NoError(t, os.WriteFile(path, []byte(file.String()), 0o600))
	out, err := exec.Command(promtool, "check", "rules", path).CombinedOutput()
	require.NoError(t, err, "%s", out)
	assert.Contains(t, string(out), fmt.Sprintf("%d rules found", len(queries)))
}
