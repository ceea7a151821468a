// Command sizing says what a mesh needs for so many events, by the costs of an event that docs/SIZING.md has.
//
//	go run ./internal/sizing -events 300e6 -body 2048 -subscribers 5
//
// The tests with the build tag sizing measure these costs, and hold predictions against what they measure:
//
//	go test -tags sizing -count=1 -timeout 30m ./internal/sizing -args -figures ../../docs/SIZING.md
package main

import (
	"errors"
	"flag"
	"fmt"
	"os"
)

func main() {
	err := run(os.Args[1:])
	if err == nil || errors.Is(err, flag.ErrHelp) {
		return
	}
	fmt.Fprintln(os.Stderr, "sizing:", err)
	os.Exit(1)
}

func run(args []string) error {
	d, document, err := parse(args)
	if err != nil {
		return err
	}
	c, err := readCosts(document)
	if err != nil {
		return err
	}
	fmt.Println(c.size(d).report())
	return nil
}

// parse reads the arguments: what is asked of the mesh, and the document with the costs.
func parse(args []string) (d demand, document string, err error) {
	d = usual(1e6)
	flags := flag.NewFlagSet("sizing", flag.ContinueOnError)
	flags.Float64Var(&d.perDay, "events", d.perDay, "`N` events a day")
	flags.Float64Var(&d.peak, "peak", d.peak, "the busiest second is `N` times the mean")
	flags.Float64Var(&d.body, "body", d.body, "`BYTES` of a body")
	flags.DurationVar(&d.retention, "retention", d.retention, "max_age of the stream")
	flags.DurationVar(&d.window, "window", d.window, "duplicate_window of the stream")
	flags.Float64Var(&d.subscribers, "subscribers", d.subscribers, "`N` subscribers that get each event, over HTTP")
	flags.Float64Var(&d.replicas, "replicas", d.replicas, "num_replicas, 1 or 3")
	flags.Float64Var(&d.perSubject, "per-subject", d.perSubject, "`N` events of one interaction and type")
	flags.Float64Var(&d.node.cores, "cores", d.node.cores, "cores of a NATS node")
	flags.Float64Var(&d.node.memory, "memory", d.node.memory, "`BYTES` of memory of a NATS node")
	flags.Float64Var(&d.node.disk, "disk", d.node.disk, "`BYTES` of disk of a NATS node")
	flags.StringVar(&document, "document", "docs/SIZING.md", "the `FILE` with the costs")
	if err := flags.Parse(args); err != nil {
		return d, "", err
	}
	if flags.NArg() > 0 {
		return d, "", fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	return d, document, d.check()
}
