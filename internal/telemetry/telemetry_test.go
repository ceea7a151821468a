package telemetry

import (
	"bytes"
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const hostile = "ok\r\nlevel=info msg=forged\x1b[2J\x1b]0;title\a\u202e\u0085"

func TestLoggedControlCharactersAreEscaped(t *testing.T) {
	for _, tc := range []struct {
		name       string
		isTerminal bool
	}{{"coloured", true}, {"plain", false}} {
		t.Run(tc.name, func(t *testing.T) {
			var out bytes.Buffer
			log, err := NewLogger(&out, "info", FormatText, tc.isTerminal)
			require.NoError(t, err)
			log.WithField("id", hostile).WithError(errors.New(hostile)).Warn(hostile)

			line := strings.TrimSuffix(out.String(), "\n")
			assert.NotContains(t, line, "\n", "one entry is one line")
			assert.NotContains(t, line, "\r")
			assert.NotContains(t, line, "\x1b[2J")
			assert.NotContains(t, line, "\a")
			assert.NotContains(t, line, "\u202e")
			assert.Equal(t, 3, strings.Count(line, "forged"), "the text itself stays readable")
			assert.Equal(t, tc.isTerminal, strings.Contains(line, "\x1b["), "colours only in a terminal")
		})
	}
}

func TestJSONLogIsOneParsableLineWithNanoseconds(t *testing.T) {
	var out bytes.Buffer
	log, err := NewLogger(&out, "info", FormatAuto, false)
	require.NoError(t, err)
	log.WithField("id", hostile).Info("hello")

	assert.Equal(t, 1, strings.Count(out.String(), "\n"))
	var entry struct {
		Time  time.Time
		Level string
		Msg   string
		ID    string
	}
	require.NoError(t, json.Unmarshal(out.Bytes(), &entry))
	assert.Equal(t, hostile, entry.ID)
	assert.Equal(t, "info", entry.Level)
	assert.Equal(t, "hello", entry.Msg)
	assert.WithinDuration(t, time.Now(), entry.Time, time.Minute)
}

func TestLogFormatAndLevel(t *testing.T) {
	for _, tc := range []struct {
		level, format string
		isTerminal    bool
		json          bool
		err           string
	}{
		{level: "info", format: "auto", isTerminal: true},
		{level: "info", format: "auto", json: true},
		{level: "debug", format: "json", isTerminal: true, json: true},
		{level: "warn", format: "text"},
		{level: "loud", format: "text", err: `log level "loud"`},
		{level: "info", format: "xml", err: `log format "xml"`},
	} {
		t.Run(tc.level+" "+tc.format, func(t *testing.T) {
			var out bytes.Buffer
			log, err := NewLogger(&out, tc.level, tc.format, tc.isTerminal)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			log.Error("x")
			assert.Equal(t, tc.json, json.Valid(out.Bytes()))
			assert.Equal(t, tc.level == "debug", log.IsLevelEnabled(logrus.DebugLevel))
		})
	}
}

func TestPrintable(t *testing.T) {
	for in, want := range map[string]string{
		"Zoë 京 ok":     "Zoë 京 ok",
		"a\nb\tc":      `a\nb\tc`,
		"\x1b[31mred":  `\x1b[31mred`,
		"\xff":         `\xff`,
		"\ufffd":       "\ufffd",
		"\u202eabc":    `\u202eabc`,
		"\u009b31m":    `\u009b31m`,
		`quote " \ it`: `quote " \ it`,
	} {
		assert.Equal(t, want, Printable(in))
	}
}

func FuzzPrintable(f *testing.F) {
	f.Add(hostile)
	f.Add("\xff\xfe plain")
	f.Fuzz(func(t *testing.T, s string) {
		got := Printable(s)
		require.True(t, utf8.ValidString(got))
		require.Equal(t, got, Printable(got), "what is printable stays as it is")
	})
}

func TestRegistryTellsTheVersion(t *testing.T) {
	families, err := NewRegistry("v1.2.3").Gather()
	require.NoError(t, err)
	var names []string
	for _, family := range families {
		names = append(names, family.GetName())
		if family.GetName() == "genmesh_build_info" {
			metric := family.GetMetric()[0]
			assert.Equal(t, "v1.2.3", metric.GetLabel()[0].GetValue())
			assert.EqualValues(t, 1, metric.GetGauge().GetValue())
		}
	}
	assert.Contains(t, names, "genmesh_build_info")
	assert.Contains(t, names, "go_goroutines")
}
