package ingress

import (
	"bytes"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/sirupsen/logrus"

	"github.com/genmesh/genmesh/genesys"
)

// logEvery is how often ingress logs the same kind of trouble: what strangers can cause must
// not fill a disk.
const logEvery = 10 * time.Second

// occasional lets one line through per period and counts the others.
type occasional struct {
	every time.Duration
	mu    sync.Mutex
	next  time.Time
	held  int
}

// allow reports whether to log now, and how many lines were held back since the last one.
func (o *occasional) allow() (held int, ok bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	if now.Before(o.next) {
		o.held++
		return 0, false
	}
	held, o.held, o.next = o.held, 0, now.Add(o.every)
	return held, true
}

// journal writes what happens to requests into the log.
type journal struct {
	log    *logrus.Entry
	mu     sync.Mutex
	latest map[string]*occasional // by source and kind of trouble, both bounded
}

func newJournal(log *logrus.Entry) *journal {
	return &journal{log: log, latest: make(map[string]*occasional)}
}

// refused logs a refusal: what the mesh could not do as a warning, forged signatures as well,
// anything else for debugging only.
func (j *journal) refused(source string, r *http.Request, e *Error) {
	if e.Reason != reasonUnavailable && e.Reason != reasonKeysUnavailable && e.Reason != reasonUnauthorized && e.Reason != reasonInternal {
		if j.log.Logger.IsLevelEnabled(logrus.DebugLevel) {
			j.refusal(source, r, e).Debug("request refused")
		}
		return
	}
	kind := e.Reason
	if signature, ok := errors.AsType[genesys.SignatureError](e.Err); ok {
		kind += "/" + string(signature)
	}
	if held, ok := j.occasion(source, kind).allow(); ok {
		j.refusal(source, r, e).WithField("unlogged", held).Warn("request refused")
	}
}

func (j *journal) refusal(source string, r *http.Request, e *Error) *logrus.Entry {
	log := j.log.WithFields(logrus.Fields{"source": source, "status": e.Status, "reason": e.Reason, "remote": r.RemoteAddr})
	if e.Err != nil {
		log = log.WithError(e.Err)
	}
	return log
}

// taken logs an event that was stored: one in quarantine as a warning, for somebody has to look
// at it, any other for debugging only.
func (j *journal) taken(source string, a answer) {
	if len(a.Events) > 0 {
		for _, one := range a.Events {
			j.taken(source, one)
		}
		return
	}
	if a.Status != statusQuarantined {
		if j.log.Logger.IsLevelEnabled(logrus.DebugLevel) {
			j.about(source, a).Debug("request answered")
		}
		return
	}
	if held, ok := j.occasion(source, a.Reason).allow(); ok {
		log := j.about(source, a)
		if a.detail != "" {
			log = log.WithField("detail", a.detail)
		}
		log.WithField("unlogged", held).Warn("an event went into quarantine")
	}
}

func (j *journal) about(source string, a answer) *logrus.Entry {
	log := j.log
	if a.event != nil {
		log = log.WithFields(a.event.LogFields())
	}
	return log.WithFields(logrus.Fields{
		"source": source, "status": a.Status, "reason": a.Reason, "stream": a.Stream, "sequence": a.Sequence,
	})
}

func (j *journal) occasion(source, kind string) *occasional {
	j.mu.Lock()
	defer j.mu.Unlock()
	key := source + "/" + kind
	if j.latest[key] == nil {
		j.latest[key] = &occasional{every: logEvery}
	}
	return j.latest[key]
}

// serverLog takes what net/http has to say, such as failed TLS handshakes: bounded lines, one
// at a time, few of them. It is no logrus writer, which reads on in a goroutine of its own and
// fails on long lines (CVE-2025-65637).
type serverLog struct {
	log  logrus.FieldLogger
	rate occasional
}

const maxServerLogBytes = 512

func (l *serverLog) Write(line []byte) (int, error) {
	if held, ok := l.rate.allow(); ok {
		text := bytes.TrimSpace(line)
		text = text[:min(len(text), maxServerLogBytes)]
		l.log.WithField("unlogged", held).Warnf("http server: %s", text)
	}
	return len(line), nil
}
