package main

import (
	"context"
	"errors"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/internal/app"
	"github.com/genmesh/genmesh/workers"
)

// process is a worker process, as far as a measurement can tell: one crew for all of its subscribers.
type process struct {
	b         *deliveryBench
	crew      *workers.Crew
	records   *recorder // nil until a subscriber asks for it
	consumers []jetstream.ConsumerConfig

	crewing, runners part
}

// part is what runs in the background until end.
type part struct {
	stops []func()
	waits []func() error
}

// run runs f until end; then follows what closes.
func (p *part) run(f func(ctx context.Context) error, closes func() error) {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f(ctx) }()
	p.stops = append(p.stops, cancel)
	p.waits = append(p.waits, func() error { return errors.Join(<-ended, closes()) })
}

// end stops everything and waits for it.
func (p *part) end() error {
	for _, stop := range p.stops {
		stop()
	}
	var errs []error
	for _, wait := range p.waits {
		errs = append(errs, wait())
	}
	return errors.Join(errs...)
}

func nothing() error { return nil }

// inProcess measures in a worker process of its own, which ends with the measurement.
func (b *deliveryBench) inProcess(ctx context.Context, measure func(p *process) (sample, error)) (sample, error) {
	p := &process{b: b, crew: workers.NewCrew(workers.CrewOptions{JetStream: b.js, Logger: b.log})}
	p.crewing.run(p.crew.Run, nothing)
	one, err := measure(p)
	if p.records != nil && err == nil {
		one.cpu, err = p.withRecords(ctx, one)
	}
	return one, errors.Join(err, p.end(ctx))
}

// prepare makes the consumers of subscribers. They begin with the event at first, and are paused.
func (p *process) prepare(ctx context.Context, first uint64, services []service) ([]jetstream.ConsumerConfig, error) {
	var configs []jetstream.ConsumerConfig
	for _, s := range services {
		from := s.subscriber
		from.DeliverPolicy, from.OptStartSeq = jetstream.DeliverByStartSequencePolicy, first
		for _, reader := range from.Readers() {
			configs = append(configs, reader.ConsumerConfig())
		}
	}
	p.consumers = append(p.consumers, configs...)
	return configs, p.b.makePaused(ctx, configs)
}

// serve serves a subscriber until the process ends.
func (p *process) serve(s service, t tap) error {
	handler, closes, err := s.newHandler(s.subscriber)
	if err != nil {
		return err
	}
	shaper, err := app.NewShaper(s.subscriber, lookup)
	if err != nil {
		return errors.Join(err, closes())
	}
	options := workers.Options{
		JetStream: p.b.js, Subscriber: s.subscriber, Handler: t.handler(handler), Shape: t.shaper(shaper), DeadLetters: p.b.letters,
		Crew: p.crew, Logger: s.logger(p.b.log), Metrics: p.b.metrics, Grace: time.Millisecond, // what is counted is done by then
	}
	if s.records {
		p.records = startRecorder(p.b)
		options.Records = p.records.recording
	}
	p.runners.run(workers.NewRunner(options).Run, closes)
	return nil
}

func (s service) logger(usual logrus.FieldLogger) logrus.FieldLogger {
	if s.log != nil {
		return s.log
	}
	return usual
}

// withRecords is the processor time of each event of a measurement with that of the records which were not
// stored at its end: it is a part of their price. It ends the subscribers.
func (p *process) withRecords(ctx context.Context, one sample) (time.Duration, error) {
	began := cpuTime()
	if err := p.records.awaitIdle(ctx); err != nil {
		return 0, err
	}
	stored := cpuTime() - began
	err := p.runners.end()
	p.runners = part{}
	began = cpuTime()
	err = errors.Join(err, p.records.end())
	stored += cpuTime() - began
	return one.cpu + stored/time.Duration(one.events), err
}

// end ends the subscribers and takes the consumers away.
func (p *process) end(ctx context.Context) error {
	err := p.runners.end()
	if p.records != nil {
		err = errors.Join(err, p.records.end())
	}
	return errors.Join(err, p.crewing.end(), p.b.remove(ctx, p.consumers))
}
