package processes

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

// Options is what a Member needs to know of its process. Conn and Logger are needed.
type Options struct {
	Conn *nats.Conn
	// ID is another one for each start of the process; default a random one.
	ID      string
	Version string
	// Parts are what the process does, such as "ingress".
	Parts []string
	// Gatherer has the process' metrics.
	Gatherer prometheus.Gatherer
	// Errors are the latest different ones by subscriber, the newest first.
	Errors func() map[string][]live.Error
	// UnderWay tells of events that were stored at these places what becomes of them here; nil where no subscriber is served.
	UnderWay func(places []mesh.Place) []mesh.UnderWay
	// Ready tells why the process can't do its work. It may take a while.
	Ready func() error
	// Logger is the one whose level can be changed.
	Logger *logrus.Logger
}

// Member answers for its process.
type Member struct {
	Options
	self   admin.Process
	began  time.Time
	counts counts
	ready  readiness
	level  level
}

// NewMember makes a Member; Run starts it.
func NewMember(o Options) *Member {
	if o.ID == "" {
		o.ID = newID()
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	now := time.Now()
	return &Member{
		Options: o, began: now, counts: counts{gatherer: o.Gatherer, faults: o.Errors, log: o.Logger}, ready: readiness{ask: o.Ready}, level: newLevel(o.Logger),
		self: admin.Process{
			ID: o.ID, Host: host, PID: os.Getpid(), Version: o.Version, Parts: slices.Clone(o.Parts), Started: now.UTC(),
		},
	}
}

func newID() string {
	var id [8]byte
	_, _ = rand.Read(id[:]) // it never fails
	return hex.EncodeToString(id[:])
}

// maxWaiting bounds the questions that wait for their answers; more are lost, and asked again.
const maxWaiting = 256

// Run answers until ctx ends. It fails if its connection is closed before that.
func (m *Member) Run(ctx context.Context) error {
	asks, levels := make(chan *nats.Msg, maxWaiting), make(chan *nats.Msg, maxWaiting)
	defer m.ready.end()
	defer m.level.end()
	for subject, questions := range map[string]chan *nats.Msg{subjectAsk: asks, subjectLevel: levels} {
		subscription, err := m.Conn.ChanSubscribe(subject, questions)
		if err != nil {
			return fmt.Errorf("answer on %s: %w", subject, err)
		}
		defer subscription.Unsubscribe() //nolint:errcheck // it fails only if the connection is closed
	}
	for {
		select {
		case <-ctx.Done():
			return nil
		case msg := <-asks:
			m.answer(ctx, msg)
		case msg := <-levels:
			m.setLevel(ctx, msg)
		case <-m.level.ends():
			m.level.goBack()
		}
	}
}

// answer tells who asks about this process. A question that can't be read is one for the least.
func (m *Member) answer(ctx context.Context, msg *nats.Msg) {
	var q question
	_ = json.Unmarshal(msg.Data, &q)
	a := m.describe(ctx)
	if q.Counts {
		m.counts.renew(int(m.Conn.MaxPayload()-answerMargin) / 4 * 3) // as base64 they are that much longer
		a.Families, a.Errors = m.counts.families, m.counts.errors
	}
	if len(q.UnderWay) > 0 && m.UnderWay != nil {
		a.UnderWay = m.UnderWay(q.UnderWay)
	}
	m.respond(msg, a)
}

func (m *Member) describe(ctx context.Context) answer {
	a := answer{Process: m.self, Up: mesh.Duration(time.Since(m.began))}
	a.LogLevel, a.LogLevelUntil = m.level.now()
	a.Ready = m.ready.now(ctx)
	return a
}

func (m *Member) setLevel(ctx context.Context, msg *nats.Msg) {
	var change levelChange
	if err := json.Unmarshal(msg.Data, &change); err != nil || change.Process != "" && change.Process != m.ID {
		return
	}
	to, err := parseLevel(change.Level)
	if err != nil {
		return // an Asker would have said so
	}
	m.level.set(to, time.Duration(change.For))
	m.respond(msg, m.describe(ctx))
}

// answerMargin is what an answer takes besides what it counts.
const answerMargin = 8 << 10

func (m *Member) respond(msg *nats.Msg, a answer) {
	data, err := json.Marshal(a)
	if err == nil {
		err = msg.Respond(data)
	}
	if err != nil {
		m.Logger.WithError(err).Debug("a question about this process is not answered")
	}
}
