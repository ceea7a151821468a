package cli

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestArgumentsThatAreMissingOrTooMuchAreNamed(t *testing.T) {
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{"replay"}, "genmesh replay: SUBSCRIBER is missing; write genmesh replay SUBSCRIBER [flags]; genmesh subscriber list shows what there is"},
		{[]string{"replay", "crm", "x"}, `genmesh replay: "x" is too much; write genmesh replay SUBSCRIBER [flags]`},
		{[]string{"replay", "watch"}, "genmesh replay watch: SUBSCRIBER and ID are missing; write genmesh replay watch SUBSCRIBER ID [flags]; genmesh replay list shows what there is"},
		{[]string{"replay", "watch", "crm"}, "genmesh replay watch: ID is missing; write genmesh replay watch SUBSCRIBER ID [flags]; genmesh replay list shows what there is"},
		{[]string{"replay", "cancel", "crm", "1", "2"}, `genmesh replay cancel: "2" is too much; write genmesh replay cancel SUBSCRIBER ID [flags]`},
		{[]string{"replay", "list", "crm", "x"}, `genmesh replay list: "x" is too much; write genmesh replay list [SUBSCRIBER] [flags]`},
		{[]string{"subscriber", "show"}, "genmesh subscriber show: NAME is missing; write genmesh subscriber show NAME [flags]; genmesh subscriber list shows what there is"},
		{[]string{"subscriber", "pause", "crm", "x"}, `genmesh subscriber pause: "x" is too much; write genmesh subscriber pause NAME [flags]`},
		{[]string{"subscriber", "list", "x"}, `genmesh subscriber list: "x" is too much; write genmesh subscriber list [flags]`},
		{[]string{"subscriber", "pasue"}, `unknown command "pasue" for genmesh subscriber; it has list, pause, resume, show`},
		{[]string{"dead", "show"}, "genmesh dead show: NUMBER is missing; write genmesh dead show NUMBER [flags]; genmesh dead list shows what there is"},
		{[]string{"dead", "list", "x"}, `genmesh dead list: "x" is too much; write genmesh dead list [flags]`},
		{[]string{"dead", "replay"}, "name dead letters by number, or choose them"},
		{[]string{"dead", "discard", "x"}, "genmesh dead list"},
		{[]string{"quarantine", "show"}, "genmesh quarantine show: NUMBER is missing; write genmesh quarantine show NUMBER [flags]; genmesh quarantine list shows what there is"},
		{[]string{"quarantine", "release"}, "name events by number, or choose them"},
		{[]string{"quarantine", "discard", "x"}, "genmesh quarantine list"},
		{[]string{"timeline"}, "genmesh timeline: INTERACTION is missing; write genmesh timeline INTERACTION [flags]"},
		{[]string{"timeline", "1", "2"}, `genmesh timeline: "2" is too much; write genmesh timeline INTERACTION [flags]`},
		{[]string{"erase"}, "genmesh erase: INTERACTION is missing; write genmesh erase INTERACTION [flags]"},
		{[]string{"explain"}, "genmesh explain: SEQUENCE is missing; write genmesh explain SEQUENCE"},
		{[]string{"explain", "1", "2"}, `genmesh explain: "2" is too much`},
		{[]string{"listen"}, "genmesh listen: SUBSCRIBER is missing; write genmesh listen SUBSCRIBER [flags]; genmesh subscriber list shows what there is"},
		{[]string{"try", "crm", "x"}, `genmesh try: "x" is too much; write genmesh try [SUBSCRIBER] [flags]`},
		{[]string{"apply", "x"}, `genmesh apply: "x" is too much; write genmesh apply [flags]`},
		{[]string{"serve", "x"}, "invalid argument"},
		{[]string{"aply"}, `unknown command "aply" for genmesh; it has apply, `},
	} {
		o := run(t, c.args...)
		assert.Equal(t, exitError, o.code, "%s", c.args)
		assert.Contains(t, o.err, c.want)
	}
}
