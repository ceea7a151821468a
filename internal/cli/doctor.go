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
something fails.

With --production it is the check before a mesh goes live, and after each change of NATS: traps that
lose events, or open the mesh to others, fail. Without, they are warnings; the mesh of genmesh dev is
not asked for them.

Some of them only the nodes of NATS can tell, as whether they fsync before they acknowledge. Give
--system-context, a context of the nats command line with a user of the system account, who may ask
all nodes at once; or --monitor for each node, where its monitoring port can be reached.`

// probeTimeout bounds one probe; they run at the same time, so it bounds the whole command too.
const probeTimeout = 10 * time.Second

// health is the outcome of a check.
type health string

const (
	healthOK   health = "ok"
	healthWarn health = "warn"
	healthFail health = "fail"
	// healthTrap is a fail in production and a warn elsewhere. It is gone once examine returns.
	healthTrap health = "trap"
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

// trapped is what loses events, or opens the mesh to others, in production.
func trapped(check, detail, remedy string) finding {
	return finding{Check: check, Status: healthTrap, Detail: detail, Remedy: remedy}
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
	// production makes traps failures.
	production bool
	nodes      nodeFlags
}

func newDoctor(p *program) *cobra.Command {
	f := new(doctorFlags)
	cmd := &cobra.Command{
		Use:   "doctor",
		Short: "Check everything that a mesh depends on",
		Long:  doctorHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings := examine(cmd.Context(), p.probes(cmd, f), f.production)
			return p.writeFindings(cmd.OutOrStdout(), findings)
		},
	}
	f.cluster.add(cmd.Flags())
	cmd.Flags().StringVar(&f.tlsCert, "tls-cert", "", "also check the webhook server's certificate, a PEM `FILE`")
	cmd.Flags().StringVar(&f.data, "data", "", "also check the free space for the data `FOLDER` of genmesh dev, or for a node's store_dir on its machine")
	cmd.Flags().BoolVar(&f.production, "production", false, "fail for what is a trap in production")
	f.nodes.add(cmd.Flags())
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
	probes = append(probes, certificateProbe(f.tlsCert), diskProbe(f.data, t))
	if !f.production && p.isMeshOfDev(&f.cluster) {
		return probes
	}
	return append(probes, p.productionProbes(cmd, f, t)...)
}

func found(findings ...finding) probe {
	return func(context.Context) []finding { return findings }
}

// examine runs all probes at once and gives their findings in the probes' order. In production traps fail.
func examine(ctx context.Context, probes []probe, production bool) []finding {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	results := make([][]finding, len(probes))
	var running sync.WaitGroup
	for i, look := range probes {
		running.Go(func() { results[i] = look(ctx) })
	}
	running.Wait()
	findings := slices.Concat(results...)
	for i := range findings {
		if findings[i].Status == healthTrap && production {
			findings[i].Status = healthFail
		} else if findings[i].Status == healthTrap {
			findings[i].Status = healthWarn
		}
	}
	return findings
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
