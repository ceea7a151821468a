package cli

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"

	"github.com/genmesh/genmesh/internal/admin"
)

// progress shows how far a long command is, in a terminal only.
type progress struct {
	bar *progressbar.ProgressBar
}

// worthShowing is from how many steps on a command is long enough to show progress.
const worthShowing = 20

func newProgress(w io.Writer, steps int, what string) progress {
	if steps < worthShowing || !isTerminal(w) {
		return progress{}
	}
	return progress{progressbar.NewOptions(steps,
		progressbar.OptionSetWriter(w),
		progressbar.OptionSetDescription(what),
		progressbar.OptionShowCount(),
		progressbar.OptionShowIts(),
		progressbar.OptionThrottle(100*time.Millisecond),
		progressbar.OptionClearOnFinish(),
	)}
}

// showProgress shows how far an operator is, from when it first tells. The caller calls end.
func (p *program) showProgress(what string) (tell admin.Progress, end func()) {
	var bar progress
	begun := false
	tell = func(done, of int) {
		if !begun {
			bar, begun = newProgress(p.Err, of, what), true
		}
		bar.set(done)
	}
	return tell, func() { bar.end() }
}

// add counts one step. It may be called by several goroutines at once.
func (p progress) add() {
	if p.bar != nil {
		_ = p.bar.Add(1) // a bar that can't be drawn is no reason to stop
	}
}

// set shows that so many steps are done.
func (p progress) set(done int) {
	if p.bar != nil {
		_ = p.bar.Set(done) // a bar that can't be drawn is no reason to stop
	}
}

func (p progress) end() {
	if p.bar != nil {
		_ = p.bar.Exit()
	}
}
