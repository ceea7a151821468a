package processes

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/genmesh/genmesh/internal/admin"
	"github.com/genmesh/genmesh/internal/live"
	"github.com/genmesh/genmesh/mesh"
)

const (
	// Patience is how long an answer is waited for.
	Patience = 500 * time.Millisecond
	// maxAnswers bounds the processes that are heard, maxAnswersBytes what they say.
	maxAnswers      = 1000
	maxAnswersBytes = 128 << 20
	// rollCall is how often everybody has all of Patience to answer, in case there are some that nobody knows.
	rollCall = 10 * time.Second
	// leastGrace is how long others may take once all that are known have answered; if those took longer, as long again.
	leastGrace = 10 * time.Millisecond
	// forgotten is after how many questions in a row without an answer a process is not waited for any more.
	forgotten = 3
)

// Asker asks the processes of a mesh. It may be used by several goroutines at once.
type Asker struct {
	nc *nats.Conn

	mu sync.Mutex
	// missed is, of each known process, how many questions in a row it did not answer.
	missed map[string]int
	called time.Time
}

var _ admin.ProcessAsker = (*Asker)(nil)

// NewAsker makes an Asker that asks over nc.
func NewAsker(nc *nats.Conn) *Asker { return &Asker{nc: nc, missed: make(map[string]int)} }

// Ask tells which processes answer, by host and process number. It fails while NATS is out of reach.
func (a *Asker) Ask(ctx context.Context) ([]admin.Process, error) {
	answers, err := a.collect(ctx, subjectAsk, question{}, a.everybody())
	return described(answers), err
}

// Reports are what the processes that answer count. If what some say can't be read, those of the others come beside the error.
func (a *Asker) Reports(ctx context.Context) ([]live.Report, error) {
	answers, err := a.collect(ctx, subjectAsk, question{Counts: true}, a.everybody())
	if err != nil {
		return nil, err
	}
	reports := make([]live.Report, 0, len(answers))
	var unread []error
	for _, one := range answers {
		report, err := one.report()
		if err != nil {
			unread = append(unread, err)
			continue
		}
		reports = append(reports, report)
	}
	return reports, errors.Join(unread...)
}

// UnderWay tells what becomes, in all processes that answer, of the events that were stored at these places.
func (a *Asker) UnderWay(ctx context.Context, places []mesh.Place) ([]mesh.UnderWay, error) {
	answers, err := a.collect(ctx, subjectAsk, question{UnderWay: places}, a.everybody())
	var all []mesh.UnderWay
	for _, one := range answers {
		all = append(all, one.UnderWay...)
	}
	return all, err
}

// SetLogLevel changes how much one process logs, or all if process is "", until a time, or for good if that is zero. It returns those that
// do so now. It fails with admin.ErrNotFound if none does, and with admin.ErrInvalid for a level that there is not.
func (a *Asker) SetLogLevel(ctx context.Context, process, level string, until time.Time) ([]admin.Process, error) {
	if _, err := parseLevel(level); err != nil {
		return nil, err
	}
	change := levelChange{Process: process, Level: level}
	if !until.IsZero() {
		if change.For = mesh.Duration(time.Until(until)); change.For <= 0 {
			return nil, admin.Invalid("the time until which the log level shall be changed is over")
		}
	}
	expected := a.everybody()
	if process != "" {
		expected = newAttendance(process)
	}
	answers, err := a.collect(ctx, subjectLevel, change, expected)
	if err != nil {
		return nil, err
	}
	if len(answers) == 0 {
		return nil, admin.NotFound(fmt.Sprintf("no process %q answers; look at the list of processes", process))
	}
	return described(answers), nil
}

func described(answers []answer) []admin.Process {
	processes := make([]admin.Process, 0, len(answers))
	for _, one := range answers {
		processes = append(processes, one.Process)
	}
	return processes
}

