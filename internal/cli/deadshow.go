package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/mesh"
)

func newDeadShow(p *program) *cobra.Command {
	f := new(clusterFlags)
	cmd := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Show one dead letter with everything that is known about it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := parseNumbers(args, "dead letter", "genmesh dead list")
			if err != nil {
				return err
			}
			return p.withDead(cmd, f, func(ctx context.Context, letters *mesh.DeadLetters) error {
				letter, err := letters.Get(ctx, numbers[0])
				if err != nil {
					return err
				}
				if p.wantsJSON() {
					return writeJSON(cmd.OutOrStdout(), withBody(letter))
				}
				return writeLetter(cmd.OutOrStdout(), letter)
			})
		},
	}
	f.add(cmd.Flags())
	p.outputFlag(cmd)
	return cmd
}

// parseNumbers reads the numbers of what a list shows.
func parseNumbers(args []string, of, list string) ([]uint64, error) {
	numbers := make([]uint64, len(args))
	for i, arg := range args {
		n, err := strconv.ParseUint(arg, 10, 64)
		if err != nil || n == 0 {
			return nil, fmt.Errorf("%q is no number of a %s; %s shows them", arg, of, list)
		}
		numbers[i] = n
	}
	return numbers, nil
}

// withBody is a dead letter with its body: as JSON where it is JSON, else as text.
func withBody(letter mesh.DeadLetter) deadJSON {
	d := summary(letter)
	d.Body = bodyJSON(letter.Body)
	return d
}

func writeLetter(w io.Writer, d mesh.DeadLetter) error {
	var t table
	field := func(name, value string) {
		if value != "" && value != "0" {
			t.row(name, value)
		}
	}
	field("number", strconv.FormatUint(d.Number, 10))
	field("subscriber", d.Subscriber)
	field("reason", string(d.Reason))
	field("error", d.Error)
	field("status", strconv.Itoa(d.Status))
	field("answer", d.Answer)
	field("attempts", strconv.Itoa(d.Attempts))
	field("first attempt", moment(d.FirstAttempt))
	field("last attempt", moment(d.LastAttempt))
	field("buried", moment(d.Buried))
	field("event", fmt.Sprintf("%d of stream %s", d.Sequence, d.Stream))
	field("subject", d.Subject)
	if err := t.write(w); err != nil {
		return err
	}
	writeEnvelope(w, d.Event)
	say(w, "\nbody (%d bytes)", len(d.Body))
	writeLines(w, pretty(d.Body))
	return nil
}

// writeEnvelope shows the headers that carry the event's envelope.
func writeEnvelope(w io.Writer, e mesh.Event) {
	say(w, "\nheaders")
	header := e.Msg("").Header
	names := make([]string, 0, len(header))
	for name := range header {
		names = append(names, name)
	}
	slices.Sort(names)
	for _, name := range names {
		say(w, "  %s: %s", name, strings.Join(header[name], ", "))
	}
}

func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format(time.RFC3339Nano)
}

// pretty indents a body that is JSON.
func pretty(body []byte) string {
	var b bytes.Buffer
	if json.Indent(&b, body, "", "  ") != nil {
		return string(body)
	}
	return b.String()
}
