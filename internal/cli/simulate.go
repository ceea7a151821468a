package cli

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/genmesh/genmesh/genesys/simulator"
)

const simulateHelp = `Be a Genesys Cloud that misbehaves: deliver the events of invented interactions, signed, at least
once, with retries after a 5xx, a 429 or no answer, and with whatever else the flags ask for.

The events go to --target, and to whoever subscribes over the API at --addr: OAuth at
/oauth/token (client id and secret "simulator"), subscriptions at
/api/v2/eventstreams/subscriptions, notification channels at /api/v2/notifications/channels. Under
/simulator the running simulator is steered and asked: faults, rate, rotate, schema, summary, ledger,
channels, channels/expire, sockets/drop, sockets/announce; PUT and POST take JSON.

At the end there is a summary, and the exit code is 1 if a delivery ended as it should not: a good
one refused or lost, a bad one taken.`

const simulateExample = `  genmesh simulate --rate 50
  genmesh simulate --count 10000 --rate 1000 --duplicate-percent 10 --forge-percent 1 --seed 7
  genmesh simulate --target "" --addr 127.0.0.1:8099
  curl -X POST -H 'Content-Type: application/json' -d '{"overlap_seconds": 0}' http://127.0.0.1:8099/simulator/rotate`

type simulateFlags struct {
	addr      string
	target    string
	secretEnv string
	rate      float64
	duration  time.Duration
	count     int
	seed      uint64
	start     string
	ledger    string
	faults    simulator.Faults

	interactions int
}

func newSimulate(p *program) *cobra.Command {
	f := new(simulateFlags)
	cmd := &cobra.Command{
		Use:     "simulate",
		Short:   "Be a Genesys Cloud that misbehaves",
		Long:    simulateHelp,
		Example: simulateExample,
		Args:    cobra.NoArgs,
		RunE:    func(cmd *cobra.Command, _ []string) error { return p.simulate(cmd, f) },
	}
	flags := cmd.Flags()
	flags.StringVar(&f.addr, "addr", "127.0.0.1:8099", "`ADDRESS` of the API, on this machine; \"\" serves none")
	flags.StringVar(&f.target, "target", defaultSendURL, "the webhook's `URL`; \"\" is only for those who subscribe")
	flags.StringVar(&f.secretEnv, "secret-env", secretVariable, "the environment `VARIABLE` that holds the target's secret; a loopback URL does without")
	flags.Float64Var(&f.rate, "rate", 10, "events per second")
	flags.DurationVar(&f.duration, "for", 0, "how long; 0 is until it is ended")
	flags.IntVarP(&f.count, "count", "n", 0, "how many events; 0 is without end")
	flags.Uint64Var(&f.seed, "seed", 0, "the same makes the same interactions again; 0 makes new ones")
	flags.StringVar(&f.start, "start", "", "the `TIME` (RFC 3339) when the interactions begin, for the same bodies again; \"\" stamps events with the time they are made")
	flags.IntVar(&f.interactions, "interactions", 0, "how many are under way at once; 0 is as many as make their times real at the rate, up to 2000")
	flags.StringVar(&f.ledger, "ledger", "", "a `FILE` for every delivery with its attempts, one line of JSON each; at most the latest 100,000")
	faultFlags(flags, &f.faults)
	p.outputFlag(cmd)
	return cmd
}

// usualFaults are what every sender that delivers at least once does now and then.
func usualFaults() simulator.Faults { return simulator.Faults{Duplicates: 5, LostAnswers: 1} }

func faultFlags(flags *pflag.FlagSet, f *simulator.Faults) {
	usual := usualFaults()
	flags.Float64Var(&f.Duplicates, "duplicate-percent", usual.Duplicates, "events that are delivered once more, byte for byte")
	flags.Float64Var(&f.Reordered, "reorder-percent", 0, "events that change places with the next one of their interaction")
	flags.Float64Var(&f.LostAnswers, "lost-answer-percent", usual.LostAnswers, "good answers that count as timed out")
	flags.Float64Var(&f.Truncated, "truncate-percent", 0, "deliveries that come beside, cut off on their way")
	flags.Float64Var(&f.Forged, "forge-percent", 0, "deliveries that come beside, signed by nobody we know")
	flags.Float64Var(&f.Unreadable, "unreadable-percent", 0, "deliveries that come beside, signed well but no JSON")
	flags.IntVar(&f.Burst, "burst", 0, "how many events may come at once")
	flags.IntVar(&f.SkewSeconds, "skew", 0, "`SECONDS` that the times of events are off")
}

