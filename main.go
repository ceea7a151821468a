// Command genmesh is an event mesh for Genesys Cloud on NATS JetStream.
package main

import (
	"context"
	_ "embed"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/genmesh/genmesh/internal/cli"
)

//go:embed streams.json
var streams []byte

func main() {
	// The first signal asks for an orderly end; after it the second one has its usual effect.
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	os.Exit(cli.Execute(ctx, cli.Process{
		Args:      os.Args[1:],
		In:        os.Stdin,
		Out:       os.Stdout,
		Err:       os.Stderr,
		LookupEnv: os.LookupEnv,
		Streams:   streams,
		Reload:    hangUps,
		Version:   version(),
	}))
}

// hangUps turns SIGHUP into requests to look at the configuration again, until ctx ends. Those
// that come while one is waiting are one.
func hangUps(ctx context.Context) <-chan struct{} {
	signals, reloads := make(chan os.Signal, 1), make(chan struct{}, 1)
	signal.Notify(signals, syscall.SIGHUP)
	go func() {
		defer signal.Stop(signals)
		for {
			select {
			case <-ctx.Done():
				return
			case <-signals:
			}
			select {
			case reloads <- struct{}{}:
			default:
			}
		}
	}()
	return reloads
}

// version is the module's version as the Go tool stamped it.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok || info.Main.Version == "" {
		return "(devel)"
	}
	return info.Main.Version
}
