//go:build linux

package embedded_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/genmesh/genmesh/mesh/embedded"
)

const patience = 30 * time.Second

// diskOf is the folder of a file system of so much.
func diskOf(t *testing.T, size string) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root may mount the small file system that is filled here")
	}
	folder := t.TempDir()
	out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size="+size, "genmesh-test", folder).CombinedOutput()
	require.NoError(t, err, "%s", out)
	t.Cleanup(func() {
		out, err := exec.Command("umount", "--lazy", folder).CombinedOutput()
		assert.NoError(t, err, "%s", out)
	})
	return folder
}

// fill writes a file until the disk is full.
func fill(t *testing.T, folder string) (filler string) {
	t.Helper()
	filler = filepath.Join(folder, "filler")
	file, err := os.Create(filler)
	require.NoError(t, err)
	defer file.Close()
	for err == nil {
		_, err = file.Write(make([]byte, 4096))
	}
	require.ErrorContains(t, err, "no space left on device")
	return filler
}

// client is a connection that connects again for ever.
func client(t *testing.T, url string, more ...nats.Option) jetstream.JetStream {
	t.Helper()
	nc, err := nats.Connect(url, append(more, nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))...)
	require.NoError(t, err)
	t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	require.NoError(t, err)
	return js
}

func publish(t *testing.T, js jetstream.JetStream, text string) bool {
	ctx, cancel := context.WithTimeout(t.Context(), time.Second)
	defer cancel()
	_, err := js.Publish(ctx, "s", append(make([]byte, 5000), text...))
	return err == nil
}

func TestServerStartsAnewOnceThereIsSpaceAgain(t *testing.T) {
	disk := diskOf(t, "16m")
	data := filepath.Join(disk, "data")
	s := start(t, embedded.Options{DataDir: data, Listen: "127.0.0.1:0"})
	defer s.Shutdown()
	inside, outside := client(t, "", s.InProcess()), client(t, s.ClientURL())
	_, err := inside.CreateStream(t.Context(), jetstream.StreamConfig{Name: "S", Subjects: []string{"s"}})
	require.NoError(t, err)
	consumer, err := inside.CreatePushConsumer(t.Context(), "S", jetstream.ConsumerConfig{Durable: "c", DeliverSubject: "deliver"})
	require.NoError(t, err)
	arrived := make(chan string, 100)
	consuming, err := consumer.Consume(func(m jetstream.Msg) { arrived <- string(m.Data()[5000:]); _ = m.Ack() })
	require.NoError(t, err)
	defer consuming.Stop()
	require.True(t, publish(t, outside, "before"))

	storing := s.Storing()
	require.NoError(t, storing.Err())
	filler := fill(t, disk)
	require.False(t, publish(t, inside, "lost, and its sender knows"))
	require.Eventually(t, func() bool { return storing.Err() != nil }, patience, 10*time.Millisecond, "whoever waits for an answer is told")
	const why = "nothing is stored: no space left on device at stream S. Free space"
	require.Eventually(t, func() bool {
		cause := context.Cause(s.Storing())
		return cause != nil && strings.HasPrefix(cause.Error(), why)
	}, patience, 10*time.Millisecond)
	_, err = embedded.Start(t.Context(), embedded.Options{DataDir: data, Logger: quiet()})
	require.ErrorIs(t, err, embedded.ErrLocked)

	require.NoError(t, os.Remove(filler))
	require.Eventually(t, func() bool { return s.Storing().Err() == nil }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return publish(t, inside, "inside") }, patience, 10*time.Millisecond)
	require.Eventually(t, func() bool { return publish(t, outside, "outside") }, patience, 10*time.Millisecond, "on the port it had")
	got := map[string]bool{}
	for len(got) < 3 {
		select {
		case text := <-arrived:
			got[text] = true
		case <-time.After(patience):
			t.Fatal("the consumer does not go on", got)
		}
	}
	assert.Equal(t, map[string]bool{"before": true, "inside": true, "outside": true}, got)
	_, err = embedded.Start(t.Context(), embedded.Options{DataDir: data, Logger: quiet()})
	require.ErrorIs(t, err, embedded.ErrLocked, "the folder is the server's over the restart")
}

func TestServerThatWaitsForSpaceShutsDown(t *testing.T) {
	disk := diskOf(t, "16m")
	data := filepath.Join(disk, "data")
	s := start(t, embedded.Options{DataDir: data})
	storing := s.Storing()
	fill(t, disk)
	<-storing.Done()
	assert.ErrorContains(t, context.Cause(storing), "nearly full")
	require.NoError(t, s.Shutdown())
	require.NoError(t, start(t, embedded.Options{DataDir: data}).Shutdown(), "the folder is free, and a full disk keeps no server from starting")
}

// It says so before the first event comes, not after.
func TestReserveIsLookedAtBeforeTheStart(t *testing.T) {
	disk := diskOf(t, "16m")
	s := start(t, embedded.Options{DataDir: disk, Reserve: 64 << 20})
	assert.ErrorContains(t, context.Cause(s.Storing()), "Free space until there are 84 MB")
	require.NoError(t, s.Shutdown())
}
