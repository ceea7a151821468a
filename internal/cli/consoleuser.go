package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/genmesh/genmesh/internal/console/access"
)

func newConsole(p *program) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "console",
		Short: "Make users of the console",
		Args:  cobra.NoArgs,
		RunE:  showHelp,
	}
	cmd.AddCommand(newConsoleUser(p))
	return cmd
}

const consoleUserHelp = `Print the entry of a user for the file that --console-access names. It goes into the list "users" there;
a process that serves the console sees the change by itself, and signs out whoever is gone or has changed.

A person gets a password: it is asked for twice, and only its argon2id hash is printed. A program, such
as Prometheus or a script, gets a token: with --token one is made. It is shown once, on standard error,
and only its SHA-256 is printed. It is sent as "Authorization: Bearer TOKEN".

A viewer looks, but not at bodies of sources that are sensitive. An operator also pauses, replays,
releases and discards. An admin also applies, erases and changes log levels.`

const consoleUserExample = `  genmesh console user ann --role operator
  genmesh console user prometheus --role viewer --token
  pass show mesh/ann | genmesh console user ann --role admin --password-stdin`

type consoleUserFlags struct {
	role  string
	token bool
	stdin bool
}

func newConsoleUser(p *program) *cobra.Command {
	f := new(consoleUserFlags)
	cmd := &cobra.Command{
		Use:     "user NAME",
		Short:   "Print the entry of a user, with a password or a token",
		Long:    consoleUserHelp,
		Example: consoleUserExample,
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return p.consoleUser(cmd, f, args[0])
		},
	}
	cmd.Flags().StringVar(&f.role, "role", "", "viewer, operator or admin")
	cmd.Flags().BoolVar(&f.token, "token", false, "make a token for a program instead of asking for a password")
	cmd.Flags().BoolVar(&f.stdin, "password-stdin", false, "read the password from the first line of standard input, also in a terminal")
	return cmd
}

func (p *program) consoleUser(cmd *cobra.Command, f *consoleUserFlags, name string) error {
	role := access.Role(f.role)
	switch {
	case f.role == "":
		return errors.New("--role is missing: viewer, operator or admin")
	case !role.May(access.Viewer):
		return fmt.Errorf("--role %q: write viewer, operator or admin", f.role)
	case f.token && f.stdin:
		return errors.New("--token and --password-stdin exclude each other: a user has one of both")
	case f.token:
		user, token, err := access.NewTokenUser(name, role)
		if err != nil {
			return err
		}
		say(cmd.ErrOrStderr(), "The token, which is not shown again: %s", token)
		return writeJSON(cmd.OutOrStdout(), user)
	}
	password, err := p.newPassword(cmd.Context(), f.stdin)
	if err != nil {
		return err
	}
	user, err := access.NewUser(name, role, password)
	if err != nil {
		return err
	}
	return writeJSON(cmd.OutOrStdout(), user)
}

// newPassword asks for a password twice, or reads it where there is no terminal to ask on.
func (p *program) newPassword(ctx context.Context, stdin bool) (string, error) {
	if stdin || !isTerminal(p.In) {
		return firstLine(p.In)
	}
	return agreed(func(prompt string) (string, error) { return p.askHidden(ctx, prompt) })
}

// agreed asks twice: what nobody can see is easily mistyped.
func agreed(ask func(prompt string) (string, error)) (string, error) {
	password, err := ask("Password: ")
	if err != nil {
		return "", err
	}
	again, err := ask("The same again: ")
	if err != nil {
		return "", err
	}
	if again != password {
		return "", errors.New("the passwords differ; nothing was made")
	}
	return password, nil
}

// askHidden reads a line from the terminal without showing it. If ctx ends meanwhile, the terminal shows again what is typed.
func (p *program) askHidden(ctx context.Context, prompt string) (string, error) {
	fd := int(p.In.(interface{ Fd() uintptr }).Fd()) // isTerminal has seen it
	before, err := term.GetState(fd)
	if err != nil {
		return "", fmt.Errorf("the terminal: %w", err)
	}
	_, _ = fmt.Fprint(p.Err, prompt)              // as say, without the end of the line
	defer func() { _, _ = fmt.Fprintln(p.Err) }() // the one that was typed is not shown
	type line struct {
		text []byte
		err  error
	}
	read := make(chan line, 1)
	go func() {
		text, err := term.ReadPassword(fd)
		read <- line{text, err}
	}()
	select {
	case <-ctx.Done(): // the read ends with the process
		_ = term.Restore(fd, before) // the process ends either way
		return "", ctx.Err()
	case l := <-read:
		if l.err != nil {
			return "", fmt.Errorf("read the password: %w", l.err)
		}
		return string(l.text), nil
	}
}

// maxPasswordLine bounds what is read of standard input.
const maxPasswordLine = 4096

func firstLine(in io.Reader) (string, error) {
	line, err := bufio.NewReader(io.LimitReader(in, maxPasswordLine)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", fmt.Errorf("read the password: %w", err)
	}
	line = strings.TrimRight(line, "\r\n")
	if line == "" {
		return "", errors.New("no password came on standard input: type one in a terminal, or pipe it in")
	}
	return line, nil
}
