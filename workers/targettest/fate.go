package targettest

import (
	"time"

	"github.com/genmesh/genmesh/workers"
)

// FateOf is what a handler's error means for its event.
func FateOf(err error) workers.Fate {
	fate, _ := workers.FateOf(err)
	return fate
}

// WaitOf is how long a handler's error asks the worker to wait, 0 if it does not say.
func WaitOf(err error) time.Duration {
	_, wait := workers.FateOf(err)
	return wait
}
