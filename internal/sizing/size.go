package main

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// demand is what is asked of a mesh.
type demand struct {
	perDay      float64 // events
	peak        float64 // the busiest second, to the mean
	body        float64 // bytes
	retention   time.Duration
	window      time.Duration
	subscribers float64 // each gets each event
	replicas    float64
	perSubject  float64 // events that share a subject: of one interaction, type and media
	node        node
}

// node is a machine that nats-server has for itself.
type node struct{ cores, memory, disk float64 }

// How full a machine may be: the rest is for another node's work while that one is away, for what comes after an outage, and for
// what no calculation knows.
const (
	mostCPU    = 0.5
	mostMemory = 0.6
	mostDisk   = 0.7
	// mostStreams of sources and mostSubscribers fit into one streams.json: 64 streams are allowed, and five that ship keep other things.
	mostStreams, mostSubscribers = 64 - 5, 256
	// coresOfProcess is what an ingress or worker process gets.
	coresOfProcess = 4
)

const (
	gib = 1 << 30
	tib = 1 << 40
)

// usual is the demand of the document's table.
func usual(perDay float64) demand {
	return demand{
		perDay: perDay, peak: 3, body: 1024, retention: 7 * 24 * time.Hour, window: 2 * time.Hour,
		subscribers: 3, replicas: 3, perSubject: 5,
		node: node{cores: 16, memory: 64 * gib, disk: 4 * tib},
	}
}

func (d demand) check() error {
	switch {
	case d.perDay <= 0 || d.peak < 1 || d.body <= 0 || d.perSubject < 1 || d.subscribers < 0:
		return fmt.Errorf("%g events a day of %g bytes, peak %g, %g to a subject, %g subscribers: "+
			"events and bytes are above 0, peak and events to a subject 1 or more",
			d.perDay, d.body, d.peak, d.perSubject, d.subscribers)
	case d.replicas != 1 && d.replicas != 3:
		return fmt.Errorf("-replicas %g: costs are measured for 1 and 3", d.replicas)
	case d.window <= 0 || d.retention < d.window:
		return fmt.Errorf("-window %s -retention %s: JetStream wants a window above 0 that is no longer than the retention", d.window, d.retention)
	case d.node.cores <= 0 || d.node.memory <= 0 || d.node.disk <= 0:
		return fmt.Errorf("a node of %g cores, %g bytes of memory and %g bytes of disk stores nothing", d.node.cores, d.node.memory, d.node.disk)
	}
	return nil
}

// need is what a demand takes.
type need struct {
	demand
	mean, busiest float64 // events per second
	groups        float64 // streams, each a Raft group if it is replicated
	perGroup      float64 // events per second that a group is planned for
	// Cores in use at the peak, of all processes of a kind.
	ingressCores, natsCores, workerCores float64
	ingresses, workers, nodes, meshes    float64 // processes, machines, and streams.json
	memory, disk                         float64 // of all nodes, bytes
	ids, subjects                        float64 // of that memory
	written, network                     float64 // of all nodes, bytes per second at the peak
	start                                float64 // seconds, of a node
}

// size computes what d takes.
func (c costs) size(d demand) need {
	n := need{demand: d, mean: d.perDay / (24 * time.Hour).Seconds()}
	n.busiest = n.mean * d.peak
	c.compute(&n)
	c.remember(&n)
	c.keep(&n)
	n.perGroup = mostCPU / c.serial(d) * 1e6
	n.nodes = max(d.replicas, math.Ceil(n.natsCores/mostCPU/d.node.cores),
		math.Ceil(n.memory/mostMemory/d.node.memory), math.Ceil(n.disk/mostDisk/d.node.disk))
	c.even(&n)
	n.meshes = math.Ceil(max(n.groups/mostStreams, n.groups*d.subscribers/mostSubscribers))
	n.ingresses = max(2, math.Ceil(n.ingressCores/mostCPU/coresOfProcess))
	n.workers = max(2, math.Ceil(n.workerCores/mostCPU/coresOfProcess))
	n.start = c[startEmpty] + (c[startStored]*n.stored()+c[startKnown]*n.inWindow())/1e6*d.replicas/n.nodes
	return n
}

