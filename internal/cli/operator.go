package cli

import (
	"context"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/console/api"
	"github.com/genmesh/genmesh/internal/processes"
	"github.com/genmesh/genmesh/mesh"
)

// operatorFlags say how to reach a mesh: NATS itself, or a console.
type operatorFlags struct {
	clusterFlags
	consoleURL string
	tokenFile  string
	consoleCA  string
}

func (f *operatorFlags) add(flags *pflag.FlagSet) {
	f.clusterFlags.add(flags)
	flags.StringVar(&f.consoleURL, "console-url", "", "go through the console at the `URL` instead of to NATS; then no streams.json is needed here")
	flags.StringVar(&f.tokenFile, "console-token-file", "", "a `FILE` with a token for the console (or in env "+tokenVariable+")")
	flags.StringVar(&f.consoleCA, "console-ca", "", "the authority that signed the console's certificate, a PEM `FILE`")
}

// operating is what a command on a mesh works with.
type operating struct {
	admin.Operator
	who mesh.Actor // zero through a console, which knows by itself who asks
}

func (op operating) throughConsole() bool {
	_, is := op.Operator.(*api.Client)
	return is
}

func (op operating) by(reason string) admin.By { return admin.By{Who: op.who, Reason: reason} }

// withOperator runs a command on a mesh.
func (p *program) withOperator(cmd *cobra.Command, f *operatorFlags, run func(context.Context, operating) error) error {
	op, end, err := p.operator(cmd, f)
	if err != nil {
		return err
	}
	defer end()
	if err = run(cmd.Context(), op); op.throughConsole() {
		err = f.remedied(err, p.LookupEnv)
	}
	return err
}

// operator is who acts on the mesh: on NATS itself, or through a console. The caller calls end.
func (p *program) operator(cmd *cobra.Command, f *operatorFlags) (op operating, end func(), err error) {
	throughConsole, err := f.throughConsole(cmd.Flags())
	switch {
	case err != nil:
		return op, nil, err
	case throughConsole:
		op.Operator, err = p.consoleClient(f)
		return op, func() {}, err
	}
	t, err := p.topology(cmd)
	if err != nil {
		return op, nil, err
	}
	log, err := p.logger()
	if err != nil {
		return op, nil, err
	}
	nc, js, err := p.connect(&f.clusterFlags)
	if err != nil {
		return op, nil, err
	}
	op.who = actorOf(nc)
	op.Operator = admin.NewDirect(admin.DirectOptions{
		JetStream: js, Topology: func() *mesh.Topology { return t }, Logger: log, Waits: p.sayWaits, Processes: processes.NewAsker(nc),
	})
	return op, nc.Close, nil
}

// warnUnaudited says that a change is not in the audit, if it should be.
func (p *program) warnUnaudited(trail admin.Trail) {
	if trail.AuditProblem != "" {
		say(p.Err, "warning: this is not audited: %s", trail.AuditProblem)
	}
}

// warnNoAudit says so, too, where no audit is kept.
func (p *program) warnNoAudit(trail admin.Trail) {
	if p.warnUnaudited(trail); !trail.Audited && trail.AuditProblem == "" {
		say(p.Err, `warning: this is not audited: streams.json has no stream that takes "audit.>"`)
	}
}
