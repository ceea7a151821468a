package admin

import (
	"context"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// Direct is the Operator that works on NATS itself.
type Direct struct {
	o    DirectOptions
	seen lastSeen
}

// DirectOptions is what Direct works with. Only JetStream, Topology and Logger are needed.
type DirectOptions struct {
	JetStream jetstream.JetStream
	// Topology is the streams.json in force; it may change between calls.
	Topology func() *mesh.Topology
	Logger   logrus.FieldLogger
	// Live tells rates and latencies; nil where nobody watches, as in a command.
	Live func() live.Snapshot
	// File tells about the file that Topology came from, without the plan; nil where it is not known.
	File func() Configuration
	// Waits is told what Apply waits for, as mesh.Draining says; where it is nil, it is logged.
	Waits func(subscriber string, events int)
	// Scrubbed is what a Scrubber of this process knows; nil where none runs, as in a command.
	Scrubbed func() (mesh.ScrubReport, bool)
	// Processes asks all processes of the mesh; nil where nobody asks.
	Processes ProcessAsker
}

// ProcessAsker asks the processes of a mesh about themselves.
type ProcessAsker interface {
	Ask(ctx context.Context) ([]Process, error)
	// UnderWay tells of events that were stored at these places what those have to say that have them in hand.
	UnderWay(ctx context.Context, places []mesh.Place) ([]mesh.UnderWay, error)
	// SetLogLevel changes the level of one process, or of all if process is "", until a time, or for good if that is zero.
	SetLogLevel(ctx context.Context, process, level string, until time.Time) ([]Process, error)
}

// NewDirect returns an Operator on a server.
func NewDirect(o DirectOptions) *Direct { return &Direct{o: o} }

var _ Operator = (*Direct)(nil)
