package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/genmesh/genmesh/internal/admin"
)

func newDeadShow(p *program) *cobra.Command {
	f := new(operatorFlags)
	cmd := &cobra.Command{
		Use:   "show NUMBER",
		Short: "Show one dead letter with everything that is known about it",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			numbers, err := parseNumbers(args, "dead letter", "genmesh dead list")
			if err != nil {
				return err
			}
			return p.withOperator(cmd, f, func(ctx context.Context, op operating) error {
				letter, err := op.DeadLetter(ctx, numbers[0])
				if err != nil {
					return err
				}
				if p.wantsJSON() {
					shown := summary(letter)
					shown.Body = shownJSON(letter.Body)
					return writeJSON(cmd.OutOrStdout(), shown)
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

// shownJSON is a body as JSON where it is JSON, else as text; nil where it is not shown.
func shownJSON(body *admin.Body) any {
	if body == nil || body.Hidden {
		return nil
	}
	return bodyJSON(body.Raw)
}

func writeLetter(w io.Writer, d admin.DeadLetter) error {
	var t table
	field := func(name, value string) {
		if value != "" && value != "0" {
			t.row(name, value)
		}
	}
	field("number", strconv.FormatUint(d.Number, 10))
	field("subscriber", d.Subscriber)
	field("reason", d.Reason)
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
	writeEnvelope(w, d.Headers, d.Event, d.Body)
	return nil
}

// writeEnvelope shows the headers that carry the event's envelope, and the body.
func writeEnvelope(w io.Writer, headers map[string]string, e admin.Event, body *admin.Body) {
	say(w, "\nheaders")
	for _, name := range slices.Sorted(maps.Keys(headers)) {
		say(w, "  %s: %s", name, headers[name])
	}
	say(w, "\nbody (%d bytes)", e.Bytes)
	if body == nil || body.Hidden {
		say(w, "not shown: its source is sensitive, and whoever looks is a viewer")
		return
	}
	writeLines(w, pretty(body.Raw))
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
