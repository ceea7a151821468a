package processes

import (
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/internal/admin"
)

// level is how much a process logs. It belongs to one goroutine.
type level struct {
	logger *logrus.Logger
	usual  logrus.Level // what it goes back to
	until  time.Time
	timer  *time.Timer // nil unless it goes back by itself
}

func newLevel(logger *logrus.Logger) level { return level{logger: logger, usual: logger.GetLevel()} }

func (l *level) now() (name string, until time.Time) { return l.logger.GetLevel().String(), l.until }

// set changes the level for a while, or for good if that is 0. A second change takes the place of the first.
func (l *level) set(to logrus.Level, length time.Duration) {
	l.end()
	if l.until.IsZero() {
		l.usual = l.logger.GetLevel()
	}
	l.until = time.Time{}
	if length > 0 {
		l.until, l.timer = time.Now().Add(length).UTC(), time.NewTimer(length)
	} else {
		l.usual = to
	}
	from := l.logger.GetLevel()
	l.logger.SetLevel(max(from, to)) // it is said where either level says such things
	l.logger.WithFields(logrus.Fields{"from": from.String(), "to": to.String(), "for": length.String()}).Info("the log level is changed")
	l.logger.SetLevel(to)
}

// ends delivers when the level is to go back; nil if it is not.
func (l *level) ends() <-chan time.Time {
	if l.timer == nil {
		return nil
	}
	return l.timer.C
}

func (l *level) goBack() {
	l.end()
	l.until = time.Time{}
	l.logger.SetLevel(l.usual)
	l.logger.WithField("level", l.usual.String()).Info("the log level is back")
}

func (l *level) end() {
	if l.timer != nil {
		l.timer.Stop()
		l.timer = nil
	}
}

// levels are those that make sense for a service: one that logs no errors hides them.
var levels = []logrus.Level{logrus.TraceLevel, logrus.DebugLevel, logrus.InfoLevel, logrus.WarnLevel, logrus.ErrorLevel}

func parseLevel(name string) (logrus.Level, error) {
	level, err := logrus.ParseLevel(name)
	if err != nil || !slices.Contains(levels, level) {
		var names []string
		for _, l := range levels {
			names = append(names, l.String())
		}
		return 0, admin.Invalid("a log level is one of " + strings.Join(names, ", "))
	}
	return level, nil
}
