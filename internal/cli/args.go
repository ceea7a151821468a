package cli

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
)

// nameArguments lets the command and those below it say which of their arguments are missing or too many, by the names in
// their usage, in place of cobra's counts. What else is wrong with an argument, each says itself.
func nameArguments(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		nameArguments(below)
	}
	check := cmd.Args
	if check == nil {
		return // it takes any, and looks at them itself
	}
	cmd.Args = func(cmd *cobra.Command, args []string) error {
		err := check(cmd, args)
		if err == nil {
			return nil
		}
		return argumentError(cmd, args, err)
	}
}

func argumentError(cmd *cobra.Command, args []string, err error) error {
	takes := argumentsOf(cmd)
	path, usage := cmd.CommandPath(), takes.usage(cmd)
	switch {
	case len(takes.needed) == 0 && takes.most == 0 && len(args) > 0 && cmd.HasAvailableSubCommands():
		return fmt.Errorf("unknown command %.60q for %s; it has %s", args[0], path, commandsOf(cmd))
	case len(args) < len(takes.needed):
		missing := takes.needed[len(args):]
		is := "is"
		if len(missing) > 1 {
			is = "are"
		}
		return fmt.Errorf("%s: %s %s missing; write %s%s", path, strings.Join(missing, " and "), is, usage, whereListed(cmd, missing))
	case takes.most >= 0 && len(args) > takes.most:
		return fmt.Errorf("%s: %.60q is too much; write %s", path, args[takes.most], usage)
	}
	return err
}

// arguments are what a command takes besides flags, by its usage.
type arguments struct {
	text   string   // as the usage has it
	needed []string // names
	most   int      // -1 is any number
}

func argumentsOf(cmd *cobra.Command) arguments {
	var a arguments
	for _, word := range strings.Fields(cmd.Use)[1:] {
		if strings.HasPrefix(word, "-") {
			break // a flag that is needed, and its value
		}
		a.text += " " + word
		switch {
		case strings.HasSuffix(word, "...]"):
			a.most = -1
			return a
		case !strings.HasPrefix(word, "["):
			a.needed = append(a.needed, word)
		}
		a.most++
	}
	return a
}

func (a arguments) usage(cmd *cobra.Command) string { return cmd.CommandPath() + a.text + " [flags]" }

func commandsOf(cmd *cobra.Command) string {
	var names []string
	for _, below := range cmd.Commands() {
		if below.IsAvailableCommand() {
			names = append(names, below.Name())
		}
	}
	return strings.Join(names, ", ")
}

// whereListed says which command shows what can be written: the list beside it, or that of the subscribers.
func whereListed(cmd *cobra.Command, missing []string) string {
	for _, beside := range cmd.Parent().Commands() {
		if beside.Name() == "list" {
			return fmt.Sprintf("; %s shows what there is", beside.CommandPath())
		}
	}
	if missing[0] == "SUBSCRIBER" {
		return fmt.Sprintf("; %s subscriber list shows what there is", cmd.Root().Name())
	}
	return ""
}
