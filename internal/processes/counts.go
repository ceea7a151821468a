package processes

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/internal/live"
)

// counts are what a process counts and which errors it met, gathered at most once per gatherEvery however often they are asked for. They
// belong to one goroutine.
type counts struct {
	gatherer prometheus.Gatherer            // may be nil
	faults   func() map[string][]live.Error // may be nil
	log      logrus.FieldLogger

	at               time.Time
	families, errors []byte // as answers carry them
}

const gatherEvery = 500 * time.Millisecond

// renew gathers them, so that both together take no more than so many bytes. What is too large says less.
func (c *counts) renew(bound int) {
	if time.Since(c.at) < gatherEvery {
		return
	}
	if c.families = c.packedFamilies(); len(c.families) > bound {
		c.log.WithField("bytes", len(c.families)).Error("the metrics of this process are too large to be told to others")
		c.families = nil
	}
	c.errors = c.packedErrors(bound - len(c.families))
	c.at = time.Now() // gathering may have taken a while
}

func (c *counts) packedFamilies() []byte {
	if c.gatherer == nil {
		return nil
	}
	families, err := c.gatherer.Gather()
	if err != nil { // the others are there all the same
		c.log.WithError(err).Debug("not all metrics can be gathered")
	}
	packed, err := pack(families)
	if err != nil {
		c.log.WithError(err).Error("the metrics of this process can't be told to others")
	}
	return packed
}

// packedErrors are as many of the newest of each subscriber as there is room for.
func (c *counts) packedErrors(bound int) []byte {
	if c.faults == nil {
		return nil
	}
	of := c.faults()
	for _, most := range []int{20, 5, 1} {
		packed, err := packErrors(of, most)
		if err != nil {
			c.log.WithError(err).Error("the errors of this process can't be told to others")
			return nil
		}
		if len(packed) <= bound {
			return packed
		}
	}
	return nil
}
