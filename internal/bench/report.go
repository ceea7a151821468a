package main

import (
	"fmt"
	"runtime"
	"strings"
	"time"
)

const introduction = `Medians of %d rounds of %s, in which the variants take turns, with min…max. %s on %s/%s, %d processors, shared by the load
generator, genmesh, an embedded nats-server that fsyncs before it acknowledges, and the targets. Events of 1 KiB, signed, over loopback;
"lifecycles" are interactions of ten events in order, one of them delivered twice. No answer but 2xx and no lost delivery is tolerated.

`

// newReport is the whole report in Markdown: first the ratios, then absolute figures.
func newReport(s settings, ingests []ingestResult, deliveries results) string {
	var b strings.Builder
	fmt.Fprintf(&b, introduction, s.rounds, s.duration, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	b.WriteString("**Events in: accepted per second, genmesh as a multiple of …**\n\n")
	writeTable(&b, ingestRatios(ingests))
	b.WriteString("**Events out: delivered per second to all subscribers, genmesh as a multiple of …**\n\n")
	writeTable(&b, deliveryRatios(deliveries))
	b.WriteString("**Absolute, for orientation only**: they are this machine's, and the load generator is in them.\n\n")
	writeTable(&b, ingestFigures(ingests))
	writeTable(&b, deliveryFigures(deliveries))
	return b.String()
}

// ingestRatios compares genmesh with each other variant.
func ingestRatios(ingests []ingestResult) [][]string {
	header := []string{"…"}
	for _, i := range ingests {
		header = append(header, fmt.Sprintf("distinct, %d connections", i.connections), fmt.Sprintf("lifecycles, %d", i.connections))
	}
	rows := [][]string{header}
	for _, base := range []struct{ title, name string }{
		{"a receiver that stores nothing: net/http and httprouter, read the body, answer 202", floor},
		{"a hand-written receiver: HMAC, encoding/json, one publish for each request", handWritten},
		{"JetStream alone, one publish each, as many at once as connections", oneEach},
		{"JetStream alone, atomic batches of 256, 4 at once", batches},
	} {
		row := []string{base.title}
		for _, i := range ingests {
			for _, ours := range []string{distinct, lifecycle} {
				row = append(row, ratioText(i.results[ours].ratio(i.results[base.name], rate)))
			}
		}
		rows = append(rows, row)
	}
	return rows
}

func ingestFigures(ingests []ingestResult) [][]string {
	rows := [][]string{{"events in", "connections", "accepted/s", "p50", "p99", "CPU/event", "events/batch", "batches refused"}}
	for _, i := range ingests {
		for _, name := range []string{floor, distinct, lifecycle, handWritten, oneEach, batches} {
			s := i.results[name]
			connections := fmt.Sprint(i.connections)
			if name == batches {
				connections = "–"
			}
			row := []string{name, connections, countText(s.of(rate)), millisText(s.of(p50)), millisText(s.of(p99)), microsText(s.of(cpu)), "", ""}
			if name == distinct || name == lifecycle {
				row[6] = fmt.Sprintf("%.0f", s.of(batch).median)
				row[7] = fmt.Sprintf("%.0f", s.of(refused).max)
			}
			rows = append(rows, row)
		}
	}
	return rows
}

// deliveryRatios compares the two ways to take events with JetStream's own push, and each number
// of subscribers with one.
func deliveryRatios(r results) [][]string {
	rows := [][]string{{"…", "to HTTP targets", "to handlers in code"}}
	for _, n := range subscriberCounts {
		base := r[ackOnly(n)]
		rows = append(rows, []string{
			ackOnly(n),
			ratioText(r[toHTTP(n)].ratio(base, rate)), ratioText(r[toCode(n)].ratio(base, rate)),
		})
	}
	rows = append(rows, []string{"bare HTTP posts to the same target, 64 at once", ratioText(r[toHTTP(1)].ratio(r[barePosts], rate)), "–"})
	for _, n := range subscriberCounts[1:] {
		rows = append(rows, []string{
			fmt.Sprintf("itself with one subscriber, for %d", n),
			ratioText(r[toHTTP(n)].ratio(r[toHTTP(1)], rate)), ratioText(r[toCode(n)].ratio(r[toCode(1)], rate)),
		})
	}
	return append(rows, []string{"itself, while another subscriber's target hangs", ratioText(r[besides].ratio(r[toHTTP(1)], rate)), "–"})
}

func deliveryFigures(r results) [][]string {
	rows := [][]string{{"events out", "delivered/s in total", "CPU/delivery"}}
	names := []string{barePosts, besides}
	for _, n := range subscriberCounts {
		names = append(names, toHTTP(n), toCode(n), ackOnly(n))
	}
	for _, name := range names {
		rows = append(rows, []string{name, countText(r[name].of(rate)), microsText(r[name].of(cpu))})
	}
	return rows
}

func writeTable(b *strings.Builder, rows [][]string) {
	for i, row := range rows {
		fmt.Fprintf(b, "| %s |\n", strings.Join(row, " | "))
		if i == 0 {
			fmt.Fprintf(b, "|---|%s\n", strings.Repeat("--:|", len(row)-1))
		}
	}
	b.WriteString("\n")
}

func ratioText(s spread) string {
	return fmt.Sprintf("**%s** (%s…%s)", ratioFigure(s.median), ratioFigure(s.min), ratioFigure(s.max))
}

// ratioFigure has two digits after the point below ten, and none that mean nothing above.
func ratioFigure(v float64) string {
	if v < 9.995 {
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.0f", v)
}

func countText(s spread) string {
	return fmt.Sprintf("%s (%s…%s)", grouped(s.median), grouped(s.min), grouped(s.max))
}

// grouped is a count with commas between the thousands.
func grouped(v float64) string {
	digits := fmt.Sprintf("%.0f", v)
	for i := len(digits) - 3; i > 0; i -= 3 {
		digits = digits[:i] + "," + digits[i:]
	}
	return digits
}

func millisText(s spread) string {
	return fmt.Sprintf("%.1f ms", s.median/float64(time.Millisecond))
}

func microsText(s spread) string {
	return fmt.Sprintf("%.0f µs", s.median/float64(time.Microsecond))
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
