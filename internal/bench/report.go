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

const deliveryIntroduction = `**Events out: delivered per second to all subscribers, genmesh as a multiple of …**

One worker process serves all subscribers of a row, which share the work: each gets its part of the events, so that all rows deliver as
many, from the first delivery to the last. "Handlers in code" take an event and do nothing: there genmesh's own cost shows. "JetStream
push" is a durable consumer for each subscriber, whose messages are acknowledged and dropped.

`

const waitingNote = `In the last row another subscriber, in the same process, has 10,000 events that failed once and are tried again in an
hour. Each of them holds %s of memory: the event of 1 KiB as the NATS client has it, what genmesh knows of it, a
goroutine, and the server's note that it is out. ` + "`max_ack_pending`" + ` bounds their number. What they cost the other subscriber is mostly
garbage collection, which looks at all of them each time.

`

const askedIntroduction = `**What a subscriber can ask for: the same subscriber without it is 1.00**

One subscriber, to a handler in code that does nothing, in the last row to HTTP. The price is in the processor time: that of this whole
process, and so with the server's part. What a filter passes by counts as an event, too. The default is order of interactions in one
partition, here with 64 interactions under way at once. ` + "`\"order\": \"none\"`" + ` lets each event go by itself. Partitions divide a subscriber
among processes: one process alone gains nothing by them, and this is what they cost. ` + "`when`, `redact` and `transform`" + ` read the body as
JSON. "Recorded" keeps a line on each delivery in a stream, whose storing counts. "Signed" is Standard Webhooks with one key.

`

// newReport is the whole report in Markdown: first the ratios, then absolute figures.
func newReport(s settings, ingests []ingestResult, deliveries results) string {
	var b strings.Builder
	fmt.Fprintf(&b, introduction, s.rounds, s.duration, runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0))
	b.WriteString("**Events in: accepted per second, genmesh as a multiple of …**\n\n")
	writeTable(&b, ingestRatios(ingests))
	b.WriteString(deliveryIntroduction)
	writeTable(&b, deliveryRatios(deliveries))
	fmt.Fprintf(&b, waitingNote, bytesText(deliveries[codeBesideWaiting].of(waiting)))
	b.WriteString(askedIntroduction)
	writeTable(&b, askedRatios(deliveries))
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

// deliveryRatios compares the two ways to take events with JetStream's own push, and one subscriber alone
// with several, and with one beside another that is in trouble.
func deliveryRatios(r results) [][]string {
	rows := [][]string{{"…", "to HTTP targets", "to handlers in code"}}
	compared := func(title, http, code, baseHTTP, baseCode string) {
		rows = append(rows, []string{title, r.rates(http, baseHTTP), r.rates(code, baseCode)})
	}
	for _, n := range subscriberCounts {
		compared(ackOnly(n), toHTTP(n), toCode(n), ackOnly(n), ackOnly(n))
	}
	compared("bare HTTP posts to the same target, 64 at once", toHTTP(1), "", barePosts, "")
	for _, n := range subscriberCounts[1:] {
		compared(fmt.Sprintf("itself with one subscriber, for %d", n), toHTTP(n), toCode(n), toHTTP(1), toCode(1))
	}
	compared("itself, while another subscriber's target hangs", besides, "", toHTTP(1), "")
	compared("itself, while 10,000 events of another subscriber wait for their retry", httpBesideWaiting, codeBesideWaiting, plainToHTTP, plainInCode)
	return rows
}

// rates is how the rates of two variants compare, for what was measured.
func (r results) rates(ours, base string) string {
	if len(r[ours]) == 0 || len(r[base]) == 0 {
		return "–"
	}
	return ratioText(r[ours].ratio(r[base], rate))
}

// askedRatios compares subscribers that ask for something with one that does not.
func askedRatios(r results) [][]string {
	rows := [][]string{{"it asks for", "events per second", "processor time per event"}}
	for _, a := range everythingAsked {
		ours, base := r[a.name], r[a.against()]
		rows = append(rows, []string{a.name, ratioText(ours.ratio(base, rate)), ratioText(ours.ratio(base, cpu))})
	}
	return rows
}

func deliveryFigures(r results) [][]string {
	rows := [][]string{{"events out", "delivered/s in total", "CPU/delivery"}}
	names := []string{barePosts, besides, httpBesideWaiting, codeBesideWaiting}
	for _, n := range subscriberCounts {
		names = append(names, toHTTP(n), toCode(n), ackOnly(n))
	}
	for _, name := range names {
		if len(r[name]) > 0 {
			rows = append(rows, []string{name, countText(r[name].of(rate)), microsText(r[name].of(cpu))})
		}
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

// bytesText is an amount of memory in KiB.
func bytesText(s spread) string {
	return fmt.Sprintf("%.1f KiB (%.1f…%.1f)", s.median/1024, s.min/1024, s.max/1024)
}

func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