// even rounds nodes and streams up until each node has as many replicas as the others: a stream is on no more nodes than it has replicas.
func (c costs) even(n *need) {
	sets := math.Ceil(n.nodes / n.replicas)
	n.nodes = sets * n.replicas
	n.groups = sets * math.Ceil(n.busiest/n.perGroup/sets)
}

// more is a cost at 1 KiB and what each further KiB adds, for a body.
func (c costs) more(base, perKiB cost, body float64) float64 {
	return c[base] + c[perKiB]*(body/1024-1)
}

// compute is the processor time at the peak.
func (c costs) compute(n *need) {
	ingress, store, deliver, read := ingressCPU, c.more(storeCPU, storeKiB, n.body), deliverCPU, readCPU
	if n.replicas > 1 {
		ingress, store, deliver, read = ingressR3, c.more(storeR3, storeR3KiB, n.body), deliverR3, readR3
	}
	n.ingressCores = n.busiest * c.more(ingress, ingressKiB, n.body) / 1e6
	n.workerCores = n.busiest * n.subscribers * c.more(deliver, deliverKiB, n.body) / 1e6
	n.natsCores = n.busiest * (store + n.subscribers*c.more(read, readKiB, n.body)) / 1e6
}

// serial is the processor time of an event on the leader of its stream. Not all of it is one after another, but what is can't be told apart from
// outside: so a group is planned as if all of it were.
func (c costs) serial(d demand) float64 {
	if d.replicas == 1 {
		return c.more(storeCPU, storeKiB, d.body)
	}
	return c.more(storeR3, storeR3KiB, d.body) * c[leadR3] / c[storeR3]
}

func (n need) stored() float64   { return n.perDay * n.retention.Hours() / 24 }
func (n need) inWindow() float64 { return min(n.stored(), n.busiest*n.window.Seconds()) }

// remember is the memory of all nodes: a window at the peak, and all that is stored.
func (c costs) remember(n *need) {
	times := n.replicas * c[resident]
	n.ids = n.inWindow() * c[idHeap] * times
	n.subjects = n.stored() / n.perSubject * c[subjectHeap] * times
	n.memory = n.ids + n.subjects
}

// keep is what goes to disks and over the network.
func (c costs) keep(n *need) {
	event := n.body + c[envelope]
	n.disk = n.stored() * event * c[onDisk] * n.replicas
	times := c[written]
	if n.replicas > 1 {
		times = c[writtenR3]
	}
	n.written = n.busiest * event * times * n.replicas
	n.network = n.busiest * event * (1 + 2*(n.replicas-1) + n.subscribers) // in, out and in of each replica, out to workers
}

// limit is one that a mesh of the least size would meet, and how far beyond it the demand is.
type limit struct {
	name  string
	times float64
}

// first is the limit that the least mesh, one stream on as many nodes as it has replicas, would meet first.
func (n need) first() limit {
	least := n.replicas
	var first limit
	for _, l := range []limit{
		{"one stream", n.busiest / n.perGroup},
		{"processors", n.natsCores / (least * n.node.cores * mostCPU)},
		{"memory", n.memory / (least * n.node.memory * mostMemory)},
		{"disk", n.disk / (least * n.node.disk * mostDisk)},
	} {
		if l.times > first.times {
			first = l
		}
	}
	return first
}

// head are the columns of row.
func head() []string {
	return []string{
		"| events a day | busiest second | NATS nodes | streams | meshes | memory of a node | disk of a node " +
			"| cores in use: NATS, ingress, workers | processes: ingress, workers | fullest on the least mesh |",
		"|--:|--:|--:|--:|--:|--:|--:|--:|--:|---|",
	}
}

