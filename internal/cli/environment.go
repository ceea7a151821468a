package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/pflag"
)

// environmentNames annotates a flag with the variables that give it besides GENMESH_<NAME>.
const environmentNames = "genmesh_environment"

// alsoFrom lets further variables give a flag, and says so in its help.
func alsoFrom(flags *pflag.FlagSet, flag string, variables ...string) {
	f := flags.Lookup(flag)
	f.Usage += " (env " + strings.Join(variables, ", ") + ")"
	if f.Annotations == nil {
		f.Annotations = map[string][]string{}
	}
	f.Annotations[environmentNames] = variables
}

// givenByEnvironment annotates a flag that the environment gave.
const givenByEnvironment = "genmesh_given_by_environment"

// isTyped reports whether a flag stands on the command line.
func isTyped(flags *pflag.FlagSet, flag string) bool {
	f := flags.Lookup(flag)
	return f != nil && f.Changed && f.Annotations[givenByEnvironment] == nil
}

// fromEnvironment gives every flag that the command line left out its value from the
// environment. An empty variable counts as unset, as compose files write it.
func fromEnvironment(flags *pflag.FlagSet, lookup func(string) (string, bool)) error {
	var failed error
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Changed || f.Name == "help" || failed != nil {
			return
		}
		names := append([]string{"GENMESH_" + strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_"))},
			f.Annotations[environmentNames]...)
		for _, name := range names {
			value, _ := lookup(name)
			if value == "" {
				continue
			}
			if err := flags.Set(f.Name, value); err != nil {
				failed = fmt.Errorf("the environment variable %s: %w", name, err)
				return
			}
			failed = flags.SetAnnotation(f.Name, givenByEnvironment, []string{name})
			return
		}
	})
	return failed
}
