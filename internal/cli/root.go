package cli

import (
	"fmt"
	"io"

	"github.com/sirupsen/logrus"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"golang.org/x/term"

	"github.com/genmesh/genmesh/internal/telemetry"
)

// program is what all commands share: the process around them and the global flags.
type program struct {
	Process
	streams   string
	logLevel  string
	logFormat string
	output    string
}

const rootHelp = `genmesh takes signed webhooks of Genesys Cloud, stores each event once in NATS JetStream and
hands it to every subscriber that streams.json names.

Every flag can also be given in the environment, as GENMESH_ and its name in capitals:
--log-level is GENMESH_LOG_LEVEL. A flag wins over the environment, the environment over the
default; an empty variable counts as unset. The variables of the nats command line (NATS_URL, NATS_CREDS, NATS_CONTEXT ...) work
as well. What operators do goes straight to NATS, or through a console with --console-url.

Exit codes: 0 all is well, 1 an error or wrong usage, 2 something would change or has
changed, or a subscriber would not get an event: plan, schema drift, try,
genesys subscriptions sync --dry-run.`

const rootExample = `  genmesh dev                     everything in one process, on this machine
  genmesh send                    one signed event to it
  genmesh dead list               what a subscriber could not take
  genmesh plan && genmesh serve   against a cluster`

// newRoot is the whole command tree.
func newRoot(process Process) *cobra.Command {
	p := &program{Process: process}
	root := &cobra.Command{
		Use:           "genmesh",
		Short:         "An event mesh for Genesys Cloud on NATS JetStream",
		Long:          rootHelp,
		Example:       rootExample,
		Args:          cobra.NoArgs,
		RunE:          showHelp,
		SilenceErrors: true, // report shows them
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			return fromEnvironment(cmd.Flags(), p.LookupEnv)
		},
	}
	p.globalFlags(root.PersistentFlags())
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return fmt.Errorf("%w; see %s --help", err, cmd.CommandPath())
	})
	root.AddCommand(
		newDev(p), newServe(p),
		newValidate(p), newPlan(p), newApply(p), newSchema(p),
		newSend(p), newSimulate(p), newPresets(p), newGenesys(p), newDoctor(p), newVersion(p),
		newDead(p), newQuarantine(p), newTimeline(p), newErase(p),
		newSubscriber(p), newReplay(p), newAudit(p), newScrub(p), newConsole(p),
		newTry(p), newExplain(p), newListen(p),
	)
	nameArguments(root)
	return root
}

func showHelp(cmd *cobra.Command, _ []string) error { return cmd.Help() }

// defaultStreams is the file that commands use if nobody names one.
const defaultStreams = "streams.json"

func (p *program) globalFlags(flags *pflag.FlagSet) {
	flags.StringVar(&p.streams, "streams", defaultStreams, "the `FILE` that names sources, streams and subscribers")
	flags.StringVar(&p.logLevel, "log-level", "info", "debug, info, warn or error")
	flags.StringVar(&p.logFormat, "log-format", telemetry.FormatAuto, "auto, text or json; auto is text in a terminal")
}

// logger logs to stderr.
func (p *program) logger() (*logrus.Logger, error) {
	return telemetry.NewLogger(p.Err, p.logLevel, p.logFormat, isTerminal(p.Err))
}

// isTerminal reports whether an input or output is a terminal.
func isTerminal(stream any) bool {
	file, ok := stream.(interface{ Fd() uintptr })
	return ok && term.IsTerminal(int(file.Fd()))
}

// outputFlag adds -o to a command that prints what a program may want to read.
func (p *program) outputFlag(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&p.output, "output", "o", outputText, "text or json")
	check := cmd.PreRunE
	cmd.PreRunE = func(cmd *cobra.Command, args []string) error {
		if p.output != outputText && p.output != outputJSON {
			return fmt.Errorf("--output %q: write %s or %s", p.output, outputText, outputJSON)
		}
		if check != nil {
			return check(cmd, args)
		}
		return nil
	}
}

const (
	outputText = "text"
	outputJSON = "json"
)

func (p *program) wantsJSON() bool { return p.output == outputJSON }

// plural is "1 step" or "3 steps".
func plural(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}

// say writes a line for people.
func say(w io.Writer, format string, args ...any) {
	writeLines(w, fmt.Sprintf(format, args...))
}
