// Package deploy_test holds what is shipped beside the program to the program.
package deploy_test

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	rules     = "prometheus/genmesh.rules.yml"
	ruleTests = "prometheus/genmesh.rules.test.yml"
	weekTests = "prometheus/genmesh.week.test.yml"
	scrapes   = "prometheus/prometheus.example.yml"
)

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return string(text)
}

// names are what a pattern's first group finds.
func names(text, pattern string) (found []string) {
	for _, match := range regexp.MustCompile(pattern).FindAllStringSubmatch(text, -1) {
		found = append(found, match[1])
	}
	return found
}

func TestEachAlertHasASectionInTheRunbookAndATest(t *testing.T) {
	alerts := names(read(t, rules), `(?m)^ +- alert: (\w+)$`)
	require.NotEmpty(t, alerts)
	assert.Equal(t, alerts, names(read(t, "../docs/runbook.md"), `(?m)^## (\w+)$`))
	tests := read(t, ruleTests)
	for _, alert := range alerts {
		assert.Regexp(t, `(?m)^ +alertname: `+alert+`\n +exp_alerts:`, tests, "%s is not seen firing", alert)
		assert.Regexp(t, `(?m)^ +alertname: `+alert+`\n(?: +- name:|\z)`, tests, "%s is not seen silent", alert)
		assert.Contains(t, read(t, rules), "runbook_url: docs/runbook.md#"+strings.ToLower(alert)+"\n")
	}
}

// TestSectionsOfTheRunbookAnswerTheSameQuestions: at night nobody looks for where the answer stands this time.
func TestSectionsOfTheRunbookAnswerTheSameQuestions(t *testing.T) {
	sections := regexp.MustCompile(`(?m)^## `).Split(read(t, "../docs/runbook.md"), -1)
	for _, section := range sections[1:] {
		assert.Equal(t, []string{"Felt as", "Look at", "Do", "False when"}, names(section, `(?m)^- \*\*([^*]+):\*\*`), section)
	}
}

func TestAlertsFireAsTheyShould(t *testing.T) {
	promtool, err := exec.LookPath("promtool")
	if err != nil {
		t.Skip("promtool is not installed: the alert rules are not run")
	}
	for _, args := range [][]string{{"check", "rules", rules}, {"test", "rules", ruleTests, weekTests}, {"check", "config", "--syntax-only", scrapes}} {
		out, err := exec.Command(promtool, args...).CombinedOutput()
		require.NoError(t, err, "%s", out)
	}
}
