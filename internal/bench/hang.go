package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"

	"github.com/genmesh/genmesh/workers"
)

// hangingName is the subscriber whose target never answers.
const hangingName = "hanging"

// hangingTarget is a target that reads an event and never answers.
type hangingTarget struct {
	url     string
	arrived chan struct{} // one for each request, as far as there is room
}

func startHanging(s *store) (*hangingTarget, error) {
	h := &hangingTarget{arrived: make(chan struct{}, maxInFlight)}
	var err error
	h.url, err = s.serve(http.HandlerFunc(h.hang))
	return h, err
}

func (h *hangingTarget) hang(w http.ResponseWriter, r *http.Request) {
	if _, err := drain(w, r); err != nil {
		return
	}
	select {
	case h.arrived <- struct{}{}:
	default:
	}
	<-r.Context().Done() // the caller gave up
}

// drain reads a request's body and drops it.
func drain(w http.ResponseWriter, r *http.Request) (int64, error) {
	return io.Copy(io.Discard, http.MaxBytesReader(w, r.Body, maxBodyBytes))
}

// measureBesides measures one subscriber while another, with as many calls as it may make, waits
// for a target that never answers.
func (b *deliveryBench) measureBesides(ctx context.Context, d time.Duration) (one sample, err error) {
	b.hanging.forget()
	ctx, stop := context.WithCancel(ctx)
	same := func(h workers.Handler) workers.Handler { return h }
	wait, err := b.startRunner(ctx, b.topology.Subscribers[maxSubscribers], 1, same, forwarding)
	if err != nil {
		stop()
		return sample{}, err
	}
	defer func() {
		stop()
		err = errors.Join(err, wait())
	}()
	if err := b.hanging.await(ctx, min(maxInFlight, openInteractions, b.events)); err != nil {
		return sample{}, err
	}
	return b.measureRunners(ctx, d, 1, forwarding)
}

// forget drops the arrivals that nobody waited for.
func (h *hangingTarget) forget() {
	for {
		select {
		case <-h.arrived:
		default:
			return
		}
	}
}

// await waits until n requests hang.
func (h *hangingTarget) await(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeoutCause(ctx, hangTimeout, errors.New("the calls to the hanging target did not come"))
	defer cancel()
	for range n {
		select {
		case <-h.arrived:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return nil
}

const hangTimeout = 10 * time.Second
