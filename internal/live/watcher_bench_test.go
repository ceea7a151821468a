//go:build unix

package live

import (
	"fmt"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/workers"
)

// BenchmarkSample is what a sample costs with a hundred subscribers of four partitions each, which all keep up, are all paused at one
// place, or all fall behind, so that each sample has to ask for the oldest events. The processor time is that of the process, with the
// server in it; the bytes are what the watcher holds in the end.
func BenchmarkSample(b *testing.B) {
	for _, name := range []string{"keep-up", "stand", "fall-behind"} {
		b.Run(name, func(b *testing.B) { benchmarkSample(b, name) })
	}
}

func benchmarkSample(b *testing.B, name string) {
	const subscribers = 100
	var all []string
	for i := range subscribers {
		all = append(all, subscriber(fmt.Sprintf("s%d", i), `, "partitions": 4`))
	}
	v := newTown(b, strings.Join(all, ","))
	began := time.Now()
	for i := range 3 {
		p := startProcess(b, fmt.Sprint(i), 0)
		for s := range subscribers {
			for _, outcome := range []string{"delivered", "failed", "rejected", "waits"} {
				p.attempts.WithLabelValues(fmt.Sprintf("s%d", s), outcome).Inc()
			}
			p.deliver(fmt.Sprintf("s%d", s), 1)
		}
		v.processes = append(v.processes, &worker{id: p.id, began: began, registry: p.registry, metrics: workers.NewMetrics(nil)})
	}
	if name != "keep-up" {
		v.publish("interaction", 200)
	}
	for range MaxSeries {
		v.watcher.sample(b.Context())
	}
	b.ReportAllocs()
	b.ResetTimer()
	spent := processorTime(b)
	for range b.N {
		if name == "fall-behind" {
			for _, m := range v.watcher.subscribers {
				for _, mark := range m.consumers {
					mark.known.Sequence = 0 // as if the consumer had passed it
				}
			}
		}
		v.watcher.sample(b.Context())
	}
	b.ReportMetric(float64((processorTime(b)-spent).Microseconds())/1000/float64(b.N), "cpu-ms/op")
	b.StopTimer()
	require.Empty(b, v.watcher.Snapshot().Problem)
	after := heap()
	w := v.watcher
	*w = Watcher{Options: w.Options, began: w.began, looked: w.looked}
	b.ReportMetric(float64(after-min(heap(), after))/1024, "held-KB")
}

func heap() uint64 {
	runtime.GC()
	var stats runtime.MemStats
	runtime.ReadMemStats(&stats)
	return stats.HeapAlloc
}

func processorTime(b *testing.B) time.Duration {
	var usage syscall.Rusage
	require.NoError(b, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}
