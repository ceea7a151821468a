//go:build sizing

package main

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/genmesh/genmesh/internal/shipped"
	"github.com/genmesh/genmesh/mesh"
	"github.com/genmesh/genmesh/mesh/meshtest"
)

// configuration is a streams.json with so many sources, each with a stream of its own.
func configuration(replicas, sources int, subscribers ...string) []byte {
	var ways, streams []string
	for i := range sources {
		ways = append(ways, fmt.Sprintf(`{"name": "%s", "path": "/webhooks/%[1]s", "preset": "genesys", "secret": "${SECRET}", "stream": "%s"}`,
			sourceName(i), streamName(i)))
		streams = append(streams, fmt.Sprintf(`{"name": "%s", "subjects": ["%s.>"], "retention": "limits", "discard": "new", "max_age": "168h",
		  "max_bytes": 4294967296, "duplicate_window": "2h", "allow_atomic": true, "allow_direct": true, "num_replicas": %d}`,
			streamName(i), sourceName(i), replicas))
	}
	return fmt.Appendf(nil, `{"sources": [%s], "streams": [%s,
	    {"name": "DEAD_LETTERS", "subjects": ["dead.>"], "discard": "new", "duplicate_window": "2h", "max_bytes": 268435456, "allow_direct": true,
	     "num_replicas": %[3]d},
	    {"name": "QUARANTINE", "subjects": ["quarantine.>"], "discard": "new", "max_bytes": 268435456, "allow_atomic": true, "num_replicas": %[3]d},
	    {"name": "ADVISORIES", "subjects": ["$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>"], "max_bytes": 67108864, "num_replicas": %[3]d}],
	  "subscribers": [%[4]s]}`, strings.Join(ways, ", "), strings.Join(streams, ", "), replicas, strings.Join(subscribers, ",\n"))
}

func sourceName(i int) string { return fmt.Sprintf("genesys%d", i) }
func streamName(i int) string { return fmt.Sprintf("INTERACTIONS%d", i) }

// startIngress runs an ingress process, and returns the URL of its first source's webhook.
func startIngress(t testing.TB, dir, nats string) (p *shipped.Process, url string) {
	t.Helper()
	web := meshtest.FreeAddr(t)
	p = newProcess(t, "ingress", "http://"+web+"/readyz", program("genmesh"), "serve", "ingress", "--server", nats, "--console=", "--http", web)
	p.Dir = dir
	p.Start()
	return p, "http://" + web + "/webhooks/"
}

// startWorkers runs a worker process.
func startWorkers(t testing.TB, dir, nats string) *shipped.Process {
	t.Helper()
	metrics := meshtest.FreeAddr(t)
	p := newProcess(t, "workers", "http://"+metrics+"/readyz", program("genmesh"), "serve", "workers", "--server", nats, "--console=", "--metrics", metrics)
	p.Dir = dir
	p.Start()
	return p
}

// store puts events into the streams of the first sources through genmesh's own committer, without HTTP: so many of each size, by so many
// callers at once.
func store(t testing.TB, js jetstream.JetStream, topology *mesh.Topology, sources, events, callers, size int) time.Duration {
	t.Helper()
	committer, err := mesh.NewCommitter(js, topology, meshtest.Quiet(), prometheus.NewRegistry())
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- committer.Run(ctx) }()
	defer func() {
		cancel()
		require.NoError(t, <-ended)
	}()
	run := names.Add(1)
	began := time.Now()
	group, committing := errgroup.WithContext(t.Context())
	for caller := range callers {
		group.Go(func() error {
			l := life{name: fmt.Sprintf("%d-%d", run, caller)}
			for range events / callers {
				if _, err := committer.Commit(committing, l.event(sourceName(caller%sources), size)); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(t, group.Wait())
	return time.Since(began)
}
