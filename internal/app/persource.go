package app

import (
	"context"
	"fmt"
	"sync"

	"github.com/genmesh/genmesh/mesh"
)

// perSource runs one part for each source, such as its keyring, and keeps over a reload the parts that
// can go on as they are. It is safe for concurrent use.
type perSource[P runner] struct {
	mu      sync.Mutex
	parts   map[string]*sourcePart[P]
	running context.Context // nil while Run does not
	ended   sync.WaitGroup
}

// runner is a long-lived part. It can be used whether it runs or not, and has no error of its own.
type runner interface {
	comparable
	Run(ctx context.Context) error
}

// sourcePart is the part of a source, and the source that it was made for.
type sourcePart[P runner] struct {
	part   P
	source mesh.Source
	stop   context.CancelFunc // nil if it does not run
}

// Run runs the parts until ctx ends.
func (p *perSource[P]) Run(ctx context.Context) error {
	p.mu.Lock()
	p.running = ctx
	for _, one := range p.parts {
		p.start(one)
	}
	p.mu.Unlock()
	<-ctx.Done()
	p.mu.Lock()
	p.running = nil
	p.mu.Unlock()
	p.ended.Wait()
	return nil
}

// start runs a part; the caller holds the lock.
func (p *perSource[P]) start(one *sourcePart[P]) {
	ctx, cancel := context.WithCancel(p.running)
	one.stop = cancel
	p.ended.Go(func() { _ = one.part.Run(ctx) })
}

// update makes the parts those of the sources; if it fails, nothing changed. part makes the part of a
// source, or returns the one before, which is nil if there was none, where that can go on. gone is told
// of the sources that are no longer there.
func (p *perSource[P]) update(sources []mesh.Source, part func(s mesh.Source, before *sourcePart[P]) (P, error), gone func(source string)) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	next := make(map[string]*sourcePart[P], len(sources))
	for _, s := range sources {
		before := p.parts[s.Name]
		made, err := part(s, before)
		if err != nil {
			return fmt.Errorf("source %s: %w", s.Name, err)
		}
		if before != nil && before.part == made {
			next[s.Name] = before
		} else {
			next[s.Name] = &sourcePart[P]{part: made, source: s}
		}
	}
	for name, one := range p.parts {
		if next[name] != one && one.stop != nil {
			one.stop()
		}
		if next[name] == nil {
			gone(name)
		}
	}
	for name, one := range next {
		if p.parts[name] != one && p.running != nil {
			p.start(one)
		}
	}
	p.parts = next
	return nil
}

// of is the part of a source that update was told of.
func (p *perSource[P]) of(source string) (part P, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if one := p.parts[source]; one != nil {
		return one.part, true
	}
	return part, false
}
