package app

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
)

// asChild is what this test binary does if another test started it as something else; false if none did.
func asChild() bool {
	for variable, serve := range map[string]func(string) error{natsServerVariable: serveNATS, childVariable: serveDev} {
		if argument := os.Getenv(variable); argument != "" {
			if err := serve(argument); err != nil {
				log.Fatal(err)
			}
			return true
		}
	}
	return false
}

// childVariable makes this test binary a genmesh dev whose streams.json and data are in this folder. It says on its output where it listens.
const childVariable = "GENMESH_TEST_CHILD"

func serveDev(folder string) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	return Run(ctx, Config{
		Streams: StreamsFile{Path: filepath.Join(folder, "streams.json")}, Embedded: &Embedded{DataDir: filepath.Join(folder, "data")}, Apply: true,
		Ingress: &Ingress{Addr: "127.0.0.1:0", Grace: time.Second}, Workers: &Workers{Grace: time.Second},
		Console: &Console{Addr: "127.0.0.1:0"}, LookupEnv: environment, Logger: logrus.New(), Version: "test",
		Started: func(a Addresses) { _ = json.NewEncoder(os.Stdout).Encode(a) },
	})
}
