package workers_test

import (
	"context"
	"fmt"
	"os"
	"os/signal"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/workers"
)

// A Go program serves a subscriber of streams.json itself. genmesh apply has made the consumer;
// the entry has no target, and the program's own function takes the events.
func Example() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	log := logrus.New()
	raw, err := os.ReadFile("streams.json")
	if err != nil {
		log.Fatal(err)
	}
	topology, err := mesh.ParseTopology(raw, mesh.ParseOptions{
		Presets: genesys.SourceDefaults(), TargetSchemes: []string{"https", "file", "log"},
	})
	if err != nil {
		log.Fatal(err)
	}
	nc, err := mesh.Connect("loyalty points", os.Getenv("NATS_URL"), log)
	if err != nil {
		log.Fatal(err)
	}
	defer nc.Close()
	js, err := mesh.JetStream(nc)
	if err != nil {
		log.Fatal(err)
	}
	letters, err := mesh.NewDeadLetters(js, topology)
	if err != nil {
		log.Fatal(err)
	}
	award := workers.HandlerFunc(func(ctx context.Context, event mesh.Event) error {
		if event.Media != "call" {
			return workers.Permanent(fmt.Errorf("no points for %s", event.Media))
		}
		return nil // any other error is tried again
	})
	runner := workers.NewRunner(workers.Options{
		JetStream: js, Subscriber: topology.Subscribers[0], Handler: award,
		DeadLetters: letters, ReplayStream: letters.Stream(), Logger: log, Metrics: workers.NewMetrics(nil),
	})
	if err := runner.Run(ctx); err != nil { // until Ctrl-C
		log.Fatal(err)
	}
}
