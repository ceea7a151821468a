package cli

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

const doctorHelp = `Check streams.json, secrets, subscriptions, NATS, consumers, targets, certificates, clock and disk.

Nothing is changed. Each line says ok, warn or fail, and what to do about it. The exit code is 1 if
something fails.`

// probeTimeout bounds one probe; they run at the same time, so it bounds the whole command too.
const probeTimeout = 10 * time.Second

// health is the outcome of a check.
type health string

const (
	healthOK   health = "ok"
	healthWarn health = "warn"
	healthFail health = "fail"
)

// finding is one line of genmesh doctor.
type finding struct {
	Check  string `json:"check"`
	Status health `json:"status"`
	Detail string `json:"detail"`
	// Remedy says what to do; "" where all is well.
	Remedy string `json:"remedy,omitempty"`
}

func good(check, format string, args ...any) finding {
	return finding{Check: check, Status: healthOK, Detail: fmt.Sprintf(format, args...)}
}

func doubtful(check, detail, remedy string) finding {
	return finding{Check: check, Status: healthWarn, Detail: detail, Remedy: remedy}
}

func broken(check string, err error, remedy string) finding {
	return finding{Check: check, Status: healthFail, Detail: plainly(err), Remedy: remedy}
}

// probe looks at one thing. It returns when ctx ends.
type probe func(ctx context.Context) []finding

type doctorFlags struct {
	cluster clusterFlags
	tlsCert string
	data    string
}

func newDoctor(p *program) *cobra.Command {
	f := new(doctorFlags)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything that a mesh depends on",
		Long:  doctorHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := examine(cmd.Context(), p.probes(cmd, f))
			return p.writeFindings(cmd.OutOrStdout(), findings)
		},
	}
	f.cluster.add(cmd.Flags())
	cmd.Flags().StringVar(&f.tlsCert, "tls-cert", "", "also check the webhook server's certificate, a PEM `FILE`")
	cmd.Flags().StringVar(&f.data, "data", "", "also check the free space for the data `FOLDER` of genmesh dev")
	p.outputFlag(cmd)
	return cmd
}

// probes are all that can be looked at: without a valid streams.json that is less.
func (p *program) probes(cmd *cobra.Command, f *doctorFlags) []probe {
	t, err := p.topology(cmd)
	if err != nil {
		return []probe{
			found(broken("streams.json", err, "correct the file; genmesh validate checks it alone")),
			p.clusterProbe(f, nil),
			certificateProbe(f.tlsCert),
		}
	}
	probes := []probe{
		found(good("streams.json", "%s, %s, %s", plural(len(t.Sources), "source"),
			plural(len(t.Streams), "stream"), plural(len(t.Subscribers), "subscriber"))),
		found(boundFindings(t)...),
	}
	for _, s := range t.Sources {
		probes = append(probes, p.keyProbes(s, &f.cluster)...)
	}
	probes = append(probes, p.clusterProbe(f, t))
	for _, s := range t.Subscribers {
		probes = append(probes, p.credentialsProbe(t, s), targetProbe(s))
	}
	return append(probes, certificateProbe(f.tlsCert), diskProbe(f.data, t))
}

func found(findings ...finding) probe {
	return func(context.Context) []finding { return findings }
}

// examine runs all probes at once and gives their findings in the probes' order.
func examine(ctx context.Context, probes []probe) []finding {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	results := make([][]finding, len(probes))
	var running sync.WaitGroup
	for i, look := range probes {
		running.Go(func() { results[i] = look(ctx) })
	}
	running.Wait()
	return slices.Concat(results...)
}

func (p *program) writeFindings(w io.Writer, findings []finding) error {
	if p.wantsJSON() {
		if err := writeJSON(w, findings); err != nil {
			return err
		}
	} else {
		writeChecklist(w, findings)
	}
	if slices.ContainsFunc(findings, func(f finding) bool { return f.Status == healthFail }) {
		return exitCode(exitError)
	}
	return nil
}

func writeChecklist(w io.Writer, findings []finding) {
	width := 0
	for _, f := range findings {
		width = max(width, len(f.Check))
	}
	for _, f := range findings {
		text := strings.ReplaceAll(f.Detail, "\n", " · ")
		if f.Remedy != "" {
			text += " — " + f.Remedy
		}
		say(w, "%-4s  %-*s  %s", f.Status, width, f.Check, text)
	}
}
