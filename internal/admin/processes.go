package admin

import (
	"context"
	"fmt"
	"time"

	"github.com/genmesh/genmesh/mesh"
)

// Processes are the genmesh processes that answer; none where nobody asks them.
func (d *Direct) Processes(ctx context.Context) ([]Process, error) {
	if d.o.Processes == nil {
		return []Process{}, nil
	}
	all, err := d.o.Processes.Ask(ctx)
	if all == nil {
		all = []Process{}
	}
	return all, err
}

// MaxLogLevelLength bounds for how long a log level may be changed that goes back by itself.
const MaxLogLevelLength = 24 * time.Hour

// SetLogLevel changes how much one process logs, or all if process is "", for a length of time, or until it ends if that is 0. It returns those that
// do so now, and fails with ErrNotFound if none does.
func (d *Direct) SetLogLevel(ctx context.Context, by By, process, level string, length mesh.Duration) ([]Process, error) {
	if err := by.check(); err != nil {
		return nil, err
	}
	if length < 0 || time.Duration(length) > MaxLogLevelLength {
		return nil, Invalid(fmt.Sprintf("a log level for %s: it can be changed for up to %s, or until the process ends", length, mesh.Duration(MaxLogLevelLength)))
	}
	if d.o.Processes == nil {
		return nil, Conflict("processes can't be reached from here; ask a console")
	}
	about, until := level+" until it ends", time.Time{}
	if length > 0 {
		about, until = level+" for "+length.String(), time.Now().Add(time.Duration(length))
	}
	if process != "" {
		about += ", only process " + process
	}
	changed, err := d.o.Processes.SetLogLevel(ctx, process, level, until)
	l := d.ledger(d.o.Topology(), by, mesh.Audit{Action: ActionLogLevel, About: about, Count: len(changed), Done: len(changed)})
	if err != nil {
		if outOfReach(err) {
			l.incomplete(ctx, halfway) // they may have heard it all the same
		}
		return nil, err
	}
	l.doneOrLogged(ctx)
	return changed, nil
}
