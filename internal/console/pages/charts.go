package pages

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/genmesh/genmesh/internal/live"
)

// spark is a small chart of a series, drawn into a box of sparkWidth by sparkHeight. The newest value is at the right.
type spark struct {
	Line, Area string // paths
	Label      string // for who can't see it
}

const (
	sparkWidth  = 100.0
	sparkHeight = 30.0
	sparkMargin = 2.0
)

// newSpark draws values that lie so far apart; nil if there are too few.
func newSpark(what string, values []float64, every time.Duration, write func(float64) string) *spark {
	if len(values) < 2 {
		return nil
	}
	values = values[max(len(values)-live.MaxSeries, 0):]
	most := slices.Max(values)
	var line strings.Builder
	for i, value := range values {
		x := sparkWidth * float64(i) / float64(len(values)-1)
		y := sparkHeight - sparkMargin
		if most > 0 {
			y -= max(value, 0) / most * (sparkHeight - 2*sparkMargin)
		}
		fmt.Fprintf(&line, "%c%.1f %.1f", "ML"[min(i, 1)], x, y)
	}
	label := fmt.Sprintf("%s: now %s, at most %s", what, write(values[len(values)-1]), write(most))
	if every > 0 {
		label += " in the last " + duration(time.Duration(len(values)-1)*every)
	}
	return &spark{
		Line: line.String(), Label: label,
		Area: fmt.Sprintf("%sL%.1f %.1fL0 %.1fZ", line.String(), sparkWidth, sparkHeight, sparkHeight),
	}
}

// sum adds series up, by their newest values.
func sum(series ...[]float64) []float64 {
	longest := 0
	for _, s := range series {
		longest = max(longest, len(s))
	}
	total := make([]float64, longest)
	for _, s := range series {
		for i, value := range s {
			total[longest-len(s)+i] += value
		}
	}
	return total
}

// bar is a part of a whole, or one bar of a histogram: Width is 0 to 100.
type bar struct {
	Name  string
	Count uint64
	Width string
	// Class is what the bar is coloured by; "" is the usual colour.
	Class string
}

// barTable are bars and what their names are.
type barTable struct {
	Head string
	Bars []bar
}

// bars draws counts beside each other, the largest at full width.
func bars(names []string, counts []uint64) []bar {
	if len(counts) == 0 {
		return nil
	}
	most := max(slices.Max(counts), 1)
	drawn := make([]bar, len(counts))
	for i, n := range counts {
		drawn[i] = bar{Name: names[i], Count: n, Width: share(float64(n), float64(most))}
	}
	return drawn
}

// share is a part of a whole as 0 to 100. What is there at all is seen.
func share(part, whole float64) string {
	if whole <= 0 || part <= 0 {
		return "0"
	}
	return strconv.FormatFloat(min(max(part/whole*100, 0.8), 100), 'f', 1, 64)
}

// histogram are the bars of how long attempts took, without those that are empty at either end.
func histogram(buckets []live.Bucket) []bar {
	empty := func(b live.Bucket) bool { return b.Count == 0 }
	for len(buckets) > 0 && empty(buckets[0]) {
		buckets = buckets[1:]
	}
	for len(buckets) > 0 && empty(buckets[len(buckets)-1]) {
		buckets = buckets[:len(buckets)-1]
	}
	names, counts := make([]string, len(buckets)), make([]uint64, len(buckets))
	for i, b := range buckets {
		names[i], counts[i] = "longer", b.Count
		if b.Seconds > 0 {
			names[i] = "≤ " + seconds(b.Seconds)
		}
	}
	return bars(names, counts)
}
