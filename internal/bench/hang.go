package main

import (
	"context"
	"errors"
	"io"
	"net/http"
	"time"
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
func (b *deliveryBench) measureBesides(ctx context.Context, d time.Duration) (sample, error) {
	b.hanging.forget()
	return b.inProcess(ctx, func(p *process) (sample, error) {
		err := p.occupy(ctx, b.firstOf(b.events), service{subscriber: b.subscriber(hangingName), newHandler: forwarding})
		if err != nil {
			return sample{}, err
		}
		if err := b.hanging.await(ctx, min(maxInFlight, openInteractions, b.events)); err != nil {
			return sample{}, err
		}
		return p.measure(ctx, d, []service{{subscriber: b.subscriber(plainName(0)), newHandler: forwarding}})
	})
}

// occupy serves a subscriber that is not measured, from the event at first on.
func (p *process) occupy(ctx context.Context, first uint64, s service) error {
	made, err := p.prepare(ctx, first, []service{s})
	if err != nil {
		return err
	}
	if err := p.serve(s, tap{}); err != nil {
		return err
	}
	return p.b.resume(ctx, made)
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
