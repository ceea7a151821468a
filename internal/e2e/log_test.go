package e2e

import (
	"strings"
	"sync"

	"github.com/sirupsen/logrus"
)

// logRecorder is a logger whose lines a test can look through.
type logRecorder struct {
	*logrus.Logger
	mu   sync.Mutex
	text strings.Builder
}

func newLog() *logRecorder {
	l := &logRecorder{Logger: logrus.New()}
	l.SetOutput(l)
	l.SetLevel(logrus.InfoLevel)
	return l
}

func (l *logRecorder) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logRecorder) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
