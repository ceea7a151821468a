package cli

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/genmesh/genmesh/mesh"
)

// clusterProbe looks at all that a connection to NATS can tell. Without a topology that is only
// the server.
func (p *program) clusterProbe(f *doctorFlags, t *mesh.Topology) probe {
	return func(ctx context.Context) []finding {
		nc, js, err := p.connect(&f.cluster)
		if err != nil {
			return []finding{broken("NATS", err, "start it, or name it with --server or --context")}
		}
		defer nc.Close()
		findings := []finding{reachable(nc), version(nc.ConnectedServerVersion())}
		account, err := js.AccountInfo(ctx)
		if err != nil {
			return append(findings, broken("JetStream", err, "enable JetStream in the server and for the account"))
		}
		if t == nil {
			return append(findings, good("JetStream", "enabled"))
		}
		findings = append(findings, room(account, t), clock(ctx, js, t), planned(ctx, js, t))
		state, err := mesh.OpenState(ctx, js)
		if err != nil && !errors.Is(err, jetstream.ErrBucketNotFound) { // which the plan tells of
			findings = append(findings, broken("state", err, "see that the account may read the bucket "+mesh.StateBucket))
		}
		for _, s := range t.Subscribers {
			told := toldOf(ctx, state, s.Name, time.Now())
			for _, r := range s.Readers() {
				findings = append(findings, served(ctx, js, r, told))
			}
		}
		return findings
	}
}

func reachable(nc *nats.Conn) finding {
	began := time.Now()
	if err := nc.FlushTimeout(probeTimeout / 2); err != nil {
		return broken("NATS", err, "look at the server and the network")
	}
	return good("NATS", "%s answers in %s", redacted(nc.ConnectedUrlRedacted()), time.Since(began).Round(10*time.Microsecond))
}

// The versions of nats-server that matter: atomic batches exist since 2.12, and known losses of
// acknowledged messages are fixed in 2.15.2.
const (
	oldestServer  = 2_012_000
	soundServer   = 2_015_002
	upgradeServer = "upgrade nats-server to 2.15.2 or later"
)

func version(text string) finding {
	var major, minor, patch int
	if _, err := fmt.Sscanf(text, "%d.%d.%d", &major, &minor, &patch); err != nil {
		return doubtful("nats-server", fmt.Sprintf("version %q is not one that can be compared", text), "use a released server")
	}
	switch number := major*1_000_000 + minor*1000 + patch; {
	case number < oldestServer:
		return broken("nats-server", fmt.Errorf("%s knows no atomic batches", text), upgradeServer)
	case number < soundServer:
		return trapped("nats-server", text+" lacks fixes against the loss of acknowledged messages", upgradeServer)
	}
	return good("nats-server", "%s", text)
}

// room compares the account's limit with what the streams may hold. Accounts with tiers have one
// limit for each number of replicas, of which there is nothing to add up.
func room(account *jetstream.AccountInfo, t *mesh.Topology) finding {
	limit, wanted := account.Limits.MaxStore, storedBytes(t, true)
	if limit > 0 && wanted > limit && len(account.Tiers) == 0 {
		return broken("JetStream", fmt.Errorf("the streams may hold %s together, the account allows %s",
			bytesText(wanted), bytesText(limit)), "lower max_bytes, or raise the account's limit")
	}
	if limit <= 0 {
		return good("JetStream", "enabled; the account has no storage limit, the streams may hold %s", bytesText(wanted))
	}
	return good("JetStream", "enabled; the streams may hold %s of %s", bytesText(wanted), bytesText(limit))
}

// maxClockDifference is what makes times in logs and dead letters misleading.
const maxClockDifference = 2 * time.Second

func clock(ctx context.Context, js jetstream.JetStream, t *mesh.Topology) finding {
	for _, s := range t.Streams {
		began := time.Now()
		stream, err := js.Stream(ctx, s.Name)
		if err != nil {
			continue
		}
		took := time.Since(began)
		// The server looked at its clock somewhere between the request and the answer.
		difference := began.Add(took / 2).Sub(stream.CachedInfo().TimeStamp).Abs()
		if difference-took/2 > maxClockDifference {
			return doubtful("clock", fmt.Sprintf("this machine and the server differ by %s", difference.Round(time.Millisecond)),
				"synchronise both clocks (NTP)")
		}
		return good("clock", "as the server's, give or take %s", max(difference, took/2).Round(time.Millisecond))
	}
	return doubtful("clock", "could not be compared: none of the streams exists", "run genmesh apply")
}

