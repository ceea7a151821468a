package app

import (
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/telemetry"
	"github.com/genmesh/genmesh/keypair/keypairtest"
)

// labelsOf are the labels of each metric of a process that does everything.
func labelsOf(t *testing.T) map[string][]string {
	t.Helper()
	folder := t.TempDir()
	cert, key, streams := filepath.Join(folder, "cert.pem"), filepath.Join(folder, "key.pem"), filepath.Join(folder, "streams.json")
	keypairtest.Write(t, cert, key, 1)
	writeFile(t, streams, deskStreams("https://genesys.example", allQueues()...))
	collector := map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}
	a := &app{metrics: telemetry.NewRegistry("test"), Config: Config{
		Streams: StreamsFile{Path: streams}, Embedded: &Embedded{DataDir: filepath.Join(folder, "data")}, Apply: true, Logger: quiet(),
		Ingress: &Ingress{Addr: "127.0.0.1:0", TLSCert: cert, TLSKey: key, Grace: time.Second}, Workers: &Workers{Grace: time.Second},
		Notifications: &Notifications{ForwardTo: "https://mesh.example", Grace: time.Second},
		Console:       &Console{Addr: "127.0.0.1:0", TLSCert: cert, TLSKey: key},
		LookupEnv: func(name string) (string, bool) {
			if value, ok := collector[name]; ok {
				return value, true
			}
			return environment(name)
		},
	}}
	a.reloads = newReloadMetrics(a.metrics)
	_, err := a.build(t.Context())
	require.NoError(t, err)
	defer func() { require.NoError(t, a.close()) }()
	described := make(chan *prometheus.Desc)
	go func() { a.metrics.Describe(described); close(described) }()
	// A description shows what it is made of as text alone.
	parts := regexp.MustCompile(`fqName: "(\w+)".*constLabels: \{(.*?)\}, variableLabels: \{(.*?)\}`)
	all := map[string][]string{}
	for d := range described {
		part := parts.FindStringSubmatch(d.String())
		require.NotNil(t, part, d)
		labels := words(part[3])
		for _, label := range regexp.MustCompile(`(\w+)="`).FindAllStringSubmatch(part[2], -1) {
			labels = append(labels, label[1])
		}
		all[part[1]] = labels
	}
	return all
}

func words(text string) []string { return regexp.MustCompile(`\w+`).FindAllString(text, -1) }

var (
	metricName = regexp.MustCompile(`\b(genmesh_\w+|genmesh:[\w:]+)\b(?:\{([^}]*)\})?`)
	grouping   = regexp.MustCompile(`\b(?:by|on) \(([^)]*)\)`)
	shownLabel = regexp.MustCompile(`\$labels\.(\w+)|\{\{(\w+)\}\}`)
	matcher    = regexp.MustCompile(`(\w+)\s*(?:=~|!~|!=|=)`)
	recording  = regexp.MustCompile(`record: (\S+)`)
)

// TestWhatIsShippedReadsMetricsThatExist holds the alerts and the dashboard to the program: each metric is there, with each label that is
// matched, grouped by or shown.
func TestWhatIsShippedReadsMetricsThatExist(t *testing.T) {
	known := labelsOf(t)
	read := map[string]bool{}
	for file, begins := range map[string]string{"prometheus/genmesh.rules.yml": `(?m)^ +- (?:alert|record): `, "grafana/genmesh.json": `(?m)^ +"id": \d`} {
		for _, statement := range statements(t, file, begins) {
			checkStatement(t, file, statement, known, read)
		}
	}
	for name := range known {
		if strings.HasPrefix(name, "genmesh_") {
			assert.True(t, read[name] || notShown[name] != "", "neither an alert nor the dashboard reads %s: show it, or say here why not", name)
		}
	}
}

// notShown are the metrics that neither alerts nor the dashboard read, and why.
var notShown = map[string]string{
	"genmesh_worker_lag_events":                            "genmesh_subscriber_waiting_events tells it of the mesh as a whole",
	"genmesh_nats_received_bytes_total":                    "the messages are enough",
	"genmesh_nats_sent_bytes_total":                        "the messages are enough",
	"genmesh_commit_acknowledged_sequence":                 "scrubs compare it",
	"genmesh_stream_limit_bytes":                           "the ratio is enough",
	"genmesh_config_last_reload_success_timestamp_seconds": "whether it succeeded is enough",
	"genmesh_ingress_key_newest_timestamp_seconds":         "it is for who looks into a rotation",
	"genmesh_notifications_waiting_frames":                 "it is for who looks into a lag of the bridge",
	"genmesh_notifications_forward_failures_total":         "it is for who looks into a lag of the bridge",
	"genmesh_notifications_reconnects_total":               "the gaps are what counts",
	"genmesh_notifications_connect_failures_total":         "the gaps are what counts",
}

// statements are the rules of a file, or the panels, each from where it begins to where the next one does. Comments are left out.
func statements(t *testing.T, file, begins string) (all []string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "deploy", file))
	require.NoError(t, err)
	text := strings.ReplaceAll(regexp.MustCompile(`(?m)^ *#.*$`).ReplaceAllString(string(raw), ""), `\"`, `"`)
	at := regexp.MustCompile(begins).FindAllStringIndex(text, -1)
	require.Greater(t, len(at), 20, file)
	all = append(all, text[:at[0][0]])
	for i, from := range at {
		to := len(text)
		if i+1 < len(at) {
			to = at[i+1][0]
		}
		all = append(all, text[from[0]:to])
	}
	return all
}

// checkStatement checks one rule or panel, and notes in known what a rule records.
func checkStatement(t *testing.T, file, statement string, known map[string][]string, read map[string]bool) {
	// What the scrape adds, and what Prometheus does.
	labels := map[string]bool{"instance": true, "job": true, "alertname": true}
	recorded := ""
	if match := recording.FindStringSubmatch(statement); match != nil {
		recorded = match[1]
		statement = strings.Replace(statement, recorded, "", 1)
		known[recorded] = words(strings.ReplaceAll(grouping.FindStringSubmatch(statement)[1], "le", ""))
	}
	for _, match := range metricName.FindAllStringSubmatch(statement, -1) {
		name := match[1]
		if histogram := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, ""); known[name] == nil && known[histogram] != nil {
			name, labels["le"] = histogram, true
		}
		of, ok := known[name]
		if !assert.True(t, ok, "%s reads %s, which no process tells", file, name) {
			continue
		}
		read[name] = true
		for _, label := range matcher.FindAllStringSubmatch(match[2], -1) {
			assert.Contains(t, append(of, "instance", "job"), label[1], "%s matches a label that %s does not have", file, name)
		}
		for _, label := range of {
			labels[label] = true
		}
	}
	var used []string
	for _, match := range grouping.FindAllStringSubmatch(statement, -1) {
		used = append(used, words(match[1])...)
	}
	for _, match := range shownLabel.FindAllStringSubmatch(statement, -1) {
		used = append(used, match[1]+match[2])
	}
	for _, label := range used {
		assert.True(t, labels[label], "%s uses the label %s, which is none of %v: %s", file, label, slices.Sorted(maps.Keys(labels)), statement)
	}
}
