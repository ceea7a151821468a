package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// plain are costs with which one can reckon in one's head.
func plain() costs {
	return costs{
		ingressCPU: 200, ingressKiB: 10, ingressR3: 250, storeCPU: 50, storeKiB: 10, storeR3: 150, storeR3KiB: 30, leadR3: 75,
		deliverCPU: 100, deliverKiB: 10, deliverR3: 100, readCPU: 20, readKiB: 2, readR3: 60, envelope: 376, onDisk: 1, written: 2, writtenR3: 4,
		idHeap: 100, subjectHeap: 200, resident: 2, retried: 8, ofWorkers: 50, ofSubscriber: 100, ofConsumer: 50, startEmpty: 1, startStored: 0.5, startKnown: 4,
	}
}

// TestADayOfEvents reckons one demand by hand.
func TestADayOfEvents(t *testing.T) {
	d := usual(86.4e6)
	n := plain().size(d)
	assert.InDelta(t, 1000, n.mean, 1e-9)
	assert.InDelta(t, 3000, n.busiest, 1e-9)
	assert.InDelta(t, 0.75, n.ingressCores, 1e-9, "3,000 × 250 µs")
	assert.InDelta(t, 0.9, n.workerCores, 1e-9, "3,000 × 3 × 100 µs")
	assert.InDelta(t, 0.99, n.natsCores, 1e-9, "3,000 × (150 + 3 × 60) µs")
	assert.InDelta(t, 604.8e6, n.stored(), 1)
	assert.InDelta(t, 21.6e6, n.inWindow(), 1, "two hours of the busiest second")
	assert.InDelta(t, 604.8e6*1400*3, n.disk, 1e3)
	assert.InDelta(t, 21.6e6*100*2*3, n.ids, 1e3)
	assert.InDelta(t, 604.8e6/5*200*2*3, n.subjects, 1e3)
	assert.InDelta(t, 6666.7, n.perGroup, 0.1, "half of a processor, 75 µs an event")
	assert.EqualValues(t, 6, n.nodes, "158 GB of memory, at most 41 on each, and as much on each as on the others")
	assert.EqualValues(t, 2, n.groups, "one would do for 3,000 a second, and leave three nodes without any")
	assert.EqualValues(t, 2, n.ingresses)
	assert.InDelta(t, 3000*1400*8, n.network, 1e-6, "in once, out and in twice, out three times")
	assert.InDelta(t, 1+(604.8*0.5+21.6*4)/2, n.start, 1e-6)
	assert.Equal(t, "memory", n.first().name)
}

// TestMoreTakesMore: whatever grows in a demand, nothing that it takes gets less.
func TestMoreTakesMore(t *testing.T) {
	base := plain().size(usual(100e6))
	for what, grow := range map[string]func(*demand){
		"events":      func(d *demand) { d.perDay *= 7 },
		"peak":        func(d *demand) { d.peak *= 2 },
		"body":        func(d *demand) { d.body *= 16 },
		"retention":   func(d *demand) { d.retention *= 4 },
		"window":      func(d *demand) { d.window *= 12 },
		"subscribers": func(d *demand) { d.subscribers = 20 },
	} {
		d := usual(100e6)
		grow(&d)
		n := plain().size(d)
		for _, pair := range [][2]float64{
			{base.groups, n.groups}, {base.nodes, n.nodes}, {base.ingressCores, n.ingressCores}, {base.natsCores, n.natsCores}, {base.workerCores, n.workerCores},
			{base.memory, n.memory}, {base.disk, n.disk}, {base.network, n.network}, {base.written, n.written},
		} {
			assert.GreaterOrEqual(t, pair[1], pair[0], what)
		}
	}
}

func TestAWrongDemandIsRefused(t *testing.T) {
	for _, args := range []string{"-events 0", "-peak 0.5", "-replicas 2", "-window 0s", "-window 200h", "-body 0", "-per-subject 0", "-cores 0", "surplus"} {
		_, _, err := parse(strings.Fields(args))
		assert.Error(t, err, args)
	}
	d, _, err := parse(strings.Fields("-events 300e6 -body 2048 -window 30m -subscribers 5"))
	require.NoError(t, err)
	assert.Equal(t, 300e6, d.perDay)
	assert.Equal(t, 30*time.Minute, d.window)
}
