package cli

import (
	"io"
	"time"

	"github.com/schollz/progressbar/v3"
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

// add counts one step. It may be called by several goroutines at once.
func (p progress) add() {
	if p.bar != nil {
		_ = p.bar.Add(1) // a bar that can't be drawn is no reason to stop
	}
}

func (p progress) end() {
	if p.bar != nil {
		_ = p.bar.Exit()
	}
}
