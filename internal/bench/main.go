// Command bench measures what genmesh costs, against what it is built on and what it replaces.
//
//	go run ./internal/bench [-rounds 5] [-duration 1s] [-quick] [-write README.md]
//
// Everything runs in this process, over loopback and on an embedded nats-server that fsyncs
// before it acknowledges. The variants take turns, round by round, so that whatever else the
// machine does meets them all; what is reported are ratios within a round. Absolute figures
// belong to the machine, and the load generator shares it. The server's data is in the folder for
// temporary files: TMPDIR chooses the disk, and a memory disk makes every fsync free.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/internal/telemetry"
)

// settings is what a run is made of.
type settings struct {
	rounds   int
	duration time.Duration // of one variant in one round
	log      logrus.FieldLogger
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:])
	interrupted := ctx.Err() != nil
	stop()
	switch {
	case err == nil || errors.Is(err, flag.ErrHelp):
		return
	case interrupted:
		fmt.Fprintln(os.Stderr, "bench: interrupted")
	default:
		fmt.Fprintln(os.Stderr, "bench:", err)
	}
	os.Exit(1)
}

func run(ctx context.Context, args []string) error {
	s, file, err := parse(args)
	if err != nil {
		return err
	}
	if file != "" {
		if err := checkFile(file); err != nil {
			return err // now, and not after minutes
		}
	}
	if s.log, err = telemetry.NewLogger(os.Stderr, "warn", telemetry.FormatText, false); err != nil {
		return err
	}
	report, err := measure(ctx, s)
	if err != nil {
		return err
	}
	fmt.Print(report)
	if file == "" {
		return nil
	}
	return replaceInFile(file, report)
}

// parse reads the arguments: how to measure, and the file that the report goes into.
func parse(args []string) (s settings, file string, err error) {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.IntVar(&s.rounds, "rounds", 5, "measure every variant `N` times")
	flags.DurationVar(&s.duration, "duration", time.Second, "how long a variant is measured in a round")
	quick := flags.Bool("quick", false, "2 rounds of 300ms: shows that all works, not how fast it is")
	flags.StringVar(&file, "write", "", "replace what stands between the bench markers of `FILE`")
	if err := flags.Parse(args); err != nil {
		return s, file, err
	}
	if *quick {
		s.rounds, s.duration = 2, 300*time.Millisecond
	}
	switch {
	case flags.NArg() > 0:
		return s, file, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	case s.rounds < 1 || s.rounds > 100 || s.duration < 50*time.Millisecond || s.duration > time.Minute:
		return s, file, fmt.Errorf("-rounds %d -duration %s: 1 to 100 rounds of 50ms to 1m can be measured", s.rounds, s.duration)
	}
	return s, file, nil
}

// measure runs all parts and returns the report.
func measure(ctx context.Context, s settings) (string, error) {
	var ingests []ingestResult
	for _, connections := range []int{64, 256} {
		result, err := measureIngest(ctx, s, connections)
		if err != nil {
			return "", fmt.Errorf("ingest at %d connections: %w", connections, err)
		}
		ingests = append(ingests, result)
	}
	deliveries, err := measureDelivery(ctx, s)
	if err != nil {
		return "", fmt.Errorf("delivery: %w", err)
	}
	return newReport(s, ingests, deliveries), nil
}
