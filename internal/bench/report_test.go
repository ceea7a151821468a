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
