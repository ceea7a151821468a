package embedded

import (
	"fmt"

	"github.com/sirupsen/logrus"
)

// serverLog hands nats-server's log to ours. The server's notices are its start-up banner and
// per-stream news, which are details here.
type serverLog struct {
	log   logrus.FieldLogger
	fatal chan string // the first fatal line: nats-server does not return it as an error
}

func newLog(log logrus.FieldLogger) *serverLog {
	return &serverLog{log: log.WithField("component", "nats-server"), fatal: make(chan string, 1)}
}

func (l *serverLog) Noticef(format string, v ...any) { l.log.Debugf(format, v...) }
func (l *serverLog) Warnf(format string, v ...any)   { l.log.Warnf(format, v...) }
func (l *serverLog) Errorf(format string, v ...any)  { l.log.Errorf(format, v...) }
func (l *serverLog) Debugf(format string, v ...any)  { l.log.Debugf(format, v...) }
func (l *serverLog) Tracef(format string, v ...any)  {}

func (l *serverLog) Fatalf(format string, v ...any) {
	select {
	case l.fatal <- fmt.Sprintf(format, v...):
	default:
		l.log.Errorf(format, v...)
	}
}
