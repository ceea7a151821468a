package main

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestFigures(t *testing.T) {
	for v, want := range map[float64]string{0: "0", 999: "999", 1000: "1,000", 12345.6: "12,346", 1234567: "1,234,567"} {
		assert.Equal(t, want, grouped(v))
	}
	for v, want := range map[float64]string{0.123: "0.12", 3.456: "3.46", 9.999: "10", 41.7: "42"} {
		assert.Equal(t, want, ratioFigure(v))
	}
	assert.Equal(t, "**0.50** (0.40…0.60)", ratioText(spread{0.5, 0.4, 0.6}))
	assert.Equal(t, "1 subscriber", plural(1, "subscriber"))
	assert.Equal(t, "3 subscribers", plural(3, "subscriber"))
}

func TestTable(t *testing.T) {
	var b strings.Builder
	writeTable(&b, [][]string{{"x", "y"}, {"1", "2"}})
	assert.Equal(t, "| x | y |\n|---|--:|\n| 1 | 2 |\n\n", b.String())
}

func TestReportHasARowForEverythingThatWasMeasured(t *testing.T) {
	measured := results{}
	for _, n := range subscriberCounts {
		measured[toCode(n)], measured[ackOnly(n)] = series{{rate: 50}}, series{{rate: 100}}
	}
	measured[codeBesideWaiting] = series{{rate: 50, waiting: 2048}}
	measured[plainInCode], measured[plainToHTTP] = series{{rate: 100, cpu: 10}}, series{{rate: 1, cpu: 100}}
	for _, a := range everythingAsked {
		measured[a.name] = series{{rate: 50, cpu: 20}}
	}
	report := newReport(settings{rounds: 1}, nil, measured)
	assert.Contains(t, report, "| JetStream push that only acknowledges, 100 consumers | – | **0.50** (0.50…0.50) |")
	assert.Contains(t, report, "wait for their retry | – | **0.50** (0.50…0.50) |")
	assert.Contains(t, report, "holds 2.0 KiB (2.0…2.0) of memory")
	assert.Contains(t, report, "| `\"order\": \"none\"` | **0.50** (0.50…0.50) | **2.00** (2.00…2.00) |")
	assert.Contains(t, report, "| requests signed, to HTTP | **50** (50…50) | **0.20** (0.20…0.20) |")
	for _, a := range everythingAsked {
		assert.Contains(t, report, "| "+a.name+" | ")
	}
}
