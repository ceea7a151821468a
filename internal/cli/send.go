package cli

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/genesys/simulator"
)

const (
	genesysPreset  = "genesys"
	defaultSendURL = "http://127.0.0.1:8080/webhooks/genesys"
	// maxSendBytes bounds the file that is sent: well above what any source takes, so that a
	// refusal can be tried out.
	maxSendBytes     = 16 << 20
	maxSendCount     = 100_000_000
	maxConcurrency   = 4096
	usualConcurrency = 16
	livesPerLane     = 8
)

const sendHelp = `Sign events as their sender does and post them to a webhook.

The event is that of FILE, of stdin if FILE is "-", or one that is made up: the lives of calls, chats
and e-mails, from beginning to end. Events of one interaction are sent in order. Nothing is sent
again after an error; what went wrong is counted.

--source names a source of streams.json: its path, its verification and its secret are used, and
what is made up is the sample delivery of its preset, each time the same.`

const sendExample = `  genmesh send
  genmesh send event.json
  genmesh send --source eventbridge
  genmesh send --count 100000 --concurrency 64 --duplicate-percent 5
  GENMESH_URL=https://mesh.example.com/webhooks/genesys genmesh send --rate 10 --count 600`

type sendFlags struct {
	source           string
	url              string
	secretEnv        string
	count            int
	rate             float64
	concurrency      int
	duplicatePercent float64
	seed             uint64
}

func newSend(p *program) *cobra.Command {
	f := new(sendFlags)
	cmd := &cobra.Command{
		Use:     "send [FILE|-]",
		Short:   "Sign events and post them to a webhook",
		Long:    sendHelp,
		Example: sendExample,
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return err
			}
			return p.send(cmd, f, args)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.url, "url", defaultSendURL, "the webhook's `URL`; with --source its path is the source's unless it has one")
	flags.StringVar(&f.source, "source", "", "sign as the source `NAME` of streams.json wants it")
	flags.StringVar(&f.secretEnv, "secret-env", secretVariable, "the environment `VARIABLE` that holds the secret; a loopback URL does without")
	flags.IntVarP(&f.count, "count", "n", 1, "how many events")
	flags.Float64Var(&f.rate, "rate", 0, "requests per second; 0 is as fast as they are answered")
	flags.IntVarP(&f.concurrency, "concurrency", "c", usualConcurrency, "how many requests at once")
	flags.Float64Var(&f.duplicatePercent, "duplicate-percent", 0, "how many events, in `PERCENT`, are sent a second time, byte for byte")
	flags.Uint64Var(&f.seed, "seed", 0, "with the same --count and --concurrency it makes the same interactions again; 0 makes new ones")
	p.outputFlag(cmd)
	return cmd
}

func (f *sendFlags) check() error {
	u, err := url.Parse(f.url)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https":
		return errors.New("--url is no http or https URL")
	case f.count < 1 || f.count > maxSendCount:
		return fmt.Errorf("--count must be 1 to %d", maxSendCount)
	case f.rate < 0:
		return errors.New("--rate must not be below zero")
	case f.concurrency < 1 || f.concurrency > maxConcurrency:
		return fmt.Errorf("--concurrency must be 1 to %d", maxConcurrency)
	case f.duplicatePercent < 0 || f.duplicatePercent > 100:
		return errors.New("--duplicate-percent must be 0 to 100")
	}
	if f.seed == 0 {
		f.seed = rand.Uint64()
	}
	f.concurrency = min(f.concurrency, f.count)
	return nil
}

func (p *program) send(cmd *cobra.Command, f *sendFlags, args []string) error {
	way, err := p.sendWay(cmd, f)
	if err != nil {
		return err
	}
	events, err := p.events(f, way, args)
	if err != nil {
		return err
	}
	s := newSender(f, way, "genmesh/"+p.Version)
	s.bar = newProgress(p.Err, f.count, "sending")
	began := time.Now()
	err = s.run(cmd.Context(), events)
	s.bar.end()
	summary := s.tally.summary(time.Since(began), f.seed)
	if p.wantsJSON() {
		err = errors.Join(err, writeJSON(cmd.OutOrStdout(), summary))
	} else {
		summary.writeText(cmd.OutOrStdout())
	}
	if err != nil {
		return err
	}
	if bad := summary.Refused + summary.Failed; bad > 0 {
		return fmt.Errorf("%s of %d went wrong; the first: %s", plural(bad, "request"), summary.Requests, s.tally.firstError)
	}
	return nil
}

func isLoopback(rawURL string) bool {
	u, err := url.Parse(rawURL)
	if err != nil {
		return false
	}
	ip := net.ParseIP(u.Hostname())
	return u.Hostname() == "localhost" || ip != nil && ip.IsLoopback()
}

// events gives each lane its bodies to send, one by one and without end.
func (p *program) events(f *sendFlags, way sendWay, args []string) (func(lane uint64) func() []byte, error) {
	switch {
	case len(args) == 1:
		body, err := p.readEvent(args[0])
		return always(body), err
	case !way.lives && way.sample == nil:
		return nil, fmt.Errorf("the source %s has no preset to make up an event of: name a FILE", f.source)
	case !way.lives:
		return always(way.sample), nil
	}
	return func(lane uint64) func() []byte {
		script := simulator.NewScript(simulator.ScriptOptions{Seed: f.seed + lane, Interactions: livesPerLane})
		return func() []byte { return script.Next().Body }
	}, nil
}

func always(body []byte) func(lane uint64) func() []byte {
	return func(uint64) func() []byte { return func() []byte { return body } }
}

func (p *program) readEvent(name string) ([]byte, error) {
	input := p.In
	if name != "-" {
		file, err := os.Open(name)
		if err != nil {
			return nil, err
		}
		defer file.Close() // only read
		input = file
	}
	body, err := io.ReadAll(io.LimitReader(input, maxSendBytes+1))
	if err != nil {
		return nil, fmt.Errorf("read the event from %s: %w", name, err)
	}
	if len(body) > maxSendBytes {
		return nil, fmt.Errorf("the event in %s has more than %d bytes", name, maxSendBytes)
	}
	return body, nil
}