// collect asks and waits for the answers.
func (a *Asker) collect(ctx context.Context, subject string, ask any, expected *attendance) ([]answer, error) {
	data, err := json.Marshal(ask)
	if err != nil {
		return nil, err
	}
	inbox := a.nc.NewInbox()
	subscription, err := a.nc.SubscribeSync(inbox)
	if err != nil {
		return nil, fmt.Errorf("ask the processes: %w", err)
	}
	defer subscription.Unsubscribe() //nolint:errcheck // it fails only if the connection is closed
	if err := subscription.SetPendingLimits(maxAnswers, maxAnswersBytes); err != nil {
		return nil, fmt.Errorf("ask the processes: %w", err)
	}
	if err := a.nc.PublishRequest(subject, inbox, data); err != nil {
		return nil, fmt.Errorf("ask the processes: %w", err)
	}
	answers, err := receive(ctx, subscription, expected)
	if err != nil {
		return nil, fmt.Errorf("ask the processes: %w", err)
	}
	a.note(expected)
	slices.SortFunc(answers, func(x, y answer) int {
		return cmp.Or(cmp.Compare(x.Host, y.Host), cmp.Compare(x.PID, y.PID), cmp.Compare(x.ID, y.ID))
	})
	return answers, nil
}

// receive takes answers in until everybody expected has answered, or time is up.
func receive(ctx context.Context, from *nats.Subscription, expected *attendance) ([]answer, error) {
	began := time.Now()
	deadline, size := began.Add(Patience), 0
	var answers []answer
	for len(answers) < maxAnswers && size < maxAnswersBytes {
		msg, err := nextBefore(ctx, from, deadline)
		if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil || errors.Is(err, nats.ErrNoResponders) {
			return answers, nil
		}
		if err != nil {
			return nil, err
		}
		one, err := parseAnswer(msg.Data)
		if err != nil || !expected.comes(one.ID) {
			continue // others may answer on the subject, too
		}
		size += len(msg.Data)
		answers = append(answers, one)
		if now := time.Now(); expected.isComplete() {
			if sooner := now.Add(max(now.Sub(began), leastGrace)); sooner.Before(deadline) {
				deadline = sooner
			}
		}
	}
	return answers, nil
}

func nextBefore(ctx context.Context, from *nats.Subscription, deadline time.Time) (*nats.Msg, error) {
	ctx, cancel := context.WithDeadline(ctx, deadline)
	defer cancel()
	return from.NextMsgWithContext(ctx)
}

// attendance is who is expected to answer a question, and who has.
type attendance struct {
	known  map[string]bool
	came   map[string]bool
	absent int  // how many of the known have not answered
	open   bool // there may be others that have to be heard
}

func newAttendance(known ...string) *attendance {
	e := &attendance{known: make(map[string]bool, len(known)), came: make(map[string]bool, len(known)), absent: len(known)}
	for _, id := range known {
		e.known[id] = true
	}
	return e
}

// everybody expects the processes that are known, and from time to time others.
func (a *Asker) everybody() *attendance {
	a.mu.Lock()
	defer a.mu.Unlock()
	e := newAttendance(slices.Collect(maps.Keys(a.missed))...)
	if now := time.Now(); len(a.missed) == 0 || now.Sub(a.called) >= rollCall {
		e.open, a.called = true, now
	}
	return e
}

// comes notes an answer; false means that this process has answered before.
func (e *attendance) comes(id string) bool {
	if e.came[id] {
		return false
	}
	e.came[id] = true
	if e.known[id] {
		e.absent--
	}
	return true
}

func (e *attendance) isComplete() bool { return !e.open && e.absent == 0 }

// note remembers who answered, and forgets who has not for long.
func (a *Asker) note(e *attendance) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for id := range e.came {
		a.missed[id] = 0
	}
	for id := range e.known {
		if missed, ok := a.missed[id]; ok && !e.came[id] {
			a.missed[id] = missed + 1
			if missed+1 == forgotten {
				delete(a.missed, id)
			}
		}
	}
}