// row is the need as a line of the document's table.
func (n need) row(name string) string {
	first := n.first()
	return fmt.Sprintf("| %s | %s | %.0f | %.0f | %.0f | %s | %s | %s, %s, %s | %.0f, %.0f | %s, %s |",
		name, count(n.busiest), n.nodes, n.groups, n.meshes, n.each(n.memory), n.each(n.disk),
		cores(n.natsCores), cores(n.ingressCores), cores(n.workerCores), n.ingresses, n.workers, first.name, percent(first.times))
}

// each is a node's part of what all of them have.
func (n need) each(all float64) string { return inBytes(all / n.nodes) }

// report is the need for a reader at a terminal.
func (n need) report() string {
	first := n.first()
	lines := []string{
		fmt.Sprintf("events           %s a second in the mean, %s in the busiest one", count(n.mean), count(n.busiest)),
		fmt.Sprintf("                 %s stored, %s in the duplicate window", count(n.stored()), count(n.inWindow())),
		fmt.Sprintf("streams          %.0f, each for at most %s events a second, num_replicas %.0f", n.groups, count(n.perGroup), n.replicas),
		fmt.Sprintf("meshes           %.0f, each with a streams.json of its own", n.meshes),
		fmt.Sprintf("NATS nodes       %.0f of %g cores, %s of memory and %s of disk", n.nodes, n.node.cores, inBytes(n.node.memory), inBytes(n.node.disk)),
		fmt.Sprintf("  cores          %s in use at the peak, of all nodes", cores(n.natsCores)),
		fmt.Sprintf("  memory         %s on each: %s ids, %s subjects", n.each(n.memory), n.each(n.ids), n.each(n.subjects)),
		fmt.Sprintf("  disk           %s on each; written at the peak %s/s on each", n.each(n.disk), n.each(n.written)),
		fmt.Sprintf("  network        %s/s at the peak on each, in and out", n.each(n.network)),
		fmt.Sprintf("  start          %s until a node is ready again", (time.Duration(n.start * float64(time.Second))).Round(time.Second)),
		fmt.Sprintf("max_bytes        %s for all streams together", inBytes(n.disk/n.replicas)),
		fmt.Sprintf("ingress          %.0f processes of %d cores; %s cores in use at the peak", n.ingresses, coresOfProcess, cores(n.ingressCores)),
		fmt.Sprintf("workers          %.0f processes of %d cores; %s cores in use at the peak", n.workers, coresOfProcess, cores(n.workerCores)),
		fmt.Sprintf("fullest first    %s: on the least mesh %s of what is planned for", first.name, percent(first.times)),
	}
	return strings.Join(lines, "\n")
}

func percent(times float64) string {
	switch {
	case times < 0.01:
		return "below 1 %"
	case times < 10:
		return short(times*100) + " %"
	}
	return short(times) + " times"
}

func cores(n float64) string {
	if n < 0.1 {
		return "below 0.1"
	}
	return short(n)
}

func count(n float64) string   { return scaled(n, 1000, "", " k", " M", " G", " T") }
func inBytes(n float64) string { return scaled(n, 1024, " B", " KiB", " MiB", " GiB", " TiB", " PiB") }

// scaled is a figure of three digits at most, and the unit that makes it so.
func scaled(n, by float64, units ...string) string {
	i := 0
	for n >= by*0.9995 && i < len(units)-1 {
		n /= by
		i++
	}
	return short(n) + units[i]
}

// sizes is the document's table: what a reader can use at once.
func (c costs) sizes() []string {
	lines := head()
	for _, perDay := range []float64{1e6, 10e6, 100e6, 1e9, 10e9} {
		lines = append(lines, c.size(usual(perDay)).row(count(perDay)))
	}
	for _, perDay := range []float64{1e9, 10e9} {
		lines = append(lines, c.size(withoutInteractions(perDay)).row(count(perDay)+" ¹"))
	}
	return lines
}

// withoutInteractions is the usual demand with subjects that hold no interaction, and a shorter window.
func withoutInteractions(perDay float64) demand {
	d := usual(perDay)
	d.perSubject, d.window = math.Inf(1), 15*time.Minute
	return d
}
