package admin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"slices"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/genmesh/genmesh/mesh"
)

// lane stands for an interaction of a source; the zero lane for none that is known.
type lane [16]byte

func laneOf(e mesh.Event) (l lane) {
	if e.Interaction != "" {
		sum := sha256.Sum256([]byte(e.Source + "\x00" + e.Interaction))
		copy(l[:], sum[:])
	}
	return l
}

// choice is one that was chosen to be acted on. Those of one lane are acted on one after another; those of none in any order.
type choice struct {
	number uint64
	lane   lane
}

const (
	// actors is how many act at once, on at least so many each: what they wait for is mostly the way to the server and back.
	actors   = 16
	perActor = 16
	// actTimeout bounds one action. One that has begun comes to its end, also where the others are given up.
	actTimeout = 10 * time.Second
	// maxChosen bounds what one call acts on, and so its memory: 100 MB.
	maxChosen = 4 << 20
)

// spread divides the chosen among actors, each lane to one of them, in their order. So a few are acted on one after another.
func spread(chosen []choice) [][]uint64 {
	parts := make([][]uint64, min(actors, 1+len(chosen)/perActor))
	for i, c := range chosen {
		at := uint64(i)
		if c.lane != (lane{}) {
			at = binary.BigEndian.Uint64(c.lane[:])
		}
		at %= uint64(len(parts))
		parts[at] = append(parts[at], c.number)
	}
	return parts
}

// acted is what became of one.
type acted struct {
	number uint64
	err    error
}

// act does something to each of the chosen, those of a lane in order, and tells what became of them. Where ctx ends or the server is out
// of reach it stops; the rest is Left.
func act(ctx context.Context, chosen []choice, do func(ctx context.Context, number uint64) error, progress Progress) outcome {
	ctx, giveUp := context.WithCancel(ctx)
	defer giveUp()
	results := make(chan acted)
	parts := spread(chosen)
	for _, part := range parts {
		go func() {
			for _, number := range part {
				if ctx.Err() != nil {
					break
				}
				results <- acted{number, actOnce(ctx, number, do)}
			}
			results <- acted{} // no number: it is through
		}()
	}
	o := outcome{of: len(chosen)}
	for running := len(parts); running > 0; {
		one := <-results
		if one.number == 0 {
			running--
			continue
		}
		if o.note(one.number, one.err); outOfReach(one.err) {
			giveUp()
		}
		progress.tell(o.tried(), o.of)
	}
	return o
}

func actOnce(ctx context.Context, number uint64, do func(ctx context.Context, number uint64) error) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), actTimeout)
	defer cancel()
	return do(ctx, number)
}

// outOfReach reports whether an error is one that the next action would meet, too.
func outOfReach(err error) bool {
	return slices.ContainsFunc([]error{
		context.DeadlineExceeded, nats.ErrTimeout, nats.ErrConnectionClosed, nats.ErrConnectionReconnecting, nats.ErrReconnectBufExceeded,
	}, func(one error) bool { return errors.Is(err, one) })
}

func (p Progress) tell(done, of int) {
	if p != nil {
		p(done, of)
	}
}

// outcome adds up what became of the chosen.
type outcome struct {
	of, done, failed int
	failures         []ActFailed // the first of those that failed
}

func (o *outcome) note(number uint64, err error) {
	if err == nil {
		o.done++
		return
	}
	if o.failed++; len(o.failures) < MaxFailures {
		o.failures = append(o.failures, ActFailed{number, err.Error()})
	}
}

func (o *outcome) tried() int { return o.done + o.failed }

func (o *outcome) result(action string) ActResult {
	r := ActResult{Action: action, Chosen: o.of, Done: o.done, Failed: o.failures, Left: o.of - o.tried()}
	if r.Failed == nil {
		r.Failed = []ActFailed{} // an empty list, not null
	}
	slices.SortFunc(r.Failed, func(a, b ActFailed) int { return cmp.Compare(a.Number, b.Number) })
	return r
}