func (p *program) simulate(cmd *cobra.Command, f *simulateFlags) error {
	log, err := p.logger()
	if err != nil {
		return err
	}
	options := simulator.Options{
		Addr: f.addr, Seed: f.seed, Interactions: f.interactions, Rate: f.rate, Count: f.count, Faults: f.faults, Logger: log,
	}
	if options.Start, err = parseTime("start", f.start, time.Now()); err != nil {
		return err
	}
	if f.target != "" {
		send := &sendFlags{url: f.target, secretEnv: f.secretEnv}
		secret, err := p.sendSecret(send)
		if err != nil {
			return err
		}
		options.Targets = []simulator.Target{{URL: f.target, Secret: secret}}
	}
	if options.Seed == 0 {
		options.Seed = rand.Uint64()
	}
	if f.duration < 0 {
		return errors.New("--for must not be below zero")
	}
	record, err := openLedger(f.ledger)
	if err != nil {
		return err
	}
	defer record.Close() // writeLedger tells of errors
	sim, err := simulator.New(options)
	if err != nil {
		return err
	}
	if sim.Addr() != "" {
		say(p.Err, "the simulated API is at http://%s, client id and secret are \"simulator\"", sim.Addr())
	}
	ctx := cmd.Context()
	if f.duration > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, f.duration)
		defer cancel()
	}
	if f.target != "" {
		p.warnOfNobody(ctx, f.target)
	}
	stop := p.watchSimulation(sim.Ledger())
	err = sim.Run(ctx)
	stop()
	if err != nil {
		return err
	}
	summary := sim.Ledger().Summary()
	err = p.reportSimulation(cmd.OutOrStdout(), summary, options.Seed)
	if record == nil {
		return err
	}
	if summary.Forgotten > 0 {
		say(p.Err, "the ledger has the latest deliveries only: %d before them are not in it", summary.Forgotten)
	}
	return errors.Join(err, writeLedger(record, sim.Ledger().Entries()))
}

// knockTimeout bounds how long the simulation waits for its target before it begins all the same.
const knockTimeout = 2 * time.Second

// warnOfNobody says at once if nothing answers at the target: by its retries the simulation itself would only know after half a
// minute.
func (p *program) warnOfNobody(ctx context.Context, target string) {
	u, err := url.Parse(target)
	if err != nil {
		return // the simulator says so
	}
	if proxy, err := http.ProxyFromEnvironment(&http.Request{URL: u}); err != nil || proxy != nil {
		return // it is the proxy's to reach
	}
	ctx, cancel := context.WithTimeout(ctx, knockTimeout)
	defer cancel()
	port := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if err := knock(ctx, hostPort(u, port)); err != nil {
		say(p.Err, "warning: nothing answers at %s: %v; deliveries are tried again until they are given up. "+
			"Is genmesh dev or serve running, and does --target name its address?", u.Redacted(), err)
	}
}

// watchSimulation tells about once a second how it goes, on a terminal, until the returned function
// is called.
func (p *program) watchSimulation(ledger *simulator.Ledger) (stop func()) {
	if !isTerminal(p.Err) {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		before := 0
		for {
			select {
			case <-tick.C:
				s := ledger.Summary()
				sent := s.Sent(simulator.KindEvent)
				_, _ = fmt.Fprintf(p.Err, "\r%d events (%d/s), %d duplicates, %d retries, %d given up   ",
					sent, sent-before, s.Sent(simulator.KindDuplicate), s.Retries, s.Of(simulator.KindEvent, simulator.GivenUp))
				before = sent
			case <-done:
				_, _ = io.WriteString(p.Err, "\n")
				return
			}
		}
	}()
	return func() {
		close(done)
		<-ended
	}
}

// openLedger makes the file before the simulation begins, for it may take hours; nil if there shall be
// none.
func openLedger(name string) (*os.File, error) {
	if name == "" {
		return nil, nil
	}
	return os.Create(name)
}

func writeLedger(file *os.File, entries []simulator.Entry) error {
	encoder := json.NewEncoder(file)
	for _, e := range entries {
		if err := encoder.Encode(e); err != nil {
			return err
		}
	}
	return file.Close()
}

// reportSimulation tells what became of all deliveries.
func (p *program) reportSimulation(w io.Writer, s simulator.Summary, seed uint64) error {
	if p.wantsJSON() {
		if err := writeJSON(w, s); err != nil {
			return err
		}
	} else if err := writeSimulation(w, s, seed); err != nil {
		return err
	}
	if wrong := s.Wrong(); wrong > 0 {
		what := "deliveries ended as they should not"
		if wrong == 1 {
			what = "delivery ended as it should not"
		}
		return fmt.Errorf("%d %s: --ledger FILE has all of them", wrong, what)
	}
	return nil
}

func writeSimulation(w io.Writer, s simulator.Summary, seed uint64) error {
	outcomes := []simulator.Outcome{
		simulator.Accepted, simulator.Known, simulator.Quarantined, simulator.Refused, simulator.GivenUp, simulator.Unfinished,
	}
	var t table
	head := []string{"DELIVERED", "ALL"}
	for _, o := range outcomes {
		head = append(head, string(o))
	}
	t.row(head...)
	for _, kind := range []simulator.Kind{
		simulator.KindEvent, simulator.KindDuplicate, simulator.KindTruncated, simulator.KindForged, simulator.KindUnreadable,
	} {
		if s.Sent(kind) == 0 {
			continue
		}
		row := []string{string(kind), strconv.Itoa(s.Sent(kind))}
		for _, o := range outcomes {
			row = append(row, strconv.Itoa(s.Of(kind, o)))
		}
		t.row(row...)
	}
	if err := t.write(w); err != nil {
		return err
	}
	say(w, "%d retries; --seed %d makes the same interactions again", s.Retries, seed)
	return nil
}
