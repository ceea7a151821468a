package main

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// cost names what one event, or one thing that it leaves, takes.
type cost string

// The costs. Processor time is in microseconds, which is seconds for a million events; that of nodes is the sum over all of them.
const (
	ingressCPU   cost = "ingress"
	ingressKiB   cost = "ingress_kib"
	ingressR3    cost = "ingress_r3"
	storeCPU     cost = "store"
	storeKiB     cost = "store_kib"
	storeR3      cost = "store_r3"
	storeR3KiB   cost = "store_r3_kib"
	leadR3       cost = "lead_r3"
	deliverCPU   cost = "deliver"
	deliverKiB   cost = "deliver_kib"
	deliverR3    cost = "deliver_r3"
	readCPU      cost = "read"
	readKiB      cost = "read_kib"
	readR3       cost = "read_r3"
	envelope     cost = "envelope"
	onDisk       cost = "on_disk"
	written      cost = "written"
	writtenR3    cost = "written_r3"
	idHeap       cost = "id"
	subjectHeap  cost = "subject"
	resident     cost = "resident"
	retried      cost = "retried"
	ofWorkers    cost = "workers"
	ofSubscriber cost = "subscriber"
	ofConsumer   cost = "consumer"
	startEmpty   cost = "start"
	startStored  cost = "start_stored"
	startKnown   cost = "start_window"
)

// price is a line of the document's costs: one thing, as it costs in several cases.
type price struct {
	of, unit string
	cases    []priced
}

// priced is a cost, and in which case it is; "" is the usual one.
type priced struct {
	cost
	in string
}

const (
	further    = "each further KiB"
	threeNodes = "three nodes"
)

// priceList is all costs in the order of the document.
var priceList = []price{
	{"processor time of ingress for an event of 1 KiB", "µs", []priced{{ingressCPU, ""}, {ingressKiB, further}, {ingressR3, threeNodes}}},
	{"processor time of nats-server to store it, of all nodes together", "µs",
		[]priced{{storeCPU, ""}, {storeKiB, further}, {storeR3, threeNodes}, {storeR3KiB, further}, {leadR3, "their leader alone"}}},
	{"processor time of workers for a delivery of 1 KiB to an HTTP target", "µs",
		[]priced{{deliverCPU, ""}, {deliverKiB, further}, {deliverR3, threeNodes}}},
	{"processor time of nats-server for that delivery, of all nodes together", "µs", []priced{{readCPU, ""}, {readKiB, further}, {readR3, threeNodes}}},
	{"what a stream counts of an event besides its body: subject, headers, framing", "B", []priced{{envelope, ""}}},
	{"bytes of the store's files, to bytes that the stream counts", "ratio", []priced{{onDisk, ""}}},
	{"bytes that a node writes to its disk, to bytes that the stream counts, 256 senders", "ratio", []priced{{written, ""}, {writtenR3, threeNodes}}},
	{"memory of nats-server, live", "B", []priced{{idHeap, "an id in the duplicate window"}, {subjectHeap, "a subject that is stored"}}},
	{"resident memory of nats-server, to what is live in it", "ratio", []priced{{resident, ""}}},
	{"memory of nats-server for the consumer of a subscriber", "KiB", []priced{{ofConsumer, ""}}},
	{"memory of a worker process with nothing to do", "MiB", []priced{{ofWorkers, ""}}},
	{"… for each further subscriber", "KiB", []priced{{ofSubscriber, ""}}},
	{"… for each event of 1 KiB that waits for its retry", "KiB", []priced{{retried, ""}}},
	{"start of nats-server after an orderly end, until it is ready", "s",
		[]priced{{startEmpty, ""}, {startStored, "more for each million events stored"}, {startKnown, "more for each million of them in the duplicate window"}}},
}

// allCosts are the costs of the list.
func allCosts() (all []cost) {
	for _, p := range priceList {
		for _, one := range p.cases {
			all = append(all, one.cost)
		}
	}
	return all
}

// costs are measured costs.
type costs map[cost]float64

// placeOf is where a document keeps what a test writes: the lines between two marks.
func placeOf(name string) *regexp.Regexp {
	return regexp.MustCompile(`(?s)(<!-- figures:` + regexp.QuoteMeta(name) + ` -->\n).*?(<!-- end -->)`)
}

var costInLine = regexp.MustCompile("`([a-z0-9_]+)` ([0-9.]+)")

// readCosts reads the costs that a document has, and wants all of them.
func readCosts(document string) (costs, error) {
	c, err := readKnown(document)
	if err != nil {
		return nil, err
	}
	if missing := c.missing(); len(missing) > 0 {
		return nil, fmt.Errorf("%s has no cost %s: task sizing measures it", document, missing[0])
	}
	return c, nil
}

// readKnown reads the costs that a document has, be they all or not.
func readKnown(document string) (costs, error) {
	raw, err := os.ReadFile(document)
	if err != nil {
		return nil, fmt.Errorf("the costs of an event: %w (-document names the file, docs/SIZING.md of the repository)", err)
	}
	c := costs{}
	for _, line := range costInLine.FindAllStringSubmatch(placeOf("costs").FindString(string(raw)), -1) {
		if c[cost(line[1])], err = strconv.ParseFloat(line[2], 64); err != nil {
			return nil, fmt.Errorf("%s: cost %s: %w", document, line[1], err)
		}
	}
	return c, nil
}

// missing are the costs that are not known.
func (c costs) missing() []cost {
	return slices.DeleteFunc(allCosts(), func(name cost) bool { return c[name] > 0 })
}

// table is the costs as the document has them.
func (c costs) table() []string {
	lines := []string{"| what it is | unit | measured |", "|---|---|---|"}
	for _, p := range priceList {
		var cases []string
		for _, one := range p.cases {
			cases = append(cases, strings.TrimPrefix(fmt.Sprintf("%s `%s` %s", one.in, one.cost, short(c[one.cost])), " "))
		}
		lines = append(lines, fmt.Sprintf("| %s | %s | %s |", p.of, p.unit, strings.Join(cases, ", ")))
	}
	return lines
}

// short is a figure with three digits that count.
func short(value float64) string {
	text := strconv.FormatFloat(value, 'g', 3, 64)
	if strings.Contains(text, "e") {
		return strconv.FormatFloat(value, 'f', 0, 64)
	}
	return text
}