func planned(ctx context.Context, js jetstream.JetStream, t *mesh.Topology) finding {
	plan, err := t.Plan(ctx, js)
	if err != nil {
		return broken("plan", err, "see that the account may read streams and consumers")
	}
	if plan.Empty() {
		return good("plan", "the server is as streams.json says")
	}
	detail := fmt.Sprintf("the server differs from streams.json in %s", plural(len(plan.Steps), "step"))
	const remedy = "look at genmesh plan, then run genmesh apply"
	for _, s := range plan.Steps {
		if s.Action == mesh.Create {
			return broken("plan", fmt.Errorf("%s; %s %s is missing", detail, s.Kind, s.Name), remedy)
		}
	}
	return doubtful("plan", detail, remedy)
}

// toldOf is what operators and processes told of why a subscriber gets nothing: a finding of no check that is not ok, or nil. A
// pause goes before the rest, for nothing is tried meanwhile. state is nil before the first apply.
func toldOf(ctx context.Context, state *mesh.State, subscriber string, now time.Time) *finding {
	if state == nil {
		return nil
	}
	told := func(remedy, format string, args ...any) *finding {
		f := doubtful("", fmt.Sprintf(format, args...), remedy)
		return &f
	}
	unread := func(err error) *finding {
		f := broken("", err, "see that the account may read the bucket "+mesh.StateBucket)
		return &f
	}
	pause, err := state.Pause(ctx, subscriber)
	switch {
	case err != nil:
		return unread(err)
	case pause.Holds(now):
		return told("genmesh subscriber resume "+subscriber, "is paused %s", pauseText(pause))
	}
	wait, err := state.Wait(ctx, subscriber)
	switch {
	case err != nil:
		return unread(err)
	case wait.Holds(now):
		return told("see to what its target says; nothing is spent meanwhile", "waits since %s, next try %s: %s",
			momentText(wait.Since), momentText(wait.Until), orNone(wait.Reason))
	}
	breaker, err := state.Breaker(ctx, subscriber)
	switch {
	case err != nil:
		return unread(err)
	case breaker.Open:
		return told("see that its target works; it goes on by itself then", "its breaker is open since %s, next try %s: %s",
			momentText(breaker.Since), momentText(breaker.Until), orNone(breaker.Error))
	}
	return nil
}

// served looks whether anyone takes a subscriber's events, and why they stand still if they do. That its consumer is missing
// is the plan's to tell. told is of toldOf.
func served(ctx context.Context, js jetstream.JetStream, r mesh.Reader, told *finding) finding {
	check := "consumer " + r.Durable
	consumer, err := js.PushConsumer(ctx, r.Stream, r.Durable)
	switch {
	case errors.Is(err, jetstream.ErrConsumerNotFound), errors.Is(err, jetstream.ErrStreamNotFound):
		return broken(check, errors.New("does not exist"), "run genmesh apply")
	case errors.Is(err, jetstream.ErrNotPushConsumer):
		return broken(check, errors.New("is a pull consumer"), "run genmesh apply --allow-destroy")
	case err != nil:
		return broken(check, err, "see that the account may read consumers")
	}
	info := consumer.CachedInfo()
	waiting := info.NumPending + uint64(info.NumAckPending)
	switch {
	case told != nil:
		f := finding{check, told.Status, told.Detail + "; " + waitingText(waiting), told.Remedy}
		if !info.PushBound {
			f.Detail, f.Remedy = f.Detail+"; nobody serves it", f.Remedy+"; run genmesh serve workers"
		}
		return f
	case info.Paused:
		return doubtful(check, fmt.Sprintf("is paused for %s; %s", info.PauseRemaining.Round(time.Second), waitingText(waiting)),
			"wait, or genmesh subscriber resume "+r.Name+" (or remove pause_until and apply)")
	case !info.PushBound:
		return doubtful(check, "nobody serves it; "+waitingText(waiting), "run genmesh serve workers")
	}
	return good(check, "is served; %s", waitingText(waiting))
}

func waitingText(events uint64) string {
	if events == 1 {
		return "1 event waits"
	}
	return fmt.Sprintf("%d events wait", events)
}
