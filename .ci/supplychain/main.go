// Command supplychain knows what a genmesh binary consists of: which modules, under which licences, with which known
// vulnerabilities. bash .ci/release, .ci/vulnerabilities and .ci/run call it; it has to run in its own folder.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
)

// root is the folder of genmesh's module, seen from this one.
const root = "../.."

const usage = `usage:
  supplychain licences                                   print THIRD_PARTY.md; fail on a licence that is not allowed
  supplychain texts                                      print the licence texts that go with the released binaries
  supplychain sbom BINARY COMMITTED <IN >OUT             complete and check a CycloneDX document of the binary
  supplychain findings <IN                               sum up what govulncheck -format json found`

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	err := run(ctx, os.Args[1:], os.Stdin, os.Stdout)
	var ours *findingsError
	if errors.As(err, &ours) {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(ours.code)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "supplychain:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, args []string, in io.Reader, out io.Writer) error {
	switch {
	case len(args) == 1 && args[0] == "licences":
		return printLicences(ctx, out)
	case len(args) == 1 && args[0] == "texts":
		return printTexts(ctx, out)
	case len(args) == 3 && args[0] == "sbom":
		return completeSBOM(ctx, in, out, release{binary: args[1], committed: args[2]})
	case len(args) == 1 && args[0] == "findings":
		return sumUp(in, out)
	}
	return errors.New(usage)
}
