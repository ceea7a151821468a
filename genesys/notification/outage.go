package notification

import (
	"sync"
	"time"

	"github.com/sirupsen/logrus"
)

// outage logs what fails again and again: its beginning, and its end with how often it failed. It is
// safe for concurrent use.
type outage struct {
	log          logrus.FieldLogger
	begins, ends string // what is logged
	// quiet is how long nothing must have failed before a success is believed.
	quiet time.Duration

	mu          sync.Mutex
	since, last time.Time
	times       int
}

// fail notes a failure. err may be nil.
func (o *outage) fail(err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.last = time.Now()
	o.times++
	if o.times > 1 {
		return
	}
	o.since = o.last
	log := o.log
	if err != nil {
		log = log.WithError(err)
	}
	log.Warn(o.begins)
}

// succeed notes that it went well.
func (o *outage) succeed() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.times == 0 || time.Since(o.last) < o.quiet {
		return
	}
	o.log.WithField("times", o.times).WithField("over", o.last.Sub(o.since).Round(time.Second).String()).Info(o.ends)
	o.times = 0
}
