package ingress

import (
	"log"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/sirupsen/logrus"
	"github.com/stretchr/testify/assert"
)

func TestOccasional(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := occasional{every: time.Minute}
		held, ok := o.allow()
		assert.True(t, ok)
		assert.Zero(t, held)
		for range 3 {
			_, ok = o.allow()
			assert.False(t, ok)
		}
		time.Sleep(time.Minute)
		held, ok = o.allow()
		assert.True(t, ok)
		assert.Equal(t, 3, held)
	})
}

func newLog() (*logrus.Logger, *safeBuffer) {
	out, logger := new(safeBuffer), logrus.New()
	logger.SetOutput(out)
	logger.SetFormatter(&logrus.JSONFormatter{})
	return logger, out
}

func TestServerLogIsBounded(t *testing.T) {
	logger, out := newLog()
	l := log.New(&serverLog{log: logger, rate: occasional{every: time.Hour}}, "", 0)
	l.Printf("http: TLS handshake error from \x1b[31m\n%s", strings.Repeat("x", 1<<20))
	for range 1000 {
		l.Print("again")
	}
	assert.Less(t, len(out.String()), 2*maxServerLogBytes)
	assert.Equal(t, 1, strings.Count(out.String(), "\n"))
	assert.NotContains(t, out.String(), "\x1b")
}

func TestTroubleOfOneSourceDoesNotHideThatOfAnother(t *testing.T) {
	logger, out := newLog()
	j := newJournal(logrus.NewEntry(logger))
	for range 100 {
		for _, source := range []string{"a", "b"} {
			j.refused(source, &http.Request{}, &Error{Status: 401, Reason: reasonUnauthorized})
			j.refused(source, &http.Request{}, &Error{Status: 503, Reason: reasonUnavailable})
		}
		j.refused("a", &http.Request{}, &Error{Status: 404, Reason: reasonNotFound})
	}
	assert.Equal(t, 4, strings.Count(out.String(), "\n"))
}
