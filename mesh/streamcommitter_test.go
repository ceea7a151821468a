package mesh

import (
	"context"
	"io"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/sirupsen/logrus"
)

// TestAStepBehindTheEndWaitsForNothing: the end may come between the question whether it has come and the step. Nobody would wake the step then,
// and the process would not end.
func TestAStepBehindTheEndWaitsForNothing(t *testing.T) {
	log := logrus.New()
	log.SetOutput(io.Discard)
	s := newStreamCommitter(nil, "INTERACTIONS", log, newCommitMetrics(prometheus.NewRegistry()))
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	s.step(ended, t.Context()) // the test's own time limit is the verdict
}
