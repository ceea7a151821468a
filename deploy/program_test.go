package deploy_test

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/internal/cli"
)

// help is what genmesh says of a command line instead of running it. It fails if the command or a flag is none.
func help(t *testing.T, args []string) string {
	t.Helper()
	var out, failed strings.Builder
	code := cli.Execute(context.Background(), cli.Process{
		Args: append(append([]string{}, args...), "--help"), In: strings.NewReader(""), Out: &out, Err: &failed,
		LookupEnv: func(string) (string, bool) { return "", false },
	})
	require.Zero(t, code, "%s: %s", args, failed.String())
	return out.String()
}

// assertKnown fails for each variable that a genmesh with these arguments does not read.
func assertKnown(t *testing.T, args []string, environment map[string]string) {
	t.Helper()
	known := map[string]bool{"GOMEMLIMIT": true} // the runtime's
	text := help(t, args)
	for _, flag := range names(text, `(?m)^ +(?:-\w, )?--([a-z-]+)`) {
		known["GENMESH_"+strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))] = true
	}
	for _, variables := range names(text, `\(env ([A-Z_, ]+)\)`) {
		for variable := range strings.SplitSeq(variables, ", ") {
			known[variable] = true
		}
	}
	for _, variable := range inStreams(t) {
		known[variable] = true
	}
	for variable := range environment {
		assert.True(t, known[variable], "%s does not read %s", args, variable)
	}
}

// assertParts fails for a part of genmesh serve that there is not: help does not look at it.
func assertParts(t *testing.T, args []string) {
	t.Helper()
	if args[0] != "serve" {
		return
	}
	parts := names(help(t, args[:1]), `\[(ingress|workers|notifications|console)\]`)
	require.Contains(t, parts, args[1])
}

// inStreams are the variables that the streams.json that ships reads.
func inStreams(t *testing.T) []string {
	t.Helper()
	return names(read(t, "../streams.json"), `\$\{(\w+)`)
}

// inNode are the variables that the configuration of a node needs.
func inNode(t *testing.T) []string {
	t.Helper()
	withoutComments := regexp.MustCompile(`(?m)^ *#.*$`).ReplaceAllString(read(t, "nats/nats.conf"), "")
	return names(withoutComments, `\$(NATS_\w+)`)
}
