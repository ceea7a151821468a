package app

import (
	"sync"
	"time"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/mesh"
)

// inForce is the streams.json that counts, and how it came to that. The zero value has none.
type inForce struct {
	mu       sync.Mutex
	topology *mesh.Topology
	told     admin.Configuration // without the plan
}

// set makes a streams.json the one that counts.
func (f *inForce) set(t *mesh.Topology, file, text string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.topology = t
	f.told = admin.Configuration{File: file, Text: text, Loaded: time.Now().UTC()}
}

// refuse notes why the file as it is now does not count.
func (f *inForce) refuse(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.told.Refused = err.Error()
}

// current is nil before the first one.
func (f *inForce) current() *mesh.Topology {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.topology
}

func (f *inForce) configuration() admin.Configuration {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.told
}
