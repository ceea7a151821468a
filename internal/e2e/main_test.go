package e2e

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/genmesh/genmesh/internal/cli"
)

// argsVariable makes this test binary a genmesh with these arguments, as a JSON list: so the
// faults hit real processes, and nothing has to be built first.
const argsVariable = "GENMESH_E2E_ARGS"

func TestMain(m *testing.M) {
	if args := os.Getenv(argsVariable); args != "" {
		os.Exit(genmesh(args))
	}
	flag.Parse()
	// Each check of a property starts servers and disks; a few are enough for every run.
	if f := flag.Lookup("rapid.checks"); f.Value.String() == f.DefValue {
		_ = flag.Set("rapid.checks", "5")
	}
	goleak.VerifyTestMain(m)
}

func genmesh(raw string) int {
	var args []string
	if err := json.Unmarshal([]byte(raw), &args); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return cli.Execute(ctx, cli.Process{
		Args: args, In: os.Stdin, Out: os.Stdout, Err: os.Stderr, LookupEnv: os.LookupEnv, Version: "test",
	})
}
