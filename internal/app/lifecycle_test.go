package app

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if asChild() {
		return
	}
	// After a write that failed, nats-server 2.15 leaves this behind when it is shut down.
	goleak.VerifyTestMain(m, goleak.IgnoreTopFunction("github.com/nats-io/nats-server/v2/server.(*msgBlock).flushLoop"))
}

func quiet() *logrus.Logger {
	log := logrus.New()
	log.SetOutput(io.Discard)
	return log
}

// diary notes in which order things happen.
type diary struct {
	mu      sync.Mutex
	entries []string
}

func (d *diary) note(entry string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.entries = append(d.entries, entry)
}

// lasting is a component that runs until it is told to end, and then fails with err.
func (d *diary) lasting(name string, running *sync.WaitGroup, err error) component {
	return component{name, func(ctx context.Context) error {
		running.Done()
		<-ctx.Done()
		d.note(name)
		return err
	}}
}

func TestPartsEndInReverseOrder(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var d diary
	var running sync.WaitGroup
	running.Add(3)
	parts := []component{
		d.lasting("storage", &running, nil), d.lasting("workers", &running, nil), d.lasting("ingress", &running, nil),
	}
	go func() { running.Wait(); cancel() }()
	require.NoError(t, runAll(ctx, quiet(), parts))
	assert.Equal(t, []string{"ingress", "workers", "storage"}, d.entries)
}

func TestPartThatFailsEndsTheOthers(t *testing.T) {
	boom := errors.New("boom")
	var d diary
	var running sync.WaitGroup
	running.Add(1)
	err := runAll(t.Context(), quiet(), []component{
		d.lasting("storage", &running, nil),
		{"ingress", func(context.Context) error { running.Wait(); return boom }},
	})
	require.ErrorIs(t, err, boom)
	assert.ErrorContains(t, err, "ingress")
	assert.Equal(t, []string{"storage"}, d.entries)
}

func TestPartThatJustReturnsIsAFailure(t *testing.T) {
	err := runAll(t.Context(), quiet(), []component{{"ingress", func(context.Context) error { return nil }}})
	require.ErrorContains(t, err, "ingress ended by itself")
}

func TestPartThatFailsAtItsEndIsReported(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var d diary
	var running sync.WaitGroup
	running.Add(1)
	go func() { running.Wait(); cancel() }()
	err := runAll(ctx, quiet(), []component{d.lasting("ingress", &running, errors.New("cut off"))})
	require.ErrorContains(t, err, "ingress: cut off")
}
